/** How far the next line of an unfinished cell is indented. Worker thread, pure. */

import { placeAtEnd } from './lexical.mjs';

const STEP = '  ';

/** @param {string} code @returns {string} the spaces that the next line begins with */
export function indentAfter(code) {
  const { inside, open } = placeAtEnd(code);
  if (inside === 'template' || inside === 'string') return '';
  const line = code.trimEnd().split('\n').at(-1) ?? '';
  const own = /^[ \t]*/.exec(line)[0];
  if (inside === 'comment') return own;
  const begin = code.trimEnd().length - line.length;
  return open.some(({ at }) => at >= begin) ? own + STEP : own;
}
