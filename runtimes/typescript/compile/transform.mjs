/** A cell's source text to a program for the evaluator, or a syntax error in the user's lines. Worker thread. */

import { compileTypeScript, mayNeedCompiler, restoreUsing } from '../shared/compiler.mjs';
import { PositionMap, placeIn } from '../shared/positions.mjs';
import { rewriteCell } from './rewrite.mjs';
import { parseJavaScript } from './syntax-tree.mjs';
import { CellSyntaxError, STRIPS_TYPES, toJavaScript } from '../shared/typescript.mjs';

/**
 * @typedef {object} Program
 * @property {string} code
 * @property {'script' | 'generator'} kind
 * @property {boolean} hasValue
 * @property {string[]} names - globals that the cell declares
 * @property {boolean} resetNames - whether they must not keep a value of an earlier cell (enums merge with theirs)
 * @property {import('../shared/positions.mjs').PositionData | null} positions - null when generated and own positions agree
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
  const { code, mappings, ast, isCompiled } = readPlain(prefix + source) ?? readTyped(prefix + source, prefix.length);
  try {
    const { pieces, ...program } = rewriteCell(code, { isTransformed: mappings !== null, isCompiled, ast });
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
function readPlain(source) {
  if (/<[^]*>/.test(source)) return null;
  try {
    return { code: source, mappings: null, ast: parseJavaScript(source) };
  } catch {
    return null;
  }
}

/** Types removed, or all of it compiled where that is not enough. */
function readTyped(source, prefixLength) {
  let failure;
  try {
    return readStripped(source);
  } catch (error) {
    failure = error;
  }
  if (mayNeedCompiler(source)) {
    try {
      return readCompiled(source);
    } catch (error) {
      if (isSurelyJsx(source) || isBehind(failure, error)) failure = error;
    }
  }
  if (failure.line === 1) failure.column -= prefixLength;
  throw failure;
}

/** What looks like an end of a tag is hardly anything else. */
function isSurelyJsx(source) {
  return /<\/(?:[\p{ID_Start}$_]|>)|\/>/u.test(source);
}

/** Who understands a text better gets further into it. */
function isBehind(error, other) {
  if (error.line === undefined || error.line < other.line) return true;
  return error.line === other.line && error.column <= other.column;
}

function readStripped(source) {
  if (!STRIPS_TYPES) return readWithoutJsx(source);
  let stripped;
  try {
    stripped = toJavaScript(source);
  } catch (error) {
    return readSloppy(source, error);
  }
  // The transform's map counts other lines than stack traces do.
  if (stripped.mappings !== null && /[\u2028\u2029]/.test(source)) return readCompiled(source, { hasJsx: false });
  return withTree(stripped);
}

/** Sloppy JavaScript that TypeScript refuses (`with`, octal literals) is still a valid cell. */
function readSloppy(source, error) {
  try {
    return withTree({ code: source, mappings: null });
  } catch {
    throw error;
  }
}

/** Where the runtime strips no types, the compiler does. */
function readWithoutJsx(source) {
  try {
    return readCompiled(source, { hasJsx: false });
  } catch (error) {
    return readSloppy(source, error);
  }
}

function readCompiled(source, options) {
  const compiled = withTree(compileTypeScript(source, options));
  restoreUsing(compiled.ast);
  return { ...compiled, isCompiled: true };
}

function withTree({ code, mappings }) {
  try {
    return { code, mappings, ast: parseJavaScript(code) };
  } catch (error) {
    throw fromParser(error, { code, mappings, prefix: 0 });
  }
}

function describePositions({ generated, code, pieces, mappings, prefix }) {
  if (pieces === null && mappings === null && prefix === 0) return null;
  return { generated, code, pieces, mappings, prefix };
}

function fromParser(error, { code, mappings, prefix }) {
  if (error.pos === undefined) return error;
  const map = new PositionMap({ generated: code, code, pieces: null, mappings, prefix });
  const place = placeIn(code, error.pos);
  const { line, column } = map.original(place.line, place.column);
  const message = error.message.replace(/ \(\d+:\d+\)$/, '');
  const incomplete = error.pos >= code.trimEnd().length || /^Unterminated (template|comment|regular)/.test(message);
  return new CellSyntaxError(message, { line, column, incomplete });
}
