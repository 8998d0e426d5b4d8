/** Names: those that the kernel adds to the global scope, and any as a part of a pattern. Both threads. */

/** What generated code refers to; see the main thread's `context/scope.mjs`. */
export const SCOPE = '__polyrepl';

/**
 * Where a cell's name is kept that is also a global of the runtime, so that packages and the runtime keep theirs.
 * @param {string} name
 */
export function shadowOf(name) {
  return `${SCOPE}_${name}`;
}

/** A name as a part of a regular expression. Node 22 has no `RegExp.escape`. @param {string} name */
export function asPattern(name) {
  return name.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
