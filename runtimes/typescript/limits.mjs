/** The bounds of `output_limits` (runtimes/README.md): what passes, what is held back, what is left out. Pure. */

/** One `stream` message carries at most this many bytes of text. */
export const MESSAGE_BYTES = 1024 * 1024;

const TEXT_PLAIN = 'text/plain';

/** @returns {string} the longest head of the text that fits, cut between characters */
export function headOf(text, bytes) {
  const encoded = Buffer.from(text);
  if (encoded.length <= bytes) return text;
  let end = Math.max(0, bytes);
  while (end > 0 && isContinuation(encoded[end])) end--;
  return encoded.toString('utf8', 0, end);
}

/** @returns {string} the longest tail of the text that fits, cut between characters */
export function tailOf(text, bytes) {
  const encoded = Buffer.from(text);
  let start = Math.max(0, encoded.length - Math.max(0, bytes));
  while (start < encoded.length && isContinuation(encoded[start])) start++;
  return start === 0 ? text : encoded.toString('utf8', start);
}

/** @returns {string[]} the text in parts of at most `bytes` each, cut between characters */
export function splitText(text, bytes = MESSAGE_BYTES) {
  if (text.length * 3 <= bytes || Buffer.byteLength(text) <= bytes) return [text];
  const encoded = Buffer.from(text);
  const parts = [];
  for (let start = 0; start < encoded.length;) {
    let end = Math.min(encoded.length, start + bytes);
    while (end < encoded.length && isContinuation(encoded[end])) end--;
    parts.push(encoded.toString('utf8', start, end));
    start = end;
  }
  return parts;
}

function isContinuation(byte) {
  return (byte & 0xc0) === 0x80;
}

/** Bounds one stream of one cell: the first half passes, of the rest the last half is held back until the end. */
export class StreamLimit {
  #headLeft;
  #tailLimit;
  #tail = [];
  /** Index of the first write that still counts: dropping from the front of a long array would cost its length. */
  #first = 0;
  #tailBytes = 0;
  #omitted = 0;

  /** @param {number} bytes */
  constructor(bytes) {
    this.#headLeft = Math.floor(bytes / 2);
    this.#tailLimit = bytes - this.#headLeft;
  }

  /** @returns {string} what of this text to send now */
  push(text) {
    if (this.#headLeft === 0) {
      this.#hold(text);
      return '';
    }
    const bytes = Buffer.byteLength(text);
    if (bytes <= this.#headLeft) {
      this.#headLeft -= bytes;
      return text;
    }
    const head = headOf(text, this.#headLeft);
    this.#headLeft = 0;
    this.#hold(text.slice(head.length));
    return head;
  }

  /** @returns {{text: string, omittedBytes: number}} what was held back, and how much is missing in front of it */
  finish() {
    const joined = this.#tail.slice(this.#first).map((part) => part.text).join('');
    const text = tailOf(joined, this.#tailLimit);
    const omittedBytes = this.#omitted + Buffer.byteLength(joined) - Buffer.byteLength(text);
    this.#tail = [];
    this.#first = 0;
    this.#tailBytes = 0;
    this.#omitted = 0;
    return { text, omittedBytes };
  }

  #hold(text) {
    const bytes = Buffer.byteLength(text);
    if (bytes > this.#tailLimit) return this.#holdOnly(text, bytes);
    this.#tail.push({ text, bytes });
    this.#tailBytes += bytes;
    // Dropping whole writes only while the rest still fills the tail keeps the cut exact; `finish` trims the first.
    while (this.#tailBytes - this.#tail[this.#first].bytes >= this.#tailLimit) {
      this.#tailBytes -= this.#tail[this.#first].bytes;
      this.#omitted += this.#tail[this.#first].bytes;
      this.#tail[this.#first++] = null;
    }
    if (this.#first > this.#tail.length / 2) this.#compact();
  }

  #holdOnly(text, bytes) {
    const kept = tailOf(text, this.#tailLimit);
    const keptBytes = Buffer.byteLength(kept);
    this.#omitted += bytes - keptBytes + this.#tailBytes;
    this.#tail = [{ text: kept, bytes: keptBytes }];
    this.#first = 0;
    this.#tailBytes = keptBytes;
  }

  #compact() {
    this.#tail = this.#tail.slice(this.#first);
    this.#first = 0;
  }
}

/**
 * Leave out the values of a MIME bundle that are too large.
 * @param {Record<string, any>} data
 * @param {number | undefined} itemBytes - no bound when undefined
 * @returns {{data: Record<string, any>, omitted: Record<string, number> | null}}
 */
export function limitBundle(data, itemBytes) {
  if (itemBytes === undefined) return { data, omitted: null };
  const kept = {};
  const omitted = {};
  for (const [mime, value] of Object.entries(data)) {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const bytes = Buffer.byteLength(isJson(mime) ? JSON.stringify(value) : text);
    if (bytes <= itemBytes) {
      kept[mime] = value;
    } else if (mime === TEXT_PLAIN) {
      kept[mime] = headOf(text, itemBytes);
      omitted[mime] = bytes - Buffer.byteLength(kept[mime]);
    } else {
      omitted[mime] = bytes;
    }
  }
  return { data: kept, omitted: Object.keys(omitted).length > 0 ? omitted : null };
}

function isJson(mime) {
  return mime === 'application/json' || mime.endsWith('+json');
}
