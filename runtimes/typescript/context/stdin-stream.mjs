/** One cell's `process.stdin`: asks the client for a line whenever somebody wants to read one. Main thread. */

import { Readable } from 'node:stream';
import { setImmediate } from '../shared/primordials.mjs';

const { concat, from } = Buffer;

export class CellInput extends Readable {
  /** Everything that reads a file by its descriptor can tell what this is. */
  fd = 0;
  #read;
  #ask;
  #isWanted = false;
  #isAsked = false;
  #isOver = false;
  /** What was asked for and is longer than what was read. */
  #rest = from('');

  /**
   * @param {{read: (take: (line: string | null) => void) => void, ask: () => string | null}} options - how to get a
   *   line while the event loop turns, and at once
   */
  constructor({ read, ask }) {
    // No line is asked for before the one before it has been taken.
    super({ highWaterMark: 1 });
    this.#read = read;
    this.#ask = ask;
    this.on('resume', () => this.#askSoon());
  }

  _read() {
    this.#isWanted = true;
    this.#askSoon();
  }

  /** Whether code listens for lines that may still come. */
  get isFlowing() {
    return !this.#isOver && !this.destroyed && (this.readableFlowing === true || this.listenerCount('readable') > 0);
  }

  whenStopped(callback) {
    for (const event of ['end', 'pause', 'close', 'error']) this.once(event, callback);
  }

  endNow() {
    if (this.#isOver) return;
    this.#isOver = true;
    this.push(null);
  }

  /** @param {Uint8Array} target @returns {number} how many bytes were read; 0 at the end of input */
  readNow(target) {
    if (this.#rest.length === 0) this.#rest = this.#lineNow() ?? this.#rest;
    const size = Math.min(target.length, this.#rest.length);
    target.set(this.#rest.subarray(0, size));
    this.#rest = this.#rest.subarray(size);
    return size;
  }

  /** All that is left. @returns {Buffer} */
  readAllNow() {
    const parts = [this.#rest];
    for (let line = this.#lineNow(); line !== null; line = this.#lineNow()) parts[parts.length] = line;
    this.#rest = from('');
    return concat(parts);
  }

  /** Whether whoever listened has stopped. A listener of `readable` takes what there is without a flow. */
  get #isHeld() {
    return this.isPaused() && this.listenerCount('readable') === 0;
  }

  ref() {
    return this;
  }

  unref() {
    return this;
  }

  #lineNow() {
    const line = this.#isOver ? null : this.#ask();
    if (line !== null) return from(`${line}\n`);
    this.endNow();
    return null;
  }

  /** A reader that takes one line and stops has done so by then, and the client is not asked for a second. */
  #askSoon() {
    setImmediate(() => {
      if (!this.#isWanted || this.#isAsked || this.#isOver || this.#isHeld) return;
      this.#isWanted = false;
      this.#isAsked = true;
      this.#read((line) => this.#take(line));
    });
  }

  #take(line) {
    this.#isAsked = false;
    if (this.#isOver) return;
    if (line === null) this.endNow();
    else this.push(`${line}\n`);
  }
}
