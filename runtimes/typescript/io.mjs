/** Entry of the worker thread: connects the transport, the session and the main thread, and watches the parent. */

import { readFileSync } from 'node:fs';
import { enableCompileCache, flushCompileCache } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';

const { connectionFile, cacheDirectory, parentPid } = workerData;
const PARENT_POLL_MS = 1000;
const WARM_UP_DELAY_MS = 1;

// Node warns that its type stripping is experimental, which is no concern of the user's.
process.removeAllListeners('warning');
if (cacheDirectory) enableCompileCache(cacheDirectory);

/** A kernel whose parent is gone would stay forever: nobody knows its connection file any more. */
function watchParent() {
  setInterval(() => {
    if (process.ppid !== parentPid) process.kill(process.pid, 'SIGKILL');
  }, PARENT_POLL_MS).unref();
}

/** The first transform costs 20 ms, better spent before the first cell than in it. */
async function warmUp() {
  const { transformCell } = await import('./transform.mjs');
  transformCell('const warm: number = await 1; warm');
  if (cacheDirectory) flushCompileCache();
}

watchParent();
const { ZmtpTransport } = await import('./transport.mjs');
const { Session } = await import('./session.mjs');
const session = new Session(workerData);
const transport = new ZmtpTransport(JSON.parse(readFileSync(connectionFile, 'utf8')), {
  onRequest: (channel, message) => session.receive(channel, message),
  onInvalid: (reason) => process._rawDebug(`polyrepl: dropped a message: ${reason}`),
});
session.attach({ transport, main: parentPort });
await transport.open();
session.opened();
setTimeout(warmUp, WARM_UP_DELAY_MS);
