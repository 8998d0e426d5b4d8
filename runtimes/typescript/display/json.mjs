/** Values as JSON: which are plain data, and the nearest JSON of those that are not quite. Main thread. */

import {
  getPrototypeOf, isArray, isFiniteNumber, jsonParse, jsonStringify, keys, objectPrototype,
} from '../shared/primordials.mjs';

const MAX_NODES = 100_000;
const MAX_DEPTH = 64;
const { isView } = ArrayBuffer;
const arrayFrom = Array.from;

/** @returns {boolean} whether an object is a plain one, as opposed to an instance of something */
export function isPlain(value) {
  if (value === null || typeof value !== 'object' || isArray(value)) return false;
  const prototype = getPrototypeOf(value);
  return prototype === objectPrototype || prototype === null;
}

/** @returns {boolean} whether a value is plain data all the way down, within bounds that keep the check cheap */
export function isJsonable(value) {
  let nodes = 0;
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
    for (let i = 0; i < names.length; i++) if (!check(object[names[i]], depth + 1)) return false;
    return true;
  };
  return check(value, 0);
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
