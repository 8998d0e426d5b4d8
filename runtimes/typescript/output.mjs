/** `process.stdout`, `process.stderr`, `process.stdin` and `console` of the context. Main thread. */

import { Console } from 'node:console';
import { Readable, Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { atomicAdd, defineProperty, keys, load, wait } from './primordials.mjs';
import { INTERRUPTED_CELL, OUTPUT_HIGH_WATER, OUTPUT_PENDING } from './shared-state.mjs';

const PAUSE_MS = 100;

/** Sends text to the worker as the output of the cell that wrote it. */
class Output {
  #post;
  #context;
  #shared;

  constructor({ post, context, shared }) {
    this.#post = post;
    this.#context = context;
    this.#shared = shared;
  }

  /** @param {'stdout' | 'stderr'} name @param {string} text */
  write(name, text) {
    if (text === '') return;
    const cell = this.#context.originId;
    this.#post({ type: 'stream', name, text, cell });
    const pending = atomicAdd(this.#shared, OUTPUT_PENDING, text.length) + text.length;
    if (pending > OUTPUT_HIGH_WATER) this.#pause(cell);
  }

  /** Wait until the worker has sent enough of what it was given: what was written must not pile up in memory. */
  #pause(cell) {
    for (;;) {
      const pending = load(this.#shared, OUTPUT_PENDING);
      if (pending <= OUTPUT_HIGH_WATER || load(this.#shared, INTERRUPTED_CELL) === cell) return;
      wait(this.#shared, OUTPUT_PENDING, pending, PAUSE_MS);
    }
  }
}

/** A standard stream that cannot be ended: later cells write to it too. */
class OutputStream extends Writable {
  #output;
  #name;
  #decoder = new StringDecoder('utf8');

  constructor(output, name, fd) {
    super({ decodeStrings: false });
    this.#output = output;
    this.#name = name;
    this.fd = fd;
    this._type = 'pipe';
  }

  _write(chunk, encoding, callback) {
    const isText = typeof chunk === 'string' && isUnicode(encoding);
    const text = isText ? chunk : this.#decoder.write(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk);
    this.#output.write(this.#name, text);
    callback();
  }

  end(chunk, encoding, callback) {
    if (chunk !== undefined && typeof chunk !== 'function') this.write(chunk, encoding);
    const done = [chunk, encoding, callback].find((argument) => typeof argument === 'function');
    if (done) process.nextTick(done);
    return this;
  }

  destroy() {
    return this;
  }
}

function isUnicode(encoding) {
  return encoding === 'utf8' || encoding === 'utf-8' || encoding === undefined || encoding === null;
}

/**
 * @param {{post: (message: object) => void, context: import('./cell.mjs').CellContext, shared: Int32Array}} options
 * @returns {Output}
 */
export function installOutput(options) {
  const output = new Output(options);
  const stdout = new OutputStream(output, 'stdout', 1);
  const stderr = new OutputStream(output, 'stderr', 2);
  replaceStream('stdout', stdout);
  replaceStream('stderr', stderr);
  replaceStream('stdin', emptyStdin());
  const console = new Console({ stdout, stderr, colorMode: false, ignoreErrors: false });
  for (const method of keys(console)) {
    if (typeof console[method] === 'function') globalThis.console[method] = console[method];
  }
  return output;
}

function replaceStream(name, value) {
  defineProperty(process, name, { value, writable: true, enumerable: true, configurable: true });
}

function emptyStdin() {
  const stdin = new Readable({ read() {} });
  stdin.push(null);
  stdin.fd = 0;
  return stdin;
}
