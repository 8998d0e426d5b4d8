/** How a function or a class is declared, taken from its source text; runs none of the user's code. Main thread. */

import { charCodeAt, functionToString, regExpExec, stringIndexOf, stringSlice, stringTrim } from '../shared/primordials.mjs';
import { isClass, isProxy, ownValue } from './values.mjs';

const MAX_HEADER = 2000;
const OPENING = '([{';
const CLOSING = ')]}';
const QUOTES = '\'"`';

/** @param {Function} value @returns {string} `name(a, b)`, `class A extends B` */
export function signatureOf(value) {
  if (isProxy(value)) return 'Proxy';
  const source = stringSlice(functionToString(value), 0, MAX_HEADER);
  const name = nameOf(value);
  if (isClass(value)) return `class ${name || '(anonymous)'}${heritage(source)}`;
  return `${name || '(anonymous)'}(${oneLine(parameters(source))})`;
}

/** @param {Function} value @param {number} room @returns {string} */
export function sourceOf(value, room) {
  const source = isProxy(value) ? '' : functionToString(value);
  return source.length > room ? `${stringSlice(source, 0, room)}…` : source;
}

function nameOf(value) {
  const name = ownValue(value, 'name');
  return typeof name === 'string' ? name : '';
}

function heritage(source) {
  const found = regExpExec(/^class\s*[^\s{]*\s*extends\s+([^{]*)/, source);
  return found === null ? '' : ` extends ${oneLine(found[1])}`;
}

/** What stands between the parentheses of the declaration; native code has none that say anything. */
function parameters(source) {
  const bare = regExpExec(/^(?:async\s+)?([\p{ID_Start}$_][\p{ID_Continue}$]*)\s*=>/u, source);
  if (bare !== null) return bare[1];
  if (regExpExec(/\{\s*\[native code\]\s*\}$/, source) !== null) return '…';
  const open = stringIndexOf(source, '(', startOfParameters(source));
  return open === -1 ? '…' : stringSlice(source, open + 1, endOfParameters(source, open));
}

/** A computed method name may have parentheses of its own. */
function startOfParameters(source) {
  const computed = regExpExec(/^(?:static\s+)?(?:async\s*)?(?:[*]\s*)?(?:get\s+|set\s+)?\[/, source);
  return computed === null ? 0 : endOfParameters(source, computed[0].length - 1);
}

function endOfParameters(source, open) {
  let depth = 0;
  for (let i = open; i < source.length; i++) {
    const character = source[i];
    if (stringIndexOf(QUOTES, character) !== -1) i = endOfQuoted(source, i);
    else if (stringIndexOf(OPENING, character) !== -1) depth++;
    else if (stringIndexOf(CLOSING, character) !== -1 && --depth === 0) return i;
  }
  return source.length;
}

function endOfQuoted(source, start) {
  const quote = charCodeAt(source, start);
  for (let i = start + 1; i < source.length; i++) {
    const code = charCodeAt(source, i);
    if (code === 0x5c) i++;
    else if (code === quote) return i;
  }
  return source.length;
}

/** Types that were stripped have left spaces: none is kept behind an opening or before a closing one or a comma. */
function oneLine(text) {
  let line = '';
  let isSpaced = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (stringTrim(character) === '') {
      isSpaced = line !== '' && stringIndexOf(OPENING, line[line.length - 1]) === -1;
    } else {
      line += isSpaced && stringIndexOf(`,${CLOSING}`, character) === -1 ? ` ${character}` : character;
      isSpaced = false;
    }
  }
  return line;
}
