/** complete_request: names, members, modules and files that fit in front of the cursor. Worker thread. */

import { placeAtEnd } from './lexical.mjs';
import { modulesFor, pathsFor } from './specifiers.mjs';
import { endsInAccess, subjectAtEnd, withoutAccess } from './subjects.mjs';

const KEYWORDS = [
  'abstract', 'any', 'as', 'async', 'await', 'bigint', 'boolean', 'break', 'case', 'catch', 'class', 'const',
  'continue', 'debugger', 'declare', 'default', 'delete', 'do', 'else', 'enum', 'export', 'extends', 'false', 'finally',
  'for', 'from', 'function', 'get', 'if', 'implements', 'import', 'in', 'infer', 'instanceof', 'interface', 'is',
  'keyof', 'let', 'namespace', 'never', 'new', 'null', 'number', 'object', 'of', 'override', 'private', 'protected',
  'public', 'readonly', 'return', 'satisfies', 'set', 'static', 'string', 'super', 'switch', 'symbol', 'this', 'throw',
  'true', 'try', 'type', 'typeof', 'undefined', 'unknown', 'using', 'var', 'void', 'while', 'yield',
];
const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;
const PREFIX = /[\p{ID_Continue}$\u200c\u200d]*$/u;
/** What stands before the string that names a module. */
const BEFORE_SPECIFIER = /(?:\bfrom|\bimport|\b(?:import|require|require\.resolve)\s*\(|\bimport\.meta\.resolve\s*\()\s*$/;
const MAX_MATCHES = 1000;

/**
 * @param {{code: string, position?: number}} place - the cursor's, in characters
 * @param {import('./subjects.mjs').MainThread} main
 * @returns {Promise<object>} the content of a complete_reply
 */
export async function complete({ code, position }, main) {
  const before = beforeCursor(code, position);
  const { prefix, candidates } = await candidatesFor(before, main);
  const end = characters(before);
  const matches = [...new Set(candidates)].filter((name) => name.startsWith(prefix)).sort(byUse).slice(0, MAX_MATCHES);
  return { status: 'ok', matches, cursor_start: end - characters(prefix), cursor_end: end, metadata: {} };
}

/** Jupyter counts the cursor in characters, JavaScript's strings in UTF-16 units. */
export function beforeCursor(code, position) {
  return position === undefined ? code : [...code].slice(0, position).join('');
}

/** Alphabetically, what is not meant to be used last. */
function byUse(a, b) {
  const isLast = a.startsWith('__');
  return isLast === b.startsWith('__') ? (a < b ? -1 : 1) : isLast ? 1 : -1;
}

function characters(text) {
  return [...text].length;
}

/** @returns {Promise<{prefix: string, candidates: string[]}>} */
async function candidatesFor(before, main) {
  const { inside, start } = placeAtEnd(before);
  if (inside === 'code') return namesOrMembers(before, main);
  if (inside !== 'string' && inside !== 'template') return { prefix: '', candidates: [] };
  const typed = before.slice(start + 1);
  if (BEFORE_SPECIFIER.test(before.slice(0, start))) return modulesFor(typed);
  return pathsFor(typed);
}

async function namesOrMembers(before, main) {
  const [prefix] = PREFIX.exec(before);
  const rest = before.slice(0, before.length - prefix.length).trimEnd();
  if (!endsInAccess(rest)) return { prefix, candidates: /^\d/.test(prefix) ? [] : [...KEYWORDS, ...await named(main)] };
  const subject = subjectAtEnd(withoutAccess(rest));
  const members = subject === null ? [] : await main.ask({ type: 'members', subject }) ?? [];
  return { prefix, candidates: members.filter((name) => IDENTIFIER.test(name)) };
}

async function named(main) {
  const names = await main.ask({ type: 'names' }) ?? [];
  return names.filter((name) => IDENTIFIER.test(name));
}
