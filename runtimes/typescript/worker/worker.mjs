/** Entry of the worker thread: connects the transport, the dispatcher and the main thread, and ends with the client. */

import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { compileCache, logLine } from '../shared/platform.mjs';
import { makeTransport } from '../transport/transport.mjs';

const { connectionFile, cacheDirectory, parentPid } = workerData;
const PARENT_POLL_MS = 1000;
/** Long enough to stay out of the way of a first cell that follows at once. */
const WARM_UP_DELAY_MS = 50;

// Node warns that its type stripping is experimental, which is no concern of the user's.
process.removeAllListeners('warning');
compileCache.enable(cacheDirectory);

/** A kernel whose parent is gone would stay forever: nobody knows its connection file any more. */
function watchParent() {
  setInterval(() => {
    if (process.ppid !== parentPid) process.kill(process.pid, 'SIGKILL');
  }, PARENT_POLL_MS).unref();
}

/**
 * The parser is needed by the first cell, Node's type stripping, which takes 40 ms to load, by the first with types.
 * Neither by kernel_info: a client that waits for that is answered first.
 */
async function warmUp() {
  const { transformCell } = await import('../compile/transform.mjs');
  transformCell('await 1');
  await delay(WARM_UP_DELAY_MS);
  transformCell('const warm: number = 1');
}

/** The client is gone. The group is the kernel's own where the kernel leads it, as it does below the server. */
function end(reason) {
  if (reason !== null) logLine(`polyrepl: the stream is broken: ${reason}`);
  try {
    process.kill(-process.pid, 'SIGKILL');
  } catch {
    process.kill(process.pid, 'SIGKILL');
  }
}

const connection = JSON.parse(readFileSync(connectionFile, 'utf8'));
// A stream tells when its client is gone.
if (connection.transport !== 'stream') watchParent();
const firstRequest = Promise.withResolvers();
const [{ Dispatcher }, transport] = await Promise.all([import('./dispatcher.mjs'), makeTransport(connection, {
  onRequest: (channel, message) => {
    dispatcher.receive(channel, message);
    firstRequest.resolve(undefined);
  },
  onInvalid: (reason) => logLine(`polyrepl: dropped a message: ${reason}`),
  onEnd: end,
})]);
const dispatcher = new Dispatcher(workerData);
dispatcher.attach({ transport, main: parentPort });
await transport.open();
dispatcher.opened();
await firstRequest.promise;
await warmUp();
