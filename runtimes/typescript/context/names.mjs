/** The names of cells as global properties: made ready for a cell, and watched until they have values. Main thread. */

import { SCOPE, shadowOf } from '../shared/names.mjs';
import {
  SafeSet, arrayPush, defineProperty, deleteProperty, getOwnPropertyDescriptor, getOwnPropertyNames, getPrototypeOf, hasOwn,
  objectPrototype,
} from '../shared/primordials.mjs';

/** Names of the top level whose `let`, `const` or `class` has not run. */
const hidden = new SafeSet();
/** New global properties whose declaration has not run. */
const unset = new SafeSet();
/** Asked in loops, so it is kept at hand. */
let isAnyHidden = false;

/** What generated code calls for those names that a cell may use before they have their values. */
export const deadZone = {
  /** @param {...string} names */
  hide(...names) {
    for (let i = 0; i < names.length; i++) hidden.add(names[i]);
    isAnyHidden = true;
  },
  /** @param {...string} names */
  show(...names) {
    reveal(names);
  },
  check,
  /** Assignments go through here. */
  early: new Proxy({ __proto__: null }, {
    get(_, name) {
      check(name);
      return globalThis[propertyOf(name)];
    },
    set(_, name, value) {
      check(name);
      globalThis[propertyOf(name)] = value;
      return true;
    },
  }),
};

function reveal(names) {
  for (let i = 0; i < names.length; i++) hidden.delete(names[i]);
  isAnyHidden = hidden.size > 0;
}

function check(name) {
  if (isAnyHidden && hidden.has(name)) throw new ReferenceError(`Cannot access '${name}' before initialization`);
}

/** @returns {string} the global property that a name of the cells is */
export function propertyOf(name) {
  const shadow = shadowOf(name);
  return hasOwn(globalThis, shadow) ? shadow : name;
}

/** @returns {string[]} the globals that cells find */
export function globalNames() {
  const names = [];
  for (let owner = globalThis; owner !== null && owner !== objectPrototype; owner = getPrototypeOf(owner)) {
    const own = getOwnPropertyNames(owner);
    for (let i = 0; i < own.length; i++) if (own[i] !== SCOPE && own[i] !== 'constructor') arrayPush(names, own[i]);
  }
  return names;
}

/**
 * Make the names of a program ready to be declared: one that was declared before keeps its value until then.
 * @param {{names: string[], shadows: string[], late: string[], resetNames: boolean}} program
 */
export function prepareNames({ names, shadows, late, resetNames }) {
  for (let i = 0; i < shadows.length; i++) prepareShadow(shadows[i], resetNames);
  reveal(names);
  for (let i = 0; i < names.length; i++) prepare(propertyOf(names[i]), resetNames);
  for (let i = 0; i < late.length; i++) awaitValue(propertyOf(late[i]));
}

/** A name that is new is a property that can be taken away, until its declaration gives it a value. */
function awaitValue(name) {
  if (hasOwn(globalThis, name)) return;
  unset.add(name);
  defineProperty(globalThis, name, {
    get: () => undefined,
    set: (value) => {
      unset.delete(name);
      defineProperty(globalThis, name, { value, writable: true, enumerable: true, configurable: true });
    },
    enumerable: false,
    configurable: true,
  });
}

/** The cell has ended: what it declared and never gave a value is not there. */
export function forgetUnset() {
  if (unset.size === 0) return;
  unset.forEach((name) => deleteProperty(globalThis, name));
  unset.clear();
}

/** Until its declaration has run, the name is what it was without. */
function prepareShadow(name, isReset) {
  const shadow = shadowOf(name);
  if (hasOwn(globalThis, shadow)) return;
  const value = isReset ? undefined : readGlobal(name);
  defineProperty(globalThis, shadow, { value, writable: true, enumerable: false, configurable: true });
}

function readGlobal(name) {
  try {
    return globalThis[name];
  } catch {
    // Some of a browser's globals refuse: Deno's `localStorage` where there is no location.
    return undefined;
  }
}

/** A global accessor or constant must not swallow what the cell assigns to its own name. */
function prepare(name, isReset) {
  const descriptor = getOwnPropertyDescriptor(globalThis, name);
  if (descriptor === undefined) return;
  const isPlain = 'value' in descriptor && descriptor.writable;
  if (!isPlain && descriptor.configurable) {
    const value = isReset ? undefined : descriptor.value;
    defineProperty(globalThis, name, { value, writable: true, enumerable: true, configurable: true });
  } else if (isPlain && isReset) {
    globalThis[name] = undefined;
  }
}
