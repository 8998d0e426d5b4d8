/** The names that the kernel adds to the global scope. Both threads. */

/** What generated code refers to; see the main thread's `context/scope.mjs`. */
export const SCOPE = '__polyrepl';

/**
 * Where a cell's name is kept that is also a global of the runtime, so that packages and the runtime keep theirs.
 * @param {string} name
 */
export function shadowOf(name) {
  return `${SCOPE}_${name}`;
}
