/**
 * What a value is compared by: enough to see most changes, bounded in time and memory, and without the user's code.
 * Main thread.
 */

import { types } from 'node:util';
import {
  SafeUint8Array, SafeWeakMap, bigIntToString, charCodeAt, dateToNumber, getOwnPropertyDescriptor, imul, isArray, keys,
  mapEntries, mapIteratorNext, mapSize, min, setIteratorNext, setSize, setValues, stringSlice, symbolToString,
  typedArrayBuffer, typedArrayByteLength, typedArrayByteOffset,
} from '../shared/primordials.mjs';
import { isObject, isProxy, kindOf, lengthOf, ownValue } from './values.mjs';

const { isArrayBuffer, isDate, isMap, isModuleNamespaceObject, isSet, isSharedArrayBuffer, isTypedArray } =
  types;

/** Entries looked at on either end of a container. */
const ENDS = 128;
/** Characters of a longer text that are compared. */
const TEXT = 512;
/** Bytes of binary data that are compared; what is larger is compared by samples. */
const BYTES = 1024 * 1024;
/** More properties take longer to list than a cell should wait. */
const CROWDED = 200_000;
const LARGE = 1n << 4096n;

/**
 * What tells a value from another one: plain values by what they are, all others by identity, containers by length as
 * well. Keeps nothing alive.
 * @returns {string}
 */
export function token(value) {
  switch (typeof value) {
    case 'string': return textToken(value);
    case 'bigint': return value < LARGE && value > -LARGE ? `b${bigIntToString(value, 16)}` : `b${value > 0n}`;
    case 'symbol': return `y${symbolToString(value)}`;
    case 'number': return value === 0 && 1 / value < 0 ? 'n-0' : `n${value}`;
  }
  if (!isObject(value)) return `p${value}`;
  return `o${identity(value)}:${quickLength(value)}`;
}

/**
 * What a mutable value is compared by besides its token.
 * @returns {string | null} null for what is not compared
 */
export function fingerprint(value) {
  if (isObject(value) && crowded.has(value)) return null;
  if (!isObject(value) || isProxy(value) || isModuleNamespaceObject(value) || kindOf(value) === 'class') return '';
  const digest = new Digest();
  if (isTypedArray(value)) {
    addBytes(digest, typedArrayBuffer(value), typedArrayByteOffset(value), typedArrayByteLength(value));
  } else if (isArrayBuffer(value) || isSharedArrayBuffer(value)) {
    addBytes(digest, value, 0, undefined);
  } else if (isArray(value)) addElements(digest, value);
  else if (isMap(value)) addMap(digest, value);
  else if (isSet(value)) addSet(digest, value);
  else {
    if (isDate(value)) digest.add(`${dateToNumber(value)}`);
    if (!addProperties(digest, value)) return null;
  }
  return digest.text;
}

/** Of a plain object the length is known only by counting, which is too much for what may be nested. */
function quickLength(value) {
  return isProxy(value) ? undefined : isArray(value) || isMap(value) || isSet(value) ? lengthOf(value) : undefined;
}

function textToken(value) {
  const { length } = value;
  if (length <= TEXT) return `s${value}`;
  let sample = `s${length}:`;
  for (let i = 0; i < TEXT; i++) sample += value[(((length - 1) / (TEXT - 1)) * i) >>> 0];
  return sample;
}

const crowded = new SafeWeakMap();
const identities = new SafeWeakMap();
let sequence = 0;

function identity(value) {
  let number = identities.get(value);
  if (number === undefined) {
    number = ++sequence;
    identities.set(value, number);
  }
  return number;
}

/** Two running checksums of all that was added. */
class Digest {
  #first = 0x811c9dc5 | 0;
  #second = 0x2f0b4a27 | 0;

  add(text) {
    for (let i = 0; i < text.length; i++) this.addNumber(charCodeAt(text, i));
    this.addNumber(-1);
  }

  addNumber(number) {
    this.#first = imul(this.#first ^ number, 0x01000193);
    this.#second = imul(this.#second ^ number, 0x5bd1e995) ^ (this.#second >>> 15);
  }

  get text() {
    return `${this.#first}:${this.#second}`;
  }
}

function addElements(digest, array) {
  const length = ownValue(array, 'length');
  const head = min(length, ENDS);
  for (let i = 0; i < head; i++) addProperty(digest, array, `${i}`);
  for (let i = length - ENDS > head ? length - ENDS : head; i < length; i++) addProperty(digest, array, `${i}`);
}

/** @returns {boolean} whether there are few enough to list them before and after every cell */
function addProperties(digest, object) {
  const names = keys(object);
  if (names.length > CROWDED) {
    crowded.set(object, true);
    return false;
  }
  for (let i = 0; i < names.length; i++) {
    if (i >= ENDS && i < names.length - ENDS) continue;
    digest.add(stringSlice(names[i], 0, TEXT));
    addProperty(digest, object, names[i]);
  }
  return true;
}

function addProperty(digest, object, name) {
  const property = getOwnPropertyDescriptor(object, name);
  digest.add(property === undefined ? '' : token(property.get ?? property.value));
}

function addMap(digest, map) {
  const entries = mapEntries(map);
  const size = mapSize(map);
  for (let i = 0; i < size && i < 2 * ENDS; i++) {
    const pair = mapIteratorNext(entries).value;
    digest.add(token(pair[0]));
    digest.add(token(pair[1]));
  }
}

function addSet(digest, set) {
  const values = setValues(set);
  const size = setSize(set);
  for (let i = 0; i < size && i < 2 * ENDS; i++) digest.add(token(setIteratorNext(values).value));
}

function addBytes(digest, buffer, offset, length) {
  const bytes = new SafeUint8Array(buffer, offset, length);
  const size = typedArrayByteLength(bytes);
  const step = size > BYTES ? size / BYTES : 1;
  for (let at = 0; at < size; at += step) digest.addNumber(bytes[at >>> 0]);
}
