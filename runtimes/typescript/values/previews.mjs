/** One line about any value, bounded in length and made without the user's code. Main thread. */

import { inspect, types } from 'node:util';
import {
  arrayBufferByteLength, arrayJoin, arrayPush, bigIntToString, dateToISOString, dateToNumber, getOwnPropertyDescriptor,
  getOwnPropertyNames, isArray, keys, mapEntries, mapIteratorNext, mapSize, regExpExec, regExpFlags, regExpSource,
  setIteratorNext, setSize, setValues, sharedArrayBufferByteLength, stringSlice, symbolToString, typedArrayByteLength,
  typedArrayLength, typedArrayName,
} from '../shared/primordials.mjs';
import { signatureOf } from './signatures.mjs';
import {
  findProperty, isObject, isPlainObject, isProxy, kindOf, lengthOf, ownValue, typeName,
} from './values.mjs';

const {
  isArrayBuffer, isDate, isMap, isModuleNamespaceObject, isNativeError, isRegExp, isSet, isSharedArrayBuffer,
  isTypedArray,
} = types;

export const MAX_PREVIEW = 120;
const MAX_TYPE = 200;
const MAX_DEPTH = 2;
/** Entries looked at: more than there is room for. */
const MAX_ENTRIES = 60;
/** Of larger integers not all digits are worked out. */
const LARGE = 1n << 1024n;
const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;
const MORE = '…';
const ON_ONE_LINE = { breakLength: Infinity };

/**
 * The entry of a value in a variables_reply, without its name.
 * @returns {Record<string, any>}
 */
export function describeValue(value) {
  const kind = kindOf(value);
  const entry = { type: cut(typeName(value), MAX_TYPE), kind };
  if (kind === 'value') addSize(entry, value);
  entry.preview = preview(value);
  return entry;
}

/** @param {number} [room] - in UTF-16 units @returns {string} */
export function preview(value, room = MAX_PREVIEW) {
  return cut(show(value, room, 0), room);
}

function addSize(entry, value) {
  const bytes = byteLength(value);
  if (bytes !== undefined) entry.size_bytes = bytes;
  if (isTypedArray(value)) {
    entry.shape = [typedArrayLength(value)];
    entry.dtype = typedArrayName(value);
    return;
  }
  const length = lengthOf(value);
  if (length !== undefined) entry.length = length;
}

function byteLength(value) {
  if (isTypedArray(value)) return typedArrayByteLength(value);
  if (isArrayBuffer(value)) return arrayBufferByteLength(value);
  if (isSharedArrayBuffer(value)) return sharedArrayBufferByteLength(value);
  return undefined;
}

function show(value, room, depth) {
  if (!isObject(value)) return showPrimitive(value, room);
  if (isProxy(value)) return `Proxy {${MORE}}`;
  if (typeof value === 'function') return depth > 0 ? `[${oneLine(signatureOf(value))}]` : oneLine(signatureOf(value));
  if (isNativeError(value)) return oneLine(showError(value));
  if (isDate(value)) return showDate(value);
  if (isRegExp(value)) return showRegExp(value);
  return showEntries(value, room, depth);
}

function showPrimitive(value, room) {
  if (typeof value === 'string') return showString(value, room);
  if (typeof value === 'symbol') return oneLine(symbolToString(value));
  if (typeof value === 'bigint') {
    return value < LARGE && value > -LARGE ? `${bigIntToString(value)}n` : 'bigint of more than 1024 bits';
  }
  return value === 0 && 1 / value < 0 ? '-0' : `${value}`;
}

/** Only as much of it is looked at as is shown. */
function showString(value, room) {
  const isWhole = value.length <= room;
  const shown = inspect(isWhole ? value : stringSlice(value, 0, room), ON_ONE_LINE);
  return isWhole ? shown : `${shown}${MORE}`;
}

function showDate(value) {
  const time = dateToNumber(value);
  return time === time ? dateToISOString(value) : 'Invalid Date';
}

function showError(error) {
  const name = findProperty(error, 'name')?.value;
  const message = findProperty(error, 'message')?.value;
  const shownName = typeof name === 'string' ? stringSlice(name, 0, MAX_TYPE) : 'Error';
  return typeof message === 'string' && message !== ''
    ? `${shownName}: ${stringSlice(message, 0, MAX_TYPE)}` : shownName;
}

function showRegExp(value) {
  let flags = '';
  for (let i = 0; i < regExpFlags.length; i++) if (regExpFlags[i].isSet(value)) flags += regExpFlags[i].flag;
  return `/${stringSlice(regExpSource(value), 0, MAX_PREVIEW)}/${flags}`;
}

function showEntries(value, room, depth) {
  const { label, start, end, size, entry } = shapeOf(value, room, depth);
  if (size === 0) return `${label}${start}${end}`;
  if (depth >= MAX_DEPTH) return `${label}${start}${MORE}${end}`;
  const parts = [];
  let used = label.length + start.length + end.length + MORE.length + 4;
  for (let i = 0; i < size && i < MAX_ENTRIES; i++) {
    const text = entry(i);
    if (used + text.length + 2 > room) {
      if (i === 0) arrayPush(parts, cut(text, room - used > 10 ? room - used : 10));
      break;
    }
    used += text.length + 2;
    arrayPush(parts, text);
  }
  if (parts.length < size) arrayPush(parts, MORE);
  return `${label}${start} ${arrayJoin(parts, ', ')} ${end}`;
}

/** How the entries of an object are written: `entry(i)` is asked for in order. */
function shapeOf(value, room, depth) {
  const inner = (each) => show(each, room, depth + 1);
  const name = oneLine(cut(typeName(value), MAX_TYPE));
  if (isArray(value)) {
    const size = ownValue(value, 'length');
    const label = name === 'Array' ? '' : `${name}(${size}) `;
    return { label, start: '[', end: ']', size, entry: (i) => showProperty(value, `${i}`, inner) };
  }
  if (isTypedArray(value)) {
    const size = typedArrayLength(value);
    return { label: `${name}(${size}) `, start: '[', end: ']', size, entry: (i) => inner(value[i]) };
  }
  if (isMap(value)) return mapShape(value, name, inner);
  if (isSet(value)) return setShape(value, name, inner);
  if (isModuleNamespaceObject(value)) return moduleShape(value);
  const names = keys(value);
  const label = isPlainObject(value) ? '' : `${name} `;
  const entry = (i) => `${showKey(names[i], room)}: ${showProperty(value, names[i], inner)}`;
  return { label, start: '{', end: '}', size: names.length, entry };
}

function mapShape(value, name, inner) {
  const size = mapSize(value);
  const entries = mapEntries(value);
  const entry = () => {
    const pair = mapIteratorNext(entries).value;
    return `${inner(pair[0])} => ${inner(pair[1])}`;
  };
  return { label: `${name}(${size}) `, start: '{', end: '}', size, entry };
}

function setShape(value, name, inner) {
  const size = setSize(value);
  const values = setValues(value);
  return { label: `${name}(${size}) `, start: '{', end: '}', size, entry: () => inner(setIteratorNext(values).value) };
}

/** Its exports may not be evaluated yet, so only their names are told. */
function moduleShape(value) {
  const names = getOwnPropertyNames(value);
  return { label: '[Module] ', start: '{', end: '}', size: names.length, entry: (i) => names[i] };
}

function showProperty(object, name, inner) {
  const property = getOwnPropertyDescriptor(object, name);
  if (property === undefined) return '<empty>';
  return property.get === undefined && property.set === undefined ? inner(property.value) : '[Getter]';
}

function showKey(name, room) {
  return regExpExec(IDENTIFIER, name) !== null ? cut(name, room) : showString(name, room);
}

function oneLine(text) {
  let line = '';
  for (let i = 0; i < text.length; i++) line += text[i] < ' ' || text[i] === '\u2028' || text[i] === '\u2029' ? ' ' : text[i];
  return line;
}

/** Cut between characters. */
function cut(text, room) {
  if (text.length <= room) return text;
  const head = stringSlice(text, 0, room > 1 ? room - 1 : 0);
  return `${regExpExec(/[\ud800-\udbff]$/, head) === null ? head : stringSlice(head, 0, -1)}${MORE}`;
}
