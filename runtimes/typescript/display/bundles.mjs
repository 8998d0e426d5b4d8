/** Values as MIME bundles. Main thread. */

import { createRequire } from 'node:module';
import path from 'node:path';
import { inspect, types } from 'node:util';
import { chartOf } from './charts.mjs';
import { lookAt, thinned, toJson } from './json.mjs';
import { JsxElement } from './jsx.mjs';
import { bytesOf, dataUrl, pictureData, toBase64 } from './pictures.mjs';
import { VALUES } from '../shared/mime.mjs';
import { arrayJoin, isArray, keys, regExpExec } from '../shared/primordials.mjs';
import { isRecords, tableData } from './tables.mjs';

/** @typedef {{data: Record<string, any>, metadata: object}} Bundle */

const DISPLAY_SYMBOL = Symbol.for('Jupyter.display');
const INSPECT_OPTIONS = { depth: 4, maxArrayLength: 200, maxStringLength: Infinity, breakLength: 100, colors: false };
const BINARY = /^(?:image\/(?!svg\+xml)|application\/pdf$|audio\/|video\/)/;
const { isPromise, isProxy } = types;
const cwd = process.cwd.bind(process);

/** @returns {Bundle | Promise<Bundle>} a promise only where the value's own conversion gives one */
export function bundleOf(value) {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return textBundle(value);
  const own = ownDisplay(value);
  const made = isPromise(own) ? own : isBundle(own) ? cleanBundle(own) : richData(value);
  if (isPromise(made)) return awaited(made, value, made === own);
  return made === null ? textBundle(value) : made.metadata === undefined ? { data: made, metadata: {} } : made;
}

/** A proxy is not asked: some answer any question, with whatever. */
function ownDisplay(value) {
  if (isProxy(value) || typeof value[DISPLAY_SYMBOL] !== 'function') return null;
  return value[DISPLAY_SYMBOL]();
}

async function awaited(promise, value, isOwn) {
  const made = await promise;
  if (!isBundle(made)) return textBundle(value);
  return isOwn ? cleanBundle(made) : { data: made, metadata: {} };
}

function isBundle(value) {
  return value !== null && typeof value === 'object';
}

function textBundle(value) {
  return { data: { 'text/plain': inspect(value, INSPECT_OPTIONS) }, metadata: {} };
}

/** MIME data of what can be shown as more than text. */
function richData(value) {
  if (typeof value !== 'object') return null;
  if (!isProxy(value) && value instanceof JsxElement) return elementData(value);
  try {
    return isProxy(value) ? plainData(value) : recognized(value);
  } catch {
    // A getter failed on the way; `inspect` calls none.
    return null;
  }
}

/** By what an object offers: nothing is known of the packages that make them. */
function recognized(value) {
  const picture = pictureData(value);
  if (picture !== null) return picture;
  if (typeof value.outerHTML === 'string') return elementData(value);
  if (typeof value.$$typeof === 'symbol') return reactData(value);
  const chart = chartOf(value);
  if (chart !== null) return { 'text/plain': inspect(value, INSPECT_OPTIONS), [chart.mime]: toJson(chart.spec) };
  return plainData(value);
}

function plainData(value) {
  if (isRecords(value)) return tableData(value, { text: inspect(value, INSPECT_OPTIONS) });
  const { isJsonable, isCrowded } = lookAt(value);
  const text = inspect(isCrowded ? thinned(value) : value, INSPECT_OPTIONS);
  if (!isJsonable || value.toJSON !== undefined) return { 'text/plain': text };
  return { 'text/plain': text, [VALUES]: toJson(value) };
}

function elementData(element) {
  const { outerHTML } = element;
  if (element instanceof JsxElement) return { 'text/html': outerHTML, 'text/plain': outerHTML };
  const isSvg = regExpExec(/^\s*<svg[\s>]/i, outerHTML) !== null;
  const label = typeof element.tagName === 'string' ? element.tagName : 'element';
  return { [isSvg ? 'image/svg+xml' : 'text/html']: outerHTML, 'text/plain': `<${label}>` };
}

/** React's elements are rendered by React, where the context has its server package. */
function reactData(element) {
  let server;
  try {
    server = createRequire(path.join(cwd(), 'cell.ts'))('react-dom/server');
  } catch {
    return null;
  }
  const html = server.renderToStaticMarkup(element);
  return { 'text/html': html, 'text/plain': html };
}

/** Make what the user gave as a bundle something that can be sent: JSON for JSON types, text or base64 otherwise. */
export function cleanBundle(bundle) {
  const data = {};
  const mimes = keys(bundle);
  for (let i = 0; i < mimes.length; i++) data[mimes[i]] = cleanValue(mimes[i], bundle[mimes[i]]);
  return { data, metadata: {} };
}

function cleanValue(mime, value) {
  if (mime === 'application/json' || regExpExec(/\+json$/, mime) !== null) return toJson(value);
  if (typeof value === 'string') return dataUrl(value)?.base64 ?? value;
  if (value !== null && typeof value === 'object') {
    const bytes = bytesOf(value);
    if (bytes !== null) return toBase64(bytes);
    if (isArray(value)) return arrayJoin(value, '');
    if (typeof value.outerHTML === 'string') return value.outerHTML;
  }
  if (regExpExec(BINARY, mime) !== null) {
    throw new TypeError(`${mime} takes bytes or base64 text, got ${inspect(value, { depth: 0 })}`);
  }
  return `${value}`;
}
