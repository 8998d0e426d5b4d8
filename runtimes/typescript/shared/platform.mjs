/** The JavaScript runtime that the kernel runs on, and what differs between Node, Bun and Deno. Both threads. */

import module from 'node:module';
import net from 'node:net';
import { fileURLToPath } from 'node:url';

const RUNTIMES = {
  node: {
    title: 'Node.js', documentation: 'https://nodejs.org/docs/latest/api/', stopsScripts: true, stopsAnything: true,
  },
  bun: {
    title: 'Bun', documentation: 'https://bun.sh/docs', stopsScripts: true, stopsAnything: false, emitsItself: true,
  },
  deno: {
    title: 'Deno', documentation: 'https://docs.deno.com/', stopsScripts: false, stopsAnything: false, forgetsCells: true,
  },
};

const { versions } = process;
const name = versions.bun !== undefined ? 'bun' : versions.deno !== undefined ? 'deno' : 'node';

/**
 * `stopsScripts`: SIGINT ends what `vm` runs. `stopsAnything`: another thread can end whatever runs. Where neither is
 * so, a cell that never lets the event loop turn ends with the process, and the client has to see to that.
 * `emitsItself`: the handlers of process events are called past `process.emit`.
 * `forgetsCells`: what handles an error that nobody caught does not know which cell's code threw it.
 * @type {{name: 'node' | 'bun' | 'deno', version: string, title: string, documentation: string, stopsScripts: boolean,
 *   stopsAnything: boolean, emitsItself?: boolean, forgetsCells?: boolean}}
 */
export const runtime = Object.freeze({ name, version: versions[name], ...RUNTIMES[name] });

/** Where V8's compiled code is kept between processes; nothing where the runtime sees to that itself. */
export const compileCache = {
  /** @param {string | undefined} directory */
  enable(directory) {
    if (directory) module.enableCompileCache?.(directory);
  },
  flush() {
    module.flushCompileCache?.();
  },
};

/** An inherited unix socket as a stream. @param {number} fd @returns {net.Socket} */
export function openSocket(fd) {
  return name === 'bun' ? net.connect({ fd }) : new net.Socket({ fd, readable: true, writable: true });
}

/** Write to the kernel's own standard error, which is no cell's output. */
export function logLine(text) {
  if (process._rawDebug) process._rawDebug(text);
  else console.error(text);
}

/** End the process now, whatever listens for its exit. @param {number} code */
export const exitNow = process.reallyExit?.bind(process) ?? process.exit.bind(process);

const KERNEL_URL = new URL('..', import.meta.url).href;
const KERNEL_PATH = fileURLToPath(KERNEL_URL);
const RUNTIME_FILE = /^(?:node:|ext:|internal:|\[native code\]$|\[unknown\]$)/;
const { exec } = RegExp.prototype;
const { startsWith } = String.prototype;
const { apply } = Reflect;

/** Whether a frame's file is the kernel's: not every runtime names modules by their address. @param {string} file */
export function isKernelFile(file) {
  return apply(startsWith, file, [KERNEL_URL]) || apply(startsWith, file, [KERNEL_PATH]);
}

/** Whether a frame's file is the runtime's own. @param {string} file */
export function isRuntimeFile(file) {
  return apply(exec, RUNTIME_FILE, [file]) !== null;
}
