/**
 * Facts about a value that are read without running any of the user's code: no getter, no method, no trap of a Proxy.
 * Main thread.
 */

import { types } from 'node:util';
import {
  getOwnPropertyDescriptor, getPrototypeOf, isArray, keys, mapSize, setSize, typedArrayLength, typedArrayName,
} from '../shared/primordials.mjs';

const {
  isArrayBuffer, isDataView, isDate, isGeneratorObject, isMap, isModuleNamespaceObject, isNativeError, isPromise,
  isRegExp, isSet, isSharedArrayBuffer, isTypedArray, isWeakMap, isWeakSet,
} = types;

const MAX_PROTOTYPES = 100;
/** What has a name of its own whatever its prototype says, most particular first. */
const EXOTIC = [
  [isModuleNamespaceObject, 'Module'], [isArray, 'Array'], [isMap, 'Map'], [isSet, 'Set'], [isPromise, 'Promise'],
  [isDate, 'Date'], [isRegExp, 'RegExp'], [isNativeError, 'Error'], [isDataView, 'DataView'],
  [isArrayBuffer, 'ArrayBuffer'], [isSharedArrayBuffer, 'SharedArrayBuffer'], [isWeakMap, 'WeakMap'],
  [isWeakSet, 'WeakSet'], [isGeneratorObject, 'Generator'],
];

/** Bun takes the global object for a Proxy. */
export function isProxy(value) {
  return types.isProxy(value) && value !== globalThis;
}

export function isObject(value) {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** @returns {any} the value of an own data property; undefined for an accessor, and for what is not there */
export function ownValue(object, name) {
  return isProxy(object) ? undefined : getOwnPropertyDescriptor(object, name)?.value;
}

/** The nearest property of that name, own or inherited. @returns {PropertyDescriptor | null} */
export function findProperty(object, name) {
  let owner = object;
  for (let steps = 0; owner !== null && !isProxy(owner) && steps < MAX_PROTOTYPES; steps++) {
    const property = getOwnPropertyDescriptor(owner, name);
    if (property !== undefined) return property;
    owner = getPrototypeOf(owner);
  }
  return null;
}

/** Whether a function can only be called with `new`: of an ordinary function the prototype can be replaced. */
export function isClass(value) {
  if (typeof value !== 'function' || isProxy(value)) return false;
  return getOwnPropertyDescriptor(value, 'prototype')?.writable === false;
}

/** `module`, `class`, `function` or `value`, as runtimes/README.md has it. */
export function kindOf(value) {
  if (isClass(value)) return 'class';
  if (typeof value === 'function') return 'function';
  return isModuleNamespaceObject(value) ? 'module' : 'value';
}

/** The name of a value's type: of its class, or of what it is in itself. */
export function typeName(value) {
  if (value === null) return 'null';
  if (!isObject(value)) return typeof value;
  if (isProxy(value)) return 'Proxy';
  if (isClass(value)) return 'class';
  return constructorName(value) ?? exoticName(value) ?? (typeof value === 'function' ? 'Function' : 'Object');
}

function exoticName(value) {
  if (isTypedArray(value)) return typedArrayName(value);
  for (let i = 0; i < EXOTIC.length; i++) if (EXOTIC[i][0](value)) return EXOTIC[i][1];
  return null;
}

function constructorName(value) {
  const owner = getPrototypeOf(value);
  const made = owner === null ? undefined : findProperty(owner, 'constructor')?.value;
  const name = typeof made === 'function' ? ownValue(made, 'name') : undefined;
  return typeof name === 'string' && name !== '' ? name : null;
}

/** Whether an object is what a pair of braces makes. */
export function isPlainObject(value) {
  if (typeof value !== 'object' || value === null || isProxy(value) || isArray(value)) return false;
  const prototype = getPrototypeOf(value);
  return prototype === null || (!isProxy(prototype) && getPrototypeOf(prototype) === null);
}

/** @returns {number | undefined} how many entries a container has, where that is known without counting them */
export function lengthOf(value) {
  if (typeof value === 'string') return value.length;
  if (!isObject(value) || isProxy(value)) return undefined;
  if (isArray(value)) return ownValue(value, 'length');
  if (isMap(value)) return mapSize(value);
  if (isSet(value)) return setSize(value);
  if (isTypedArray(value)) return typedArrayLength(value);
  return isPlainObject(value) && !isModuleNamespaceObject(value) ? keys(value).length : undefined;
}
