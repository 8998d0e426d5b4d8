/** What `import` gives of a CommonJS module: all that it exports, as bundlers do and `esModuleInterop` has it. Main thread. */

import { types } from 'node:util';
import {
  SafeWeakMap, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, keys, objectCreate,
} from '../shared/primordials.mjs';

/** The name under which a namespace has what a CommonJS module exports. */
const EXPORTS = 'module.exports';
/** By the namespace that Node gives, so that the same module is the same object. */
const completed = new SafeWeakMap();

/**
 * Node looks for names in the text of such a module, and misses those that it assigns otherwise.
 * @param {object} namespace
 * @returns {object} the namespace itself where it has all names
 */
export function completeNamespace(namespace) {
  if (!types.isModuleNamespaceObject(namespace) || !(EXPORTS in namespace)) return namespace;
  const exports = namespace[EXPORTS];
  if ((typeof exports !== 'object' && typeof exports !== 'function') || exports === null) return namespace;
  if (!completed.has(namespace)) completed.set(namespace, types.isProxy(exports) ? namespace : withAll(namespace, exports));
  return completed.get(namespace);
}

function withAll(namespace, exports) {
  const names = keys(exports);
  let complete = null;
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    if (name in namespace) continue;
    complete ??= copyOf(namespace, exports);
    const { get, value } = getOwnPropertyDescriptor(exports, name);
    // What is loaded only when it is asked for stays so.
    const property = get === undefined ? { value, writable: true } : { get: () => exports[name] };
    defineProperty(complete, name, { ...property, enumerable: true, configurable: true });
  }
  return complete ?? namespace;
}

/** Methods that a class gives to what is exported are there, too. */
function copyOf(namespace, exports) {
  const copy = objectCreate(typeof exports === 'function' ? null : getPrototypeOf(exports));
  const names = keys(namespace);
  for (let i = 0; i < names.length; i++) {
    defineProperty(copy, names[i], { value: namespace[names[i]], writable: true, enumerable: true, configurable: true });
  }
  return copy;
}
