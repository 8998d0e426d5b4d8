/**
 * An error with all that led to it: causes, the errors of an AggregateError, and what disposal suppressed, each whole
 * where `inspect` would stop at the second level. Main thread.
 */

import { inspect, types } from 'node:util';
import {
  SuppressedError, SafeSet, arrayJoin, arrayPush, getOwnPropertyDescriptor, isArray, keys, regExpExec, stringIncludes, stringSlice,
  stringSplit,
} from '../shared/primordials.mjs';
import { findProperty, isObject, isProxy, typeName } from '../values/values.mjs';

/** Errors and other values of one tree. */
const MAX_PARTS = 200;
/** Of a longer chain the last one is shown as well: it is the reason. */
const MAX_DEPTH = 32;
const MAX_CHAIN = 100_000;
const MAX_STACK = 64 * 1024;
const HEAD = /^[A-Z][\w$]*(?=:|\n|$)/;
const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;
/** What holds other errors: shown in brackets, as `inspect` does, since it is not enumerable. */
const LINKS = ['cause', 'errors', 'error', 'suppressed'];
const isNativeError = types.isNativeError;

/** @param {object} error @returns {string} */
export function describeTree(error) {
  return hasLinks(error) ? new Tree().show(error, 0) : inspect(error);
}

function isError(value) {
  return isObject(value) && !isProxy(value) && (isNativeError(value) || value instanceof Error);
}

function hasLinks(error) {
  if (!isError(error) || findProperty(error, inspect.custom) !== null) return false;
  for (let i = 0; i < LINKS.length; i++) if (isLink(error, LINKS[i])) return true;
  const names = keys(error);
  for (let i = 0; i < names.length && i < MAX_PARTS; i++) {
    if (isError(getOwnPropertyDescriptor(error, names[i])?.value)) return true;
  }
  return false;
}

/** Any other error may have properties of these names that mean something else. */
function isLink(error, name) {
  const property = getOwnPropertyDescriptor(error, name);
  if (property === undefined || !('value' in property)) return false;
  if (name === 'error' || name === 'suppressed') return error instanceof SuppressedError;
  return name === 'cause' || isArray(property.value);
}

/** What the stack says already. */
function isTold(error, name) {
  return (name === 'name' || name === 'message' || name === 'stack') && textIn(error, name) !== '';
}

class Tree {
  #left = MAX_PARTS;
  #path = new SafeSet();

  /** @returns {string} */
  show(value, depth) {
    if (this.#path.has(value)) return '[Circular]';
    if (this.#left-- <= 0) return '…';
    if (!hasLinks(value)) return shown(value);
    if (depth >= MAX_DEPTH) return this.#cutChain(value);
    this.#path.add(value);
    const entries = this.#entries(value, depth);
    this.#path.delete(value);
    const stack = stackOf(value);
    return entries.length === 0 ? stack : `${stack} {\n${indented(arrayJoin(entries, ',\n'))}\n}`;
  }

  #entries(error, depth) {
    const entries = [];
    const names = keys(error);
    for (let i = 0; i < names.length && this.#left > 0; i++) {
      const property = getOwnPropertyDescriptor(error, names[i]);
      if (property === undefined || isLink(error, names[i]) || isTold(error, names[i])) continue;
      this.#left--;
      arrayPush(entries, `${keyOf(names[i])}: ${this.#property(property, depth)}`);
    }
    for (let i = 0; i < LINKS.length; i++) {
      if (!isLink(error, LINKS[i])) continue;
      const { value } = getOwnPropertyDescriptor(error, LINKS[i]);
      arrayPush(entries, `[${LINKS[i]}]: ${LINKS[i] === 'errors' ? this.#list(value, depth) : this.show(value, depth + 1)}`);
    }
    return entries;
  }

  #property(property, depth) {
    if (!('value' in property)) return '[Getter]';
    return isError(property.value) ? this.show(property.value, depth + 1) : shown(property.value);
  }

  #list(errors, depth) {
    const parts = [];
    for (let i = 0; i < errors.length; i++) {
      if (this.#left <= 0) {
        arrayPush(parts, `… ${errors.length - i} more`);
        break;
      }
      const item = getOwnPropertyDescriptor(errors, i);
      arrayPush(parts, this.show(item?.value, depth + 1));
    }
    return parts.length === 0 ? '[]' : `[\n${indented(arrayJoin(parts, ',\n'))}\n]`;
  }

  #cutChain(error) {
    const seen = new SafeSet();
    let last = error;
    while (isError(last) && isLink(last, 'cause') && !seen.has(last) && seen.size < MAX_CHAIN) {
      seen.add(last);
      last = getOwnPropertyDescriptor(last, 'cause').value;
    }
    if (seen.size === 0) return stackOf(error);
    return `… ${seen.size} more, the last:\n${isError(last) ? stackOf(last) : shown(last)}`;
  }
}

/** @returns {string} never throws */
function shown(value) {
  try {
    return inspect(value);
  } catch {
    return isError(value) ? stackOf(value) : 'a value that cannot be shown';
  }
}

/** The stack, headed by the error's class and its name where they differ, as `inspect` has it. */
function stackOf(error) {
  const stack = textIn(error, 'stack') || `${textIn(error, 'name') || typeName(error)}: ${textIn(error, 'message')}`;
  const text = stringSlice(stack, 0, MAX_STACK);
  const head = regExpExec(HEAD, text)?.[0] ?? '';
  const type = typeName(error);
  const name = textIn(error, 'name') || head;
  const title = stringIncludes(name, type) ? name : `${type} [${name}]`;
  return head === '' ? text : title + stringSlice(text, head.length);
}

/** @returns {string} what a property holds, which may be a getter of the user's */
function textIn(error, name) {
  try {
    const value = error[name];
    return typeof value === 'string' ? value : '';
  } catch {
    return '';
  }
}

function keyOf(name) {
  return regExpExec(IDENTIFIER, name) === null ? inspect(name) : name;
}

function indented(text) {
  return `  ${arrayJoin(stringSplit(text, '\n'), '\n  ')}`;
}
