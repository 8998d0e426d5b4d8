/** inspect_request, and `name?` as a cell: signature, type, documentation, value or source of what is named. Worker thread. */

import { beforeCursor } from './completion.mjs';
import { placeAtEnd } from './lexical.mjs';
import { subjectAtEnd } from './subjects.mjs';

const REST_OF_NAME = /^[\p{ID_Continue}$\u200c\u200d]*/u;
/** A cell that asks for help: TypeScript has no program that ends like this. */
const HELP = /^\s*(\?{0,2})\s*([\p{ID_Start}$_][\p{ID_Continue}$.[\]'"]*?)\s*(\?{0,2})\s*$/u;

/**
 * @param {{code: string, position?: number, detail?: number}} place - the cursor's, in characters, and how much to tell
 * @param {import('./subjects.mjs').MainThread} main
 * @param {import('./documentation.mjs').Documentation} documentation
 * @returns {Promise<object>} the content of an inspect_reply
 */
export async function inspect({ code, position, detail = 0 }, main, documentation) {
  const before = beforeCursor(code, position);
  const rest = REST_OF_NAME.exec(code.slice(before.length))[0];
  const data = await describe(before + rest, detail, main, documentation) ??
    await describe(calledAround(before), detail, main, documentation);
  return { status: 'ok', found: data !== null, data: data ?? {}, metadata: {} };
}

/**
 * What a cell asks help for.
 * @param {string} code
 * @returns {{text: string, detail: number} | null} null for any other cell
 */
export function helpAskedFor(code) {
  const found = code.length < 1000 && code.includes('?') ? HELP.exec(code) : null;
  if (found === null || (found[1] === '') === (found[3] === '')) return null;
  return { text: found[2], detail: (found[1] || found[3]).length - 1 };
}

/**
 * @param {string} text - ends with what is to be described
 * @param {number} detail - 1: with the source
 * @returns {Promise<Record<string, string> | null>} a MIME bundle
 */
export async function describe(text, detail, main, documentation) {
  const subject = text === '' || placeAtEnd(text).inside !== 'code' ? null : subjectAtEnd(text);
  const facts = subject === null || subject.path.length === 0 ? null : await main.ask({ type: 'describe', subject });
  if (facts === null) return null;
  const documented = documentation.of(subject.path);
  const lines = [
    ...(facts.signature === undefined ? [] : [`Signature: ${facts.signature}`]),
    `Type:      ${facts.type}`,
    ...(facts.value === undefined ? [] : [`Value:     ${facts.value}`]),
    ...(documented === null ? [] : ['Documentation:', documented]),
    ...(facts.source !== undefined && detail > 0 ? ['Source:', facts.source] : []),
  ];
  return { 'text/plain': lines.join('\n') };
}

/** The text up to the function whose arguments the cursor is among. */
function calledAround(before) {
  const { open } = placeAtEnd(before);
  const call = open.findLast(({ bracket }) => bracket !== '[' && bracket !== '{');
  return call?.bracket === '(' ? before.slice(0, call.at) : '';
}
