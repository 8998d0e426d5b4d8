/** What names and members there are, for completion and inspection; runs none of the user's code. Main thread. */

import { preview } from './previews.mjs';
import { SCOPE, shadowOf } from '../shared/names.mjs';
import {
  SafeSet, arrayPush, getOwnPropertyNames, getPrototypeOf, hasOwn, isArray, stringStartsWith,
} from '../shared/primordials.mjs';
import { signatureOf, sourceOf } from './signatures.mjs';
import { findProperty, isProxy, kindOf, typeName } from './values.mjs';

const MAX_MEMBERS = 3000;
const MAX_PROTOTYPES = 100;
const MAX_SOURCE = 8000;
const MAX_VALUE = 1000;
/** What a literal's members are looked up in. */
const LITERALS = { __proto__: null, string: '', number: 0, array: [], regexp: /x/, object: {}, function: () => {} };

/**
 * Something that the text names: `a.b.c`, or members of a literal.
 * @typedef {{literal?: keyof typeof LITERALS, path: string[]}} Subject
 */

export class Introspection {
  #variables;

  /** @param {import('./variables.mjs').Variables} variables */
  constructor(variables) {
    this.#variables = variables;
  }

  /** All names that code can refer to. @returns {string[]} */
  names() {
    const names = new SafeSet();
    collect(globalThis, names);
    return toArray(names, isUsersName);
  }

  /** @param {Subject} subject @returns {string[]} */
  members(subject) {
    const { isFound, value } = this.#follow(subject);
    const names = new SafeSet();
    if (isFound && value !== undefined && value !== null) collect(Object(value), names, isArray(value));
    return toArray(names);
  }

  /**
   * @param {Subject} subject
   * @returns {{type: string, kind: string, value?: string, signature?: string, source?: string} | null}
   */
  describe(subject) {
    const { isFound, value } = this.#follow(subject);
    if (!isFound) return null;
    const kind = kindOf(value);
    const facts = { type: typeName(value), kind };
    if (kind !== 'class' && kind !== 'function') return { ...facts, value: preview(value, MAX_VALUE) };
    return { ...facts, signature: signatureOf(value), source: sourceOf(value, MAX_SOURCE) };
  }

  #follow({ literal, path }) {
    let value = literal === undefined ? globalThis : LITERALS[literal];
    for (let i = 0; i < path.length; i++) {
      if (value === undefined || value === null || isProxy(value)) return { isFound: false };
      const isGlobal = i === 0 && literal === undefined;
      const name = isGlobal && hasOwn(globalThis, shadowOf(path[i])) ? shadowOf(path[i]) : path[i];
      const property = findProperty(Object(value), name);
      if (property === null) return { isFound: false };
      // Node defines globals such as `crypto` as accessors: those are safe to read.
      const isReadable = isGlobal && this.#variables.isInitialAccessor(name);
      if (property.get !== undefined && !isReadable) return { isFound: false };
      value = isReadable ? globalThis[name] : property.value;
    }
    return { isFound: true, value };
  }
}

/** The elements of an array are no names. */
function collect(object, names, isSkippingOwn = false) {
  let owner = isSkippingOwn ? getPrototypeOf(object) : object;
  for (let steps = 0; owner !== null && !isProxy(owner) && steps < MAX_PROTOTYPES; steps++) {
    const own = getOwnPropertyNames(owner);
    for (let i = 0; i < own.length && names.size < MAX_MEMBERS; i++) names.add(own[i]);
    owner = getPrototypeOf(owner);
  }
}

/** The kernel's own are none. */
function isUsersName(name) {
  return !stringStartsWith(name, SCOPE);
}

function toArray(set, isWanted = () => true) {
  const items = [];
  set.forEach((item) => isWanted(item) && arrayPush(items, item));
  return items;
}
