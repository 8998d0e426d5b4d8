/** What cells write, coalesced into `stream` messages and bounded by the limits of its cell. Worker thread. */

import { MESSAGE_BYTES, StreamLimit, splitText } from './limits.mjs';

const COALESCE_MS = 4;
/** The first write of a while is not kept waiting so long: a person may be watching. Most short cells end before this. */
const FIRST_MS = 1;
const COALESCE_CHARACTERS = 256 * 1024;

/** @typedef {{name: 'stdout' | 'stderr', text: string}} Write */

export class Streams {
  #publish;
  #pending = [];
  #pendingCharacters = 0;
  #timer = null;
  #flushedAt = -Infinity;

  /** @param {(execution: import('./execution.mjs').Execution, content: object, metadata?: object) => void} publish */
  constructor(publish) {
    this.#publish = publish;
  }

  /** @param {import('./execution.mjs').Execution} execution @param {Write} write */
  write(execution, { name, text }) {
    this.#pendingCharacters += text.length;
    const allowed = this.#limitOf(execution, name)?.push(text) ?? text;
    if (allowed !== '') this.#append(execution, name, allowed);
    else if (execution.isFinished) this.#finishStream(execution, name);
    if (this.#pendingCharacters >= COALESCE_CHARACTERS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), this.#delay());
  }

  #delay() {
    return performance.now() - this.#flushedAt > COALESCE_MS ? FIRST_MS : COALESCE_MS;
  }

  flush() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#flushedAt = performance.now();
    for (const { execution, name, texts } of this.#pending.splice(0)) {
      for (const text of splitText(texts.join(''))) this.#publish(execution, { name, text });
    }
    this.#pendingCharacters = 0;
  }

  /** Send all that is left of a cell, with what its limits held back. */
  finish(execution) {
    this.flush();
    for (const name of execution.streamLimits?.keys() ?? []) this.#finishStream(execution, name);
  }

  #append(execution, name, text) {
    const last = this.#pending.at(-1);
    const fits = last?.execution === execution && last.name === name && last.characters + text.length <= MESSAGE_BYTES;
    if (fits) {
      last.texts.push(text);
      last.characters += text.length;
    } else {
      this.#pending.push({ execution, name, texts: [text], characters: text.length });
    }
  }

  #limitOf(execution, name) {
    const bytes = execution.limits.stream_bytes;
    if (bytes === undefined) return undefined;
    execution.streamLimits ??= new Map();
    if (!execution.streamLimits.has(name)) {
      execution.streamLimits.set(name, { limit: new StreamLimit(bytes), isReported: false });
    }
    return execution.streamLimits.get(name).limit;
  }

  /** Late output beyond the limit is not held: there is no end of the cell left to send it at. */
  #finishStream(execution, name) {
    const limited = execution.streamLimits.get(name);
    const { text, omittedBytes } = limited.limit.finish();
    if (text === '' && omittedBytes === 0) return;
    if (execution.isFinished) {
      if (limited.isReported) return;
      limited.isReported = true;
      this.#publish(execution, { name, text: '' }, { omitted_bytes: omittedBytes + Buffer.byteLength(text) });
      return;
    }
    splitText(text).forEach((part, index) => {
      const metadata = index === 0 && omittedBytes > 0 ? { omitted_bytes: omittedBytes } : undefined;
      this.#publish(execution, { name, text: part }, metadata);
    });
  }
}
