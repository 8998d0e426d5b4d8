/** What names and members there are, for completion and inspection; runs no getter of the user's. Main thread. */

import { inspect } from 'node:util';
import {
  SafeSet, arrayPush, getOwnPropertyDescriptor, getOwnPropertyNames, getPrototypeOf, reflectApply, stringSlice,
} from './primordials.mjs';

const MAX_MEMBERS = 3000;
const MAX_SOURCE = 4000;
const functionToString = Function.prototype.toString;

/** @returns {string[]} */
export function listNames() {
  const names = new SafeSet();
  collect(globalThis, names);
  names.delete('__polyrepl');
  return toArray(names);
}

/** @param {string[]} path - `a.b.c` as names @returns {string[]} */
export function listMembers(path) {
  const { value } = follow(path);
  const names = new SafeSet();
  if (value !== undefined && value !== null) collect(Object(value), names);
  return toArray(names);
}

/** @param {string[]} path @returns {Record<string, string> | null} a MIME bundle */
export function describeValue(path) {
  const { found, value } = follow(path);
  if (!found) return null;
  const text = typeof value === 'function'
    ? stringSlice(reflectApply(functionToString, value, []), 0, MAX_SOURCE) : inspect(value, { getters: false });
  return { 'text/plain': `${typeof value}: ${text}` };
}

function follow(path) {
  let value = globalThis;
  for (let i = 0; i < path.length; i++) {
    if (value === undefined || value === null) return { found: false, value: undefined };
    const property = find(Object(value), path[i]);
    if (property === null) return { found: false, value: undefined };
    // Node defines globals such as `crypto` as accessors: those are safe to read.
    const isNodes = i === 0 && property.get !== undefined;
    value = isNodes ? globalThis[path[i]] : property.value;
  }
  return { found: true, value };
}

function find(object, name) {
  for (let owner = object; owner !== null; owner = getPrototypeOf(owner)) {
    const property = getOwnPropertyDescriptor(owner, name);
    if (property !== undefined) return property;
  }
  return null;
}

function collect(object, names) {
  for (let owner = object; owner !== null && names.size < MAX_MEMBERS; owner = getPrototypeOf(owner)) {
    const own = getOwnPropertyNames(owner);
    for (let i = 0; i < own.length && names.size < MAX_MEMBERS; i++) names.add(own[i]);
  }
}

function toArray(set) {
  const items = [];
  set.forEach((item) => arrayPush(items, item));
  return items;
}
