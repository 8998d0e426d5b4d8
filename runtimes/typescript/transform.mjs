/** A cell's source text to a program for the evaluator, or a syntax error in the user's lines. Worker thread. */

import { parseJavaScript, rewriteCell } from './rewrite.mjs';
import { PositionMap } from './positions.mjs';
import { CellSyntaxError, toJavaScript } from './typescript.mjs';

/**
 * @typedef {object} Program
 * @property {string} code
 * @property {'script' | 'generator'} kind
 * @property {boolean} hasValue
 * @property {string[]} names - globals that the cell declares
 * @property {boolean} resetNames - whether they must not keep a value of an earlier cell (enums merge with theirs)
 * @property {import('./positions.mjs').PositionData | null} positions - null when generated and own positions agree
 */

/**
 * @param {string} source
 * @returns {Program}
 * @throws {CellSyntaxError}
 */
export function transformCell(source) {
  return (looksLikeObject(source) && tryCompileObject(source)) || compile(source, '');
}

/**
 * Compile one expression of `user_expressions`.
 * @param {string} source
 * @returns {Program}
 */
export function transformExpression(source) {
  return compileParenthesized(source) ?? compile(source, '');
}

/**
 * Answer an is_complete_request.
 * @param {string} source
 * @returns {'complete' | 'incomplete' | 'invalid'}
 */
export function completeness(source) {
  try {
    transformCell(source);
    return 'complete';
  } catch (error) {
    return error.incomplete ? 'incomplete' : 'invalid';
  }
}

/** A statement that begins with a brace is meant as an object where it can be one, as in Node's own prompt. */
function looksLikeObject(source) {
  return /^(?:\s|\/\/.*\n|\/\*[^]*?\*\/)*\{/.test(source) && !/;\s*$/.test(source);
}

function tryCompileObject(source) {
  try {
    return compileParenthesized(source);
  } catch {
    return null;
  }
}

function compileParenthesized(source) {
  const program = compile(`${source}\n)`, '(');
  return program.hasValue ? program : null;
}

function compile(source, prefix) {
  const { code, mappings, ast } = parsePlain(prefix + source) ?? toJavaScriptOrPlain(prefix + source, prefix.length);
  try {
    const { pieces, ...program } = rewriteCell(code, { isTransformed: mappings !== null, ast });
    const positions = describePositions({ generated: program.code, code, pieces, mappings, prefix: prefix.length });
    return { ...program, resetNames: mappings !== null, positions };
  } catch (error) {
    throw fromParser(error, { code, mappings, prefix: prefix.length });
  }
}

/**
 * Valid JavaScript means the same in TypeScript, except where a comparison reads as type arguments, `f<T>(x)`. Removing
 * types that are not there would cost a fresh kernel's first cell 40 ms.
 */
function parsePlain(source) {
  if (/<[^]*>/.test(source)) return null;
  try {
    return { code: source, mappings: null, ast: parseJavaScript(source) };
  } catch {
    return null;
  }
}

/** Sloppy JavaScript that TypeScript refuses (`with`, octal literals) is still a valid cell. */
function toJavaScriptOrPlain(source, prefixLength) {
  try {
    return toJavaScript(source);
  } catch (error) {
    try {
      parseJavaScript(source);
    } catch {
      if (error.line === 1) error.column -= prefixLength;
      throw error;
    }
    return { code: source, mappings: null };
  }
}

function describePositions({ generated, code, pieces, mappings, prefix }) {
  if (pieces === null && mappings === null && prefix === 0) return null;
  return { generated, code, pieces, mappings, prefix };
}

function fromParser(error, { code, mappings, prefix }) {
  if (error.pos === undefined) return error;
  const map = new PositionMap({ generated: code, code, pieces: null, mappings, prefix });
  const before = code.slice(0, error.pos).split('\n');
  const { line, column } = map.original(before.length, before.at(-1).length + 1);
  const message = error.message.replace(/ \(\d+:\d+\)$/, '');
  const incomplete = error.pos >= code.trimEnd().length || /^Unterminated (template|comment|regular)/.test(message);
  return new CellSyntaxError(message, { line, column, incomplete });
}
