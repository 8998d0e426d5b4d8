/**
 * Entry of the kernel: `node main.mjs {connection_file}`. Starts the I/O worker first, so that it binds its sockets
 * while this thread, which runs nothing but user code afterwards, loads the rest.
 */

import { enableCompileCache, flushCompileCache } from 'node:module';
import { MessageChannel, Worker } from 'node:worker_threads';
import { createSharedState } from './shared-state.mjs';

const cacheDirectory = process.env.POLYREPL_CACHE_DIR;
const FLUSH_DELAY_MS = 1000;

function startWorker(connectionFile, shared, stdinPort) {
  const worker = new Worker(new URL('./io.mjs', import.meta.url), {
    name: 'io',
    workerData: { connectionFile, cacheDirectory, shared, stdinPort, parentPid: process.ppid },
    transferList: [stdinPort],
    trackUnmanagedFds: false,
  });
  worker.on('error', (error) => {
    process._rawDebug(`polyrepl: the I/O thread failed: ${error?.stack ?? error}`);
    process.reallyExit(1);
  });
  return worker;
}

const connectionFile = process.argv[2];
if (connectionFile === undefined) {
  process._rawDebug('usage: node main.mjs {connection_file}');
  process.exit(2);
}
const shared = createSharedState();
const stdin = new MessageChannel();
const worker = startWorker(connectionFile, shared, stdin.port2);
if (cacheDirectory) {
  enableCompileCache(cacheDirectory);
  // A killed kernel never reaches the flush at exit, so the cache is written once the start is over.
  setTimeout(flushCompileCache, FLUSH_DELAY_MS).unref();
}
const { Kernel } = await import('./kernel.mjs');
new Kernel({ worker, shared, stdinPort: stdin.port1 }).start();
