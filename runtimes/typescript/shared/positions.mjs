/**
 * Positions in generated code back to positions in the user's text: through the pieces kept by the rewrite and, where
 * types were transformed rather than stripped, through the source map. Used by both threads; pure.
 */

import { runtime } from './platform.mjs';
import {
  SafeMap, arrayPush, charCodeAt, max, min, regExpReplace, stringIncludes, stringIndexOf, stringSlice,
} from './primordials.mjs';

/**
 * @typedef {object} PositionData
 * @property {string} generated - the script's text
 * @property {string} code - the JavaScript before the rewrite
 * @property {number[] | null} pieces - triples of generated offset, offset in `code`, length
 * @property {string | null} mappings - source map from `code` to the user's text
 * @property {number} prefix - columns put in front of the user's first line
 */

/** What a map takes besides its texts and pieces; most cells are shorter than that. */
const OWN_BYTES = 512;

/** @typedef {{line: number, column: number}} Position - both count from 1 */

export class PositionMap {
  #data;
  #generatedLines = null;
  #codeLines = null;
  #segments = null;

  /** @param {PositionData} data */
  constructor(data) {
    this.#data = data;
  }

  /** About what keeping this map costs, in bytes. */
  get size() {
    const { generated, code, mappings, pieces } = this.#data;
    return OWN_BYTES + generated.length + code.length + (mappings?.length ?? 0) + 8 * (pieces?.length ?? 0);
  }

  /** @returns {Position} */
  original(line, column) {
    let position = { line, column };
    if (this.#data.pieces !== null) position = this.#throughPieces(position);
    if (this.#data.mappings !== null) position = this.#throughMappings(position);
    if (position.line === 1) position.column = max(1, position.column - this.#data.prefix);
    return position;
  }

  #throughPieces({ line, column }) {
    const { generated, code, pieces } = this.#data;
    this.#generatedLines ??= lineStarts(generated);
    this.#codeLines ??= lineStarts(code);
    const offset = (this.#generatedLines[line - 1] ?? 0) + column - 1;
    let source = 0;
    for (let i = 0; i < pieces.length && pieces[i] <= offset; i += 3) {
      const within = offset - pieces[i];
      source = pieces[i + 1] + (within < pieces[i + 2] ? within : pieces[i + 2]);
    }
    return positionAt(this.#codeLines, source);
  }

  #throughMappings({ line, column }) {
    this.#segments ??= decodeMappings(this.#data.mappings);
    // A line without any was generated for what stands before it.
    let at = min(line, this.#segments.length) - 1;
    while (at > 0 && this.#segments[at].length === 0) at--;
    const segments = this.#segments[at] ?? [];
    if (segments.length === 0) return { line, column };
    let best = at < line - 1 ? segments.length - 3 : 0;
    for (let i = best; i < segments.length && segments[i] <= column - 1; i += 3) best = i;
    return { line: segments[best + 1] + 1, column: segments[best + 2] + 1 };
  }
}

/** The maps of recent cells, by file name, bounded by their total size. */
export class PositionMaps {
  #maps = new SafeMap();
  #size = 0;
  #capacity;

  /** @param {number} capacity - in bytes */
  constructor(capacity = 4 * 1024 * 1024) {
    this.#capacity = capacity;
  }

  /** @param {PositionData} data */
  add(file, data) {
    const map = new PositionMap(data);
    this.#size -= this.#maps.get(file)?.size ?? 0;
    this.#maps.set(file, map);
    this.#size += map.size;
    while (this.#size > this.#capacity && this.#maps.size > 1) this.#dropOldest();
  }

  has(file) {
    return this.#maps.has(file);
  }

  /** @returns {Position} */
  original(file, line, column) {
    return this.#maps.get(file)?.original(line, column) ?? { line, column };
  }

  #dropOldest() {
    const file = this.#maps.keys().next().value;
    this.#size -= this.#maps.get(file).size;
    this.#maps.delete(file);
  }
}

/** A line ends where the language says, and stack traces with it; JavaScriptCore counts no separators of Unicode. */
const SEPARATORS = runtime.name === 'bun' ? [] : ['\u2028', '\u2029'];

function lineStarts(text) {
  for (let i = 0; i < SEPARATORS.length; i++) if (stringIncludes(text, SEPARATORS[i])) return unusualLineStarts(text);
  if (stringIncludes(text, '\r')) return unusualLineStarts(text);
  const starts = [0];
  for (let at = stringIndexOf(text, '\n'); at !== -1; at = stringIndexOf(text, '\n', at + 1)) arrayPush(starts, at + 1);
  return starts;
}

function unusualLineStarts(text) {
  const starts = [0];
  for (let i = 0; i < text.length; i++) {
    const isEnd = text[i] === '\n' || (text[i] === '\r' && text[i + 1] !== '\n') || isSeparator(text[i]);
    if (isEnd) arrayPush(starts, i + 1);
  }
  return starts;
}

function isSeparator(character) {
  return character === SEPARATORS[0] || character === SEPARATORS[1];
}

/** @returns {Position} of an offset in a text */
export function placeIn(text, offset) {
  return positionAt(lineStarts(text), offset);
}

/** @returns {string} a line of a text, counted from 1 */
export function lineOf(text, line) {
  const starts = lineStarts(text);
  const end = starts[line] ?? text.length;
  return regExpReplace(/[\r\n\u2028\u2029]+$/, stringSlice(text, starts[line - 1] ?? text.length, end), '');
}

function positionAt(starts, offset) {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= offset) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: offset - starts[low] + 1 };
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** Digit values by character code. */
const DIGITS = [];
for (let i = 0; i < BASE64.length; i++) DIGITS[charCodeAt(BASE64, i)] = i;
const CONTINUES = 32;

/**
 * Decode a source map's `mappings` (base64 VLQ): per generated line, triples of generated column, line and column in
 * the source, all counted from 0.
 * @param {string} mappings
 * @returns {number[][]}
 */
export function decodeMappings(mappings) {
  const lines = [[]];
  let fields = [];
  let value = 0;
  let shift = 0;
  let generatedColumn = 0;
  let line = 0;
  let column = 0;
  const endSegment = () => {
    if (fields.length === 0) return;
    generatedColumn += fields[0];
    if (fields.length >= 4) {
      line += fields[2];
      column += fields[3];
      const current = lines[lines.length - 1];
      arrayPush(current, generatedColumn, line, column);
    }
    fields = [];
  };
  for (let i = 0; i < mappings.length; i++) {
    const character = mappings[i];
    if (character === ',' || character === ';') {
      endSegment();
      if (character === ';') {
        arrayPush(lines, []);
        generatedColumn = 0;
      }
      continue;
    }
    const digit = DIGITS[charCodeAt(mappings, i)];
    value += (digit & (CONTINUES - 1)) << shift;
    shift += 5;
    if (digit & CONTINUES) continue;
    arrayPush(fields, value & 1 ? -(value >> 1) : value >> 1);
    value = 0;
    shift = 0;
  }
  endSegment();
  return lines;
}
