/** Values as MIME bundles, and the context's `display`. Main thread. */

import { inspect, types } from 'node:util';
import { arrayJoin, defineProperty, getPrototypeOf, isArray, isFiniteNumber, jsonParse, jsonStringify, keys, regExpExec }
  from './primordials.mjs';

/** @typedef {{data: Record<string, any>, metadata: object}} Bundle */

const DISPLAY_SYMBOL = Symbol.for('Jupyter.display');
const INSPECT_OPTIONS = { depth: 4, maxArrayLength: 200, maxStringLength: Infinity, breakLength: 100, colors: false };
const MAX_JSON_NODES = 100_000;
const MAX_JSON_DEPTH = 64;
const objectPrototype = Object.prototype;
const toBase64 = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');

/** First bytes of the formats that notebooks show. */
const MAGIC = [
  { mime: 'image/png', label: 'PNG image', bytes: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] },
  { mime: 'image/jpeg', label: 'JPEG image', bytes: [0xff, 0xd8, 0xff] },
  { mime: 'image/gif', label: 'GIF image', bytes: [0x47, 0x49, 0x46, 0x38] },
  { mime: 'image/webp', label: 'WebP image', bytes: [0x52, 0x49, 0x46, 0x46, null, null, null, null, 0x57, 0x45, 0x42, 0x50] },
  { mime: 'application/pdf', label: 'PDF document', bytes: [0x25, 0x50, 0x44, 0x46, 0x2d] },
];

/** `display.html(text)` and so on. */
const SHORTHANDS = {
  html: 'text/html', markdown: 'text/markdown', svg: 'image/svg+xml', latex: 'text/latex', json: 'application/json',
  javascript: 'application/javascript', png: 'image/png', jpeg: 'image/jpeg', pdf: 'application/pdf',
  text: 'text/plain',
};

export class Display {
  #post;
  #context;

  /** @param {{post: (message: object) => void, context: import('./cell.mjs').CellContext}} options */
  constructor({ post, context }) {
    this.#post = post;
    this.#context = context;
  }

  /** Define the global `display` with its shorthands. */
  install() {
    const display = (value, options = {}) => this.#show(value, options);
    for (const name of keys(SHORTHANDS)) {
      const mime = SHORTHANDS[name];
      display[name] = (value, options = {}) => this.#show({ [mime]: value }, { ...options, raw: true });
    }
    display.clear = (wait = false) => {
      this.#post({ type: 'clear_output', cell: this.#context.originId, wait: Boolean(wait) });
    };
    defineProperty(globalThis, 'display', { value: display, writable: true, enumerable: false, configurable: true });
  }

  /** @returns {Bundle | Promise<Bundle>} a promise only where the value's own display method gives one */
  bundleOf(value) {
    const own = ownDisplay(value);
    if (types.isPromise(own)) return awaitOwn(own, value);
    return own === null ? standardBundle(value) : cleanBundle(own);
  }

  /** Send at once when possible: displays and writes keep their order. */
  async #show(value, { raw = false, metadata = {}, display_id: displayId, update = false }) {
    const cell = this.#context.originId;
    const made = raw ? cleanBundle(value) : this.bundleOf(value);
    const { data } = types.isPromise(made) ? await made : made;
    this.#post({ type: 'display', cell, data, metadata: toJson(metadata), displayId, update });
  }
}

async function awaitOwn(promise, value) {
  const own = await promise;
  return own === null || typeof own !== 'object' ? standardBundle(value) : cleanBundle(own);
}

function ownDisplay(value) {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return null;
  if (typeof value[DISPLAY_SYMBOL] !== 'function') return null;
  const own = value[DISPLAY_SYMBOL]();
  return own !== null && typeof own === 'object' ? own : null;
}

function standardBundle(value) {
  return { data: richData(value) ?? { 'text/plain': inspect(value, INSPECT_OPTIONS) }, metadata: {} };
}

function richData(value) {
  if (value === null || typeof value !== 'object') return null;
  if (value instanceof Uint8Array) return imageData(value);
  if (typeof value.outerHTML === 'string') return elementData(value);
  if (!isJsonable(value)) return null;
  const text = { 'text/plain': inspect(value, INSPECT_OPTIONS) };
  const vega = typeof value.$schema === 'string' ? vegaMime(value.$schema) : null;
  return { ...text, [vega ?? 'application/json']: toJson(value) };
}

function imageData(bytes) {
  for (let i = 0; i < MAGIC.length; i++) {
    const { mime, label, bytes: magic } = MAGIC[i];
    if (startsWith(bytes, magic)) return { [mime]: toBase64(bytes), 'text/plain': `<${label}, ${bytes.length} bytes>` };
  }
  return null;
}

function startsWith(bytes, magic) {
  for (let i = 0; i < magic.length; i++) if (magic[i] !== null && bytes[i] !== magic[i]) return false;
  return true;
}

function elementData(element) {
  const { outerHTML } = element;
  const isSvg = regExpExec(/^\s*<svg[\s>]/i, outerHTML) !== null;
  const label = typeof element.tagName === 'string' ? element.tagName : 'element';
  return { [isSvg ? 'image/svg+xml' : 'text/html']: outerHTML, 'text/plain': `<${label}>` };
}

function vegaMime(schema) {
  const match = regExpExec(/\/(vega|vega-lite)\/v(\d+)[^/]*\.json$/, schema);
  return match === null ? null : `application/vnd.${match[1] === 'vega' ? 'vega' : 'vegalite'}.v${match[2]}+json`;
}

/** Make what the user gave as a bundle something that can be sent: JSON for JSON types, text or base64 otherwise. */
function cleanBundle(bundle) {
  const data = {};
  const mimes = keys(bundle);
  for (let i = 0; i < mimes.length; i++) data[mimes[i]] = cleanValue(mimes[i], bundle[mimes[i]]);
  return { data, metadata: {} };
}

function cleanValue(mime, value) {
  if (mime === 'application/json' || regExpExec(/\+json$/, mime) !== null) return toJson(value);
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array) return toBase64(value);
  if (isArray(value)) return arrayJoin(value, '');
  return typeof value?.outerHTML === 'string' ? value.outerHTML : `${value}`;
}

function toJson(value) {
  const text = jsonStringify(value);
  return text === undefined ? null : jsonParse(text);
}

/** Whether a value is plain data all the way down, within bounds that keep the check cheap. */
function isJsonable(value) {
  let nodes = 0;
  const check = (item, depth) => {
    if (item === null || typeof item === 'string' || typeof item === 'boolean') return true;
    if (typeof item === 'number') return isFiniteNumber(item);
    if (typeof item !== 'object' || depth > MAX_JSON_DEPTH || ++nodes > MAX_JSON_NODES) return false;
    return isArray(item) ? checkArray(item, depth) : isPlain(item) && checkObject(item, depth);
  };
  const checkArray = (items, depth) => {
    for (let i = 0; i < items.length; i++) if (!check(items[i], depth + 1)) return false;
    return true;
  };
  const checkObject = (object, depth) => {
    const names = keys(object);
    for (let i = 0; i < names.length; i++) if (!check(object[names[i]], depth + 1)) return false;
    return true;
  };
  return check(value, 0);
}

function isPlain(object) {
  const prototype = getPrototypeOf(object);
  return prototype === objectPrototype || prototype === null;
}
