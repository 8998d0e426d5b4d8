/**
 * Entry of the kernel: `node main.mjs {connection_file}`. Starts the worker first, so that it binds its sockets
 * while this thread, which runs nothing but user code afterwards, loads the rest.
 */

import { MessageChannel, Worker } from 'node:worker_threads';
import { compileCache, exitNow, logLine } from './shared/platform.mjs';
import { createSharedState } from './shared/state.mjs';

const cacheDirectory = process.env.POLYREPL_CACHE_DIR;
const CODE_RANGE_MB = 64;
/** Messages do not live long: what the worker's garbage may fill before it is collected. */
const YOUNG_GENERATION_MB = 6;

function startWorker(connectionFile, shared, stdinPort) {
  const worker = new Worker(new URL('./worker/worker.mjs', import.meta.url), {
    name: 'worker',
    workerData: { connectionFile, cacheDirectory, shared, stdinPort, parentPid: process.ppid },
    transferList: [stdinPort],
    trackUnmanagedFds: false,
    // V8 would reserve 512 MB for compiled code, which counts where the memory of a kernel is limited.
    resourceLimits: { codeRangeSizeMb: CODE_RANGE_MB, maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  });
  worker.on('error', (error) => {
    logLine(`polyrepl: the worker thread failed: ${error?.stack ?? error}`);
    exitNow(1);
  });
  return worker;
}

const connectionFile = process.argv[2];
if (connectionFile === undefined) {
  logLine('usage: node main.mjs {connection_file}');
  process.exit(2);
}
const shared = createSharedState();
const stdin = new MessageChannel();
const worker = startWorker(connectionFile, shared, stdin.port2);
compileCache.enable(cacheDirectory);
const { Kernel } = await import('./context/kernel.mjs');
new Kernel({ worker, shared, stdinPort: stdin.port1 }).start();
