/** Values as JSON: which are plain data, and the nearest JSON of those that are not quite. Main thread. */

import { inspect, types } from 'node:util';
import {
  arraySlice, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, isArray, isFiniteNumber, jsonParse,
  jsonStringify, keys, objectCreate, objectPrototype,
} from '../shared/primordials.mjs';

const MAX_NODES = 100_000;
const MAX_DEPTH = 64;
/** An object of more properties takes seconds on its way to the client as JSON. */
const MAX_KEYS = 100_000;
const SHOWN_KEYS = 10_000;
/** As far as the text of a value goes. */
const MAX_THINNED_DEPTH = 5;
const SHOWN_ITEMS = 200;
const { isProxy } = types;
const { isView } = ArrayBuffer;
const arrayFrom = Array.from;

/** @returns {boolean} whether an object is a plain one, as opposed to an instance of something */
export function isPlain(value) {
  if (value === null || typeof value !== 'object' || isArray(value)) return false;
  const prototype = getPrototypeOf(value);
  return prototype === objectPrototype || prototype === null;
}

/**
 * Whether a value is plain data all the way down, within bounds that keep the check cheap, and whether an object in it
 * is crowded: has more properties than anybody reads.
 * @returns {{isJsonable: boolean, isCrowded: boolean}}
 */
export function lookAt(value) {
  let nodes = 0;
  let isCrowded = false;
  const check = (item, depth) => {
    if (item === null || typeof item === 'string' || typeof item === 'boolean') return true;
    if (typeof item === 'number') return isFiniteNumber(item);
    if (typeof item !== 'object' || depth > MAX_DEPTH || ++nodes > MAX_NODES) return false;
    return isArray(item) ? checkArray(item, depth) : isPlain(item) && checkObject(item, depth);
  };
  const checkArray = (items, depth) => {
    for (let i = 0; i < items.length; i++) if (!check(items[i], depth + 1)) return false;
    return true;
  };
  const checkObject = (object, depth) => {
    const names = keys(object);
    if (names.length > SHOWN_KEYS) isCrowded = true;
    if (names.length > MAX_KEYS) return false;
    for (let i = 0; i < names.length; i++) if (!check(object[names[i]], depth + 1)) return false;
    return true;
  };
  const isJsonable = check(value, 0);
  return { isJsonable, isCrowded };
}

/** A copy for `inspect`, whose crowded objects have their first properties only, and say how many more there are. */
export function thinned(value, depth = 0) {
  if (depth > MAX_THINNED_DEPTH || value === null || typeof value !== 'object' || isProxy(value)) return value;
  if (isArray(value)) {
    const copy = arraySlice(value);
    for (let i = 0; i < copy.length && i < SHOWN_ITEMS; i++) copy[i] = thinned(copy[i], depth + 1);
    return copy;
  }
  if (!isPlain(value)) return value;
  const names = keys(value);
  const copy = objectCreate(getPrototypeOf(value));
  for (let i = 0; i < names.length && i < SHOWN_KEYS; i++) {
    const property = getOwnPropertyDescriptor(value, names[i]);
    if ('value' in property) property.value = thinned(property.value, depth + 1);
    defineProperty(copy, names[i], property);
  }
  const left = names.length - SHOWN_KEYS;
  if (left > 0) defineProperty(copy, '...', { value: { [inspect.custom]: () => `${left} more properties` }, enumerable: true });
  return copy;
}

/** A copy that is JSON: typed arrays become lists, big integers text; what JSON lacks is null or left out. */
export function toJson(value) {
  const text = jsonStringify(value, replace);
  return text === undefined ? null : jsonParse(text);
}

function replace(_key, value) {
  if (typeof value === 'bigint') return `${value}`;
  return isView(value) && typeof value.length === 'number' ? arrayFrom(value) : value;
}
