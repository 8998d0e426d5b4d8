/** Which value an expression in front of the cursor names, as far as that is told without running it. Worker thread, pure. */

import { openingOf, placeAtEnd } from './lexical.mjs';

const NAME = /[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u;
const NUMBER = /(?:^|[^\p{ID_Continue}$.])\d[\d_]*(?:\.\d*)?$/u;
/** What may stand in front of a bracket that begins a literal rather than an access or a call. */
const VALUE_END = /[\p{ID_Continue}$)\]'"`]$/u;
const WORDS_BEFORE_VALUES = /(?:^|[^.\p{ID_Continue}$])(?:return|typeof|case|in|of|new|delete|void|throw|await|yield)$/u;

/**
 * Something that the text names: `a.b.c`, or members of a literal of that kind.
 * @typedef {{literal?: string, path: string[]}} Subject
 *
 * What knows the context's values; the answer is null when it is busy.
 * @typedef {{ask: (question: object) => Promise<any>}} MainThread
 */

/**
 * The subject that ends where the text ends: `a.b[0]['c']`, `'text'`, `[1, 2]`.
 * @param {string} text
 * @returns {Subject | null}
 */
export function subjectAtEnd(text) {
  if (endsInRegExp(text)) return { literal: 'regexp', path: [] };
  const path = [];
  let rest = text.trimEnd();
  for (;;) {
    const name = NAME.exec(rest)?.[0];
    if (name !== undefined) {
      path.unshift(name);
      rest = rest.slice(0, -name.length).trimEnd();
      if (!endsInAccess(rest)) return withoutThis(path);
      rest = withoutAccess(rest);
      if (endsInRegExp(rest)) return { literal: 'regexp', path };
      continue;
    }
    const key = keyAtEnd(rest);
    if (key === null) return literalAtEnd(rest, path);
    path.unshift(key.name);
    rest = key.rest;
  }
}

/** `this` at the top level is the global object. */
function withoutThis(path) {
  return { path: path[0] === 'this' ? path.slice(1) : path };
}

/** Whether a member of what stands before follows; three dots spread something, two may follow a number. */
export function endsInAccess(text) {
  return text.endsWith('.') && (!text.endsWith('..') || /\d\.\.$/.test(text));
}

/** Without the dot, and the mark of an optional or a non-null access. */
export function withoutAccess(text) {
  return text.replace(/(?:\?\.|!\.|\.)$/, '').trimEnd();
}

/** A constant key in brackets: `[0]`, `['name']`. */
function keyAtEnd(text) {
  if (!text.endsWith(']')) return null;
  const open = openingOf(text, text.length - 1);
  if (open === -1) return null;
  const before = text.slice(0, open).trimEnd().replace(/\?\.$/, '');
  if (!VALUE_END.test(before) || WORDS_BEFORE_VALUES.test(before)) return null;
  const key = /^\s*(?:(\d+)|'([^'\\]*)'|"([^"\\]*)")\s*$/.exec(text.slice(open + 1, -1));
  return key === null ? null : { name: key[1] ?? key[2] ?? key[3], rest: before };
}

function literalAtEnd(text, path) {
  const literal = literalKind(text);
  return literal === null ? null : { literal, path };
}

function literalKind(text) {
  const last = text.at(-1);
  if (last === '"' || last === "'" || last === '`') {
    return placeAtEnd(text.slice(0, -1)).inside === (last === '`' ? 'template' : 'string') ? 'string' : null;
  }
  if (last === ']') {
    const before = text.slice(0, Math.max(0, openingOf(text, text.length - 1))).trimEnd();
    return openingOf(text, text.length - 1) !== -1 && isBeforeValue(before) ? 'array' : null;
  }
  return NUMBER.test(text) ? 'number' : null;
}

function endsInRegExp(text) {
  const flags = /\/[a-z]*$/.exec(text);
  return flags !== null && placeAtEnd(text.slice(0, flags.index)).inside === 'regexp';
}

function isBeforeValue(before) {
  return !VALUE_END.test(before) || WORDS_BEFORE_VALUES.test(before);
}
