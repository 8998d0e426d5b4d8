/** `process.stdout`, `process.stderr` and `console` of the context. Main thread. */

import { Console } from 'node:console';
import { Readable, Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { charCodeAt, defineProperty, keys, load, stringSlice, wait } from '../shared/primordials.mjs';
import { OUTPUT_HIGH_WATER, OUTPUT_TAKEN, WRITE_COST } from '../shared/state.mjs';

const PAUSE_MS = 100;
const DRAIN_MS = 10_000;
/** A longer text goes in pieces: while the worker is busy with one message it cannot take an interrupt. */
const PIECE_LENGTH = 128 * 1024;
/** What a value that is no text counts: it is copied as objects, which take far more memory than their text. */
const DATA_COST = 64 * 1024;
const now = performance.now.bind(performance);
const nextTick = process.nextTick.bind(process);

/** Sends text to the worker as the output of the cell that wrote it. */
class Output {
  #post;
  #context;
  #shared;
  /** How much was ever sent, as 32 bits: a sum that an interrupt cannot put out of step, unlike adding and taking off. */
  #sent = 0;

  constructor({ post, context, shared }) {
    this.#post = post;
    this.#context = context;
    this.#shared = shared;
  }

  /** @param {'stdout' | 'stderr'} name @param {string} text */
  write(name, text) {
    const cell = this.#context.originId;
    for (let start = 0; start < text.length;) {
      const end = endOfPiece(text, start);
      this.#send({ type: 'stream', name, text: stringSlice(text, start, end), cell }, end - start);
      start = end;
    }
  }

  /** Send a message with a MIME bundle, or without; it counts like a write. @param {{data?: Record<string, any>}} message */
  display(message) {
    this.#send(message, message.data === undefined ? 0 : sizeOf(message.data));
  }

  /** Wait until the client has been sent all that was written, or as long as that is worth waiting for. */
  drain() {
    this.#send({ type: 'flush' }, 0);
    const deadline = now() + DRAIN_MS;
    for (;;) {
      const taken = load(this.#shared, OUTPUT_TAKEN);
      if (taken === this.#sent || now() > deadline) return;
      wait(this.#shared, OUTPUT_TAKEN, taken, PAUSE_MS);
    }
  }

  #send(message, size) {
    this.#sent = (this.#sent + size + WRITE_COST) | 0;
    message.sent = this.#sent;
    this.#post(message);
    this.#pause();
  }

  /** Wait until the worker has sent enough of what it was given: what was written must not pile up in memory. */
  #pause() {
    for (;;) {
      const taken = load(this.#shared, OUTPUT_TAKEN);
      if (((this.#sent - taken) | 0) <= OUTPUT_HIGH_WATER) return;
      wait(this.#shared, OUTPUT_TAKEN, taken, PAUSE_MS);
    }
  }
}

/**
 * A standard stream that cannot be ended: later cells write to it too. It bypasses the bookkeeping of Writable, which
 * would wait for ever for a write that an interrupt cut short.
 */
class OutputStream extends Writable {
  #output;
  #name;
  #decoder = new StringDecoder('utf8');

  constructor(output, name, fd) {
    super({ autoDestroy: false, emitClose: false });
    this.#output = output;
    this.#name = name;
    this.fd = fd;
    this._type = 'pipe';
  }

  write(chunk, encoding, callback) {
    const done = typeof encoding === 'function' ? encoding : callback;
    this.#output.write(this.#name, this.#decode(chunk, encoding));
    if (typeof done === 'function') nextTick(done);
    return true;
  }

  end(chunk, encoding, callback) {
    if (chunk !== undefined && typeof chunk !== 'function') this.write(chunk, encoding);
    const done = [chunk, encoding, callback].find((argument) => typeof argument === 'function');
    // A pipeline ends its last stream and waits for that.
    nextTick(() => {
      this.emit('finish');
      done?.();
    });
    return this;
  }

  destroy() {
    return this;
  }

  #decode(chunk, encoding) {
    if (typeof chunk !== 'string') return this.#decoder.write(chunk);
    return isUnicode(encoding) ? chunk : this.#decoder.write(Buffer.from(chunk, encoding));
  }
}

/** About as many characters as the values of a bundle have: text is counted, what is data counts as much as it may be. */
function sizeOf(data) {
  let size = 0;
  const types = keys(data);
  for (let i = 0; i < types.length; i++) {
    const value = data[types[i]];
    size += typeof value === 'string' ? value.length : DATA_COST;
  }
  return size;
}

/** Pieces end between characters. */
function endOfPiece(text, start) {
  const end = start + PIECE_LENGTH;
  if (end >= text.length) return text.length;
  const last = charCodeAt(text, end - 1);
  return last >= 0xd800 && last <= 0xdbff ? end - 1 : end;
}

function isUnicode(encoding) {
  return typeof encoding !== 'string' || encoding === 'utf8' || encoding === 'utf-8';
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
  const console = new Console({ stdout, stderr, colorMode: false, ignoreErrors: false });
  for (const method of keys(console)) {
    if (typeof console[method] === 'function') globalThis.console[method] = console[method];
  }
  return output;
}

function replaceStream(name, value) {
  defineProperty(process, name, { value, writable: true, enumerable: true, configurable: true });
}
