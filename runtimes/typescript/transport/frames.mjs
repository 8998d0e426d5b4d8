/** Frames of the stream (runtimes/README.md): messages in one stream of bytes, joined and cut here. Worker thread; pure. */

const VERSION = 1;
const HEAD_BYTES = 8;
/** What the length in a frame's head does not count: itself. */
const LENGTH_BYTES = 4;
export const MESSAGE_PARTS = 4;
const MAX_PARTS = 1024;
/** The server's bound for either direction. */
export const MAX_FRAME = 64 * 1024 * 1024;

/** By their number in a frame. */
const CHANNELS = ['shell', 'iopub', 'control', 'stdin'];

/** @typedef {{channel: string, parts: Buffer[]}} Frame */

/**
 * @param {string} channel
 * @param {Buffer[]} parts
 * @returns {Buffer} what comes before the parts
 * @throws {RangeError} when the frame would be larger than the other side accepts
 */
export function frameHead(channel, parts) {
  const head = Buffer.allocUnsafe(HEAD_BYTES + 4 * parts.length);
  let length = head.length - LENGTH_BYTES;
  for (let i = 0; i < parts.length; i++) {
    head.writeUInt32LE(parts[i].length, HEAD_BYTES + 4 * i);
    length += parts[i].length;
  }
  if (length > MAX_FRAME) throw new RangeError(`a message of ${length} bytes, more than ${MAX_FRAME}`);
  head.writeUInt32LE(length, 0);
  head[4] = VERSION;
  head[5] = CHANNELS.indexOf(channel);
  head.writeUInt16LE(parts.length, 6);
  return head;
}

/** Cuts what arrives into frames. Chunks are joined only once a whole frame is there. */
export class FrameDecoder {
  #chunks = [];
  #length = 0;
  #needed = HEAD_BYTES;

  /**
   * @param {Buffer} chunk
   * @returns {Frame[]} views of what was pushed
   * @throws {Error} for what is no frame; where the next one begins is not known then
   */
  push(chunk) {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#needed) return [];
    let data = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#length);
    const frames = [];
    for (;;) {
      this.#needed = HEAD_BYTES;
      if (data.length < HEAD_BYTES) break;
      const head = readHead(data);
      this.#needed = LENGTH_BYTES + head.length;
      if (data.length < this.#needed) break;
      frames.push({ channel: head.channel, parts: cutParts(data.subarray(0, this.#needed), head.count) });
      data = data.subarray(this.#needed);
    }
    this.#chunks = data.length > 0 ? [data] : [];
    this.#length = data.length;
    return frames;
  }
}

function readHead(data) {
  const [length, version, channel, count] =
    [data.readUInt32LE(0), data[4], CHANNELS[data[5]], data.readUInt16LE(6)];
  if (version !== VERSION) throw new Error(`version ${version} of a frame where ${VERSION} is spoken`);
  if (length > MAX_FRAME) throw new Error(`a frame of ${length} bytes, more than ${MAX_FRAME}`);
  if (channel === undefined) throw new Error(`channel ${data[5]} is not known`);
  if (count < MESSAGE_PARTS || count > MAX_PARTS) {
    throw new Error(`a frame of ${count} parts, not ${MESSAGE_PARTS} to ${MAX_PARTS}`);
  }
  if (length < HEAD_BYTES - LENGTH_BYTES + 4 * count) throw new Error(`a frame of ${length} bytes for ${count} parts`);
  return { length, channel, count };
}

function cutParts(frame, count) {
  const parts = [];
  let at = HEAD_BYTES + 4 * count;
  for (let i = 0; i < count; i++) {
    const end = at + frame.readUInt32LE(HEAD_BYTES + 4 * i);
    parts.push(frame.subarray(at, end));
    at = end;
  }
  if (at !== frame.length) throw new Error(`the parts of a frame end at byte ${at} of ${frame.length}`);
  return parts;
}
