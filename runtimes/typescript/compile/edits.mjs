/**
 * A list of edits to a source text, rendered into new text together with the pieces that were kept, so that every
 * generated offset can be traced back. Worker thread, pure.
 */

/** @typedef {string | {edits: Edits, start: number, end: number}} Part - literal text, or a rendered source range */

const CLOSE = 0;
const OPEN = 1;

/** Collects generated text and, for what came from the source, triples of generated offset, source offset, length. */
export class Rendering {
  #chunks = [];
  length = 0;
  /** @type {number[]} */
  pieces = [];

  literal(text) {
    this.#chunks.push(text);
    this.length += text.length;
  }

  /** Let what follows, until the next piece, belong to a place in the source. */
  mark(offset) {
    this.pieces.push(this.length, offset, 0);
  }

  copy(source, start, end) {
    if (end <= start) return;
    this.pieces.push(this.length, start, end - start);
    this.literal(source.slice(start, end));
  }

  get text() {
    return this.#chunks.join('');
  }
}

export class Edits {
  #edits = [];

  /** @param {string} source */
  constructor(source) {
    this.source = source;
  }

  get isEmpty() {
    return this.#edits.length === 0;
  }

  /**
   * Replace a range by parts. An insertion at the same place that was recorded earlier comes first.
   * @param {number} start
   * @param {number} end
   * @param {...Part} parts
   */
  replace(start, end, ...parts) {
    this.#edits.push({ start, end, parts, side: OPEN, order: this.#edits.length });
  }

  /** Insert text that belongs to what begins at this offset. */
  open(offset, text) {
    this.replace(offset, offset, text);
  }

  /** Insert text that belongs to what ends at this offset. What was recorded first (the outer node) closes last. */
  close(offset, text) {
    this.#edits.push({ start: offset, end: offset, parts: [text], side: CLOSE, order: -this.#edits.length });
  }

  /**
   * Write a source range with its edits.
   * @param {Rendering} rendering
   */
  render(rendering, start = 0, end = this.source.length) {
    let position = start;
    for (const edit of this.#within(start, end)) {
      rendering.copy(this.source, position, edit.start);
      for (const part of edit.parts) {
        if (typeof part === 'string') rendering.literal(part);
        else if (part.start === part.end) rendering.mark(part.start);
        else part.edits.render(rendering, part.start, part.end);
      }
      position = Math.max(position, edit.end);
    }
    rendering.copy(this.source, position, end);
  }

  #within(start, end) {
    const inside = this.#edits.filter((edit) => edit.start >= start && edit.end <= end);
    return inside.sort((a, b) => a.start - b.start || a.side - b.side || a.order - b.order);
  }
}
