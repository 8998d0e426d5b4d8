/** A cell's source text to a program for the evaluator, or a syntax error in the user's lines. Worker thread. */

import { compileTypeScript, hasMergedNamespaces, mayNeedCompiler, restoreUsing } from '../shared/compiler.mjs';
import { PositionMap, placeIn } from '../shared/positions.mjs';
import { rewriteCell } from './rewrite.mjs';
import { Shadows } from './shadows.mjs';
import { parseJavaScript } from './syntax-tree.mjs';
import { CellSyntaxError, STRIPS_TYPES, toJavaScript } from '../shared/typescript.mjs';

/**
 * @typedef {object} Program
 * @property {string} code
 * @property {'script' | 'generator'} kind
 * @property {boolean} hasValue
 * @property {string[]} names - globals that the cell declares
 * @property {string[]} shadows - those of them that leave the runtime's global of the same name alone
 * @property {string[]} late - those of them that are nothing before their declaration has run
 * @property {boolean} resetNames - whether they must not keep a value of an earlier cell (enums merge with theirs)
 * @property {import('../shared/positions.mjs').PositionData | null} positions - null when generated and own positions agree
 */

/** Declarations that go on with a value of the same name, if there is one. */
const MERGING = /\b(?:enum|namespace|module)\s/;

const NO_SHADOWS = new Shadows();

/**
 * @param {string} source
 * @param {Shadows} [shadows] - names of earlier cells that are kept apart from the runtime's globals
 * @returns {Program}
 * @throws {CellSyntaxError}
 */
export function transformCell(source, shadows = NO_SHADOWS) {
  return (looksLikeObject(source) && tryCompileObject(source, shadows)) || compile(source, '', shadows);
}

/**
 * Compile one expression of `user_expressions`.
 * @param {string} source
 * @param {Shadows} [shadows]
 * @returns {Program}
 */
export function transformExpression(source, shadows = NO_SHADOWS) {
  return compileParenthesized(source, shadows) ?? compile(source, '', shadows);
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

function tryCompileObject(source, shadows) {
  try {
    return compileParenthesized(source, shadows);
  } catch {
    return null;
  }
}

function compileParenthesized(source, shadows) {
  const program = compile(`${source}\n)`, '(', shadows);
  return program.hasValue ? program : null;
}

function compile(source, prefix, shadows) {
  const { code, mappings, ast, isCompiled } = readPlain(prefix + source) ?? readTyped(prefix + source, prefix.length);
  try {
    const { pieces, ...program } = rewriteCell(code, {
      ast, typed: prefix + source, shadows, isTransformed: mappings !== null, isCompiled,
    });
    const positions = describePositions({ generated: program.code, code, pieces, mappings, prefix: prefix.length });
    return { ...program, resetNames: mappings !== null && MERGING.test(source), positions };
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
      if (error.isCertain || isSurelyJsx(source) || isBehind(failure, error)) failure = error;
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
  if (!STRIPS_TYPES || hasMergedNamespaces(source)) return readWithoutJsx(source);
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

/** Where the runtime does not do it, the compiler does. */
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
