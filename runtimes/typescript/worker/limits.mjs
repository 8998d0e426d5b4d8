/** The bounds of `output_limits` (runtimes/README.md): what passes, what is held back, what is left out. Pure. */

/** One `stream` message carries at most this many bytes of text. */
export const MESSAGE_BYTES = 1024 * 1024;

/** How much held-back text is encoded at a time. */
const CHUNK_CHARACTERS = 64 * 1024;

const TEXT_PLAIN = 'text/plain';

/** @returns {string} the longest head of the text that fits, cut between characters */
export function headOf(text, bytes) {
  if (text.length * 3 <= bytes) return text;
  const encoded = Buffer.from(text);
  if (encoded.length <= bytes) return text;
  let end = Math.max(0, bytes);
  while (end > 0 && isContinuation(encoded[end])) end--;
  return encoded.toString('utf8', 0, end);
}

/** @returns {number} where the longest tail begins that fits, between characters */
function startOfTail(encoded, bytes) {
  let start = Math.max(0, encoded.length - bytes);
  while (start < encoded.length && isContinuation(encoded[start])) start++;
  return start;
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
  /** What is held back, oldest first, and behind it writes that are not encoded yet. @type {Buffer[]} */
  #held = [];
  #heldBytes = 0;
  #unencoded = '';
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
    this.#encode();
    const held = Buffer.concat(this.#held);
    const start = startOfTail(held, this.#tailLimit);
    const omittedBytes = this.#omitted + start;
    this.#held = [];
    this.#heldBytes = 0;
    this.#omitted = 0;
    return { text: held.toString('utf8', start), omittedBytes };
  }

  /** Small writes are joined first: a million of them, each kept on its own, would take long to collect and to join. */
  #hold(text) {
    this.#unencoded += text;
    if (this.#unencoded.length >= CHUNK_CHARACTERS) this.#encode();
  }

  #encode() {
    const chunk = Buffer.from(this.#unencoded);
    this.#unencoded = '';
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    // Dropping whole chunks only while the rest still fills the tail keeps the cut exact; `finish` trims the first.
    while (this.#held.length > 0 && this.#heldBytes - this.#held[0].length >= this.#tailLimit) {
      const { length } = this.#held.shift();
      this.#heldBytes -= length;
      this.#omitted += length;
    }
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
    const text = typeof value === 'string' && !isJson(mime) ? value : JSON.stringify(value);
    const bytes = Buffer.byteLength(text);
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

/**
 * Cut what an error says of itself to what one message may carry of a stream.
 * @param {{ename: string, evalue: string, traceback: string[], hint?: string}} error `hint`: of our own, and short
 */
export function limitError({ ename, evalue, traceback, hint }) {
  return {
    ename: headOf(ename, MESSAGE_BYTES),
    evalue: headOf(evalue, MESSAGE_BYTES),
    traceback: headOf(traceback.join('\n'), MESSAGE_BYTES).split('\n'),
    hint,
  };
}

function isJson(mime) {
  return mime === 'application/json' || mime.endsWith('+json');
}
