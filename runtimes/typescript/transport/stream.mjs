/** The channels of a kernel in one inherited unix socket, in both directions in order (runtimes/README.md). Worker thread. */

import { FrameDecoder, frameHead } from './frames.mjs';
import { MessageBuilder, parseMessage } from './messages.mjs';
import { openSocket } from '../shared/platform.mjs';

/** How long a message that can wait does so for company: less than a person sees, more than a short cell takes. */
const HOLD_MS = 15;
/** What waits is written when it reaches this size. */
const HOLD_BYTES = 64 * 1024;
/** Larger parts are written as they are rather than copied into one buffer with others. */
const COPY_BYTES = 64 * 1024;
/** With more unsent bytes than this the kernel pauses its output. */
const SEND_HIGH_WATER = 1024 * 1024;

/** @typedef {import('./transport.mjs').Transport} Transport */

/** @implements {Transport} */
export class StreamTransport {
  #fd;
  #callbacks;
  #messages = new MessageBuilder(`${process.pid}_${Date.now().toString(36)}`);
  #decoder = new FrameDecoder();
  /** @type {import('node:net').Socket} */
  #socket;
  /** Parts of frames that are not written yet. @type {Buffer[]} */
  #waiting = [];
  #waitingBytes = 0;
  #timer = null;
  #isFlushing = false;
  /** @type {(() => void)[]} */
  #onDrained = [];
  #isClosed = false;

  /** @param {{fd: number}} connection @param {import('./transport.mjs').Callbacks} callbacks */
  constructor({ fd }, callbacks) {
    this.#fd = fd;
    this.#callbacks = callbacks;
  }

  async open() {
    const socket = openSocket(this.#fd);
    this.#socket = socket;
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('drain', () => this.#drained());
    socket.on('error', () => this.#end(null));
    socket.on('close', () => this.#end(null));
  }

  send(channel, type, content, request, metadata) {
    this.#enqueue(channel, this.#messages.build(type, content, { parent: request.parent, metadata }), false);
  }

  publish(type, content, { parent, metadata, canWait = false } = {}) {
    this.#enqueue('iopub', this.#messages.build(type, content, { parent, metadata }), canWait);
  }

  whenDrained(callback) {
    this.#flush();
    if (this.#isCongested) this.#onDrained.push(callback);
    else callback();
  }

  close() {
    this.#flush();
    this.#isClosed = true;
    this.#socket.end();
  }

  /** What is sent in one go, as the end of a cell is, leaves in one write. */
  #enqueue(channel, parts, canWait) {
    if (this.#isClosed) return;
    const head = frameHead(channel, parts);
    this.#waiting.push(head, ...parts);
    for (const part of parts) this.#waitingBytes += part.length;
    this.#waitingBytes += head.length;
    if (this.#waitingBytes >= HOLD_BYTES) this.#flush();
    else if (canWait) this.#timer ??= setTimeout(() => this.#flush(), HOLD_MS);
    else this.#flushSoon();
  }

  #flushSoon() {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => this.#flush());
  }

  #flush() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#isFlushing = false;
    if (this.#waiting.length === 0 || this.#isClosed) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const chunks = joinSmall(waiting);
    if (chunks.length > 1) this.#socket.cork();
    for (const chunk of chunks) this.#socket.write(chunk);
    if (chunks.length > 1) this.#socket.uncork();
  }

  get #isCongested() {
    return this.#socket.writableLength > SEND_HIGH_WATER;
  }

  #drained() {
    if (this.#isCongested) return;
    for (const callback of this.#onDrained.splice(0)) callback();
  }

  #receive(chunk) {
    let frames;
    try {
      frames = this.#decoder.push(chunk);
    } catch (error) {
      return this.#end(error.message);
    }
    for (const { channel, parts } of frames) {
      let message;
      try {
        message = parseMessage(parts);
      } catch (error) {
        this.#callbacks.onInvalid(error.message);
        continue;
      }
      this.#callbacks.onRequest(channel, message);
    }
  }

  #end(reason) {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#callbacks.onEnd(reason);
  }
}

/** @param {Buffer[]} parts @returns {Buffer[]} the same bytes in fewer buffers, large ones not copied */
function joinSmall(parts) {
  const chunks = [];
  let small = [];
  for (const part of parts) {
    if (part.length < COPY_BYTES) {
      small.push(part);
      continue;
    }
    if (small.length > 0) chunks.push(Buffer.concat(small));
    chunks.push(part);
    small = [];
  }
  if (small.length > 0) chunks.push(Buffer.concat(small));
  return chunks;
}
