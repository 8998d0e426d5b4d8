/** TypeScript to JavaScript with what Node itself ships, and its syntax errors as positions. Both threads. */

import module from 'node:module';
import { placeIn } from './positions.mjs';

// Looked up, not imported: not every runtime has it, and a missing import would keep this module from loading.
const { stripTypeScriptTypes } = module;
/** Whether this runtime strips types itself. */
export const STRIPS_TYPES = stripTypeScriptTypes !== undefined;

const TAB = 4;
const NARROW = /[\p{Mn}\p{Me}\p{Cf}]/u;
const EAST_ASIAN =
  '\\u1100-\\u115f\\u2e80-\\u303e\\u3041-\\ua4cf\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe30-\\ufe6f\\uff00-\\uff60\\uffe0-\\uffe6';
const WIDE = new RegExp(`[${EAST_ASIAN}]|\\p{Emoji_Presentation}`, 'u');
const MAP_COMMENT = '\n//# sourceMappingURL=data:application/json;base64,';

/** A cell that cannot be compiled; `line` and `column` count from 1 in the user's own text. */
export class CellSyntaxError extends Error {
  name = 'SyntaxError';

  /** @param {{line: number, column: number, incomplete?: boolean}} where */
  constructor(message, { line, column, incomplete = false }) {
    super(message);
    this.line = line;
    this.column = column;
    this.incomplete = incomplete;
  }
}

/**
 * Remove the types in place where that is enough, so that positions stay; transform enums and the like, which needs a
 * source map.
 * @param {string} source
 * @returns {{code: string, mappings: string | null}}
 * @throws {CellSyntaxError}
 */
export function toJavaScript(source) {
  let isWrong = false;
  try {
    return { code: stripTypeScriptTypes(source), mappings: null };
  } catch (error) {
    if (error.code !== 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') throw positioned(error, source);
    isWrong = error.message.startsWith(DENO_INVALID);
  }
  let transformed;
  try {
    transformed = stripTypeScriptTypes(source, { mode: 'transform', sourceMap: true });
  } catch (error) {
    throw positioned(error, source);
  }
  // What transforming lets pass is a comment that does not end.
  if (isWrong) throw atEnd('Unterminated block comment', source);
  return splitSourceMap(transformed);
}

function splitSourceMap(output) {
  const at = output.lastIndexOf(MAP_COMMENT);
  const map = JSON.parse(Buffer.from(output.slice(at + MAP_COMMENT.length), 'base64').toString());
  return { code: output.slice(0, at).replace(/\n$/, ''), mappings: map.mappings };
}

/** Deno's words for what is no TypeScript; it says where, and what is wrong, only when it is asked to transform. */
const DENO_INVALID = '[InvalidSyntax]';
const DENO_ERROR = /^SyntaxError: ([^\n]*)\n[^]*\n +at [^\n]*:(\d+):(\d+)$/;

/** Node gives the position only as the drawing in front of the stack: the line number, lines and carets. */
function positioned(error, source) {
  const drawing = /^[^\n]*:(\d+)\n[^]*?\n( *)\^+\s*\n/.exec(error.stack ?? '');
  if (drawing) return new CellSyntaxError(readable(error.message), {
    ...placeDrawn(Number(drawing[1]), drawing[2].length, source),
    incomplete: isUnterminated(error.message) || isUnexpectedEnd(error.message),
  });
  const place = DENO_ERROR.exec(error.message);
  if (place !== null) return positionedByDeno(place, source);
  return atEnd(error.message === 'Expression expected' ? 'Unexpected end of input' : readable(error.message), source);
}

/** The place of a drawing, whose lines end with returns or line feeds only. */
function placeDrawn(line, width, source) {
  const text = source.split(/(?<=\r\n|\n|\r(?!\n))/);
  const before = text.slice(0, line - 1).join('').length;
  return placeIn(source, before + columnOf(width, (text[line - 1] ?? '').replace(/[\r\n]+$/, '')) - 1);
}

function positionedByDeno([, message, lineText, columnText], source) {
  const before = source.split('\n').slice(0, lineText - 1).join('\n').length;
  const place = placeIn(source, before + (before > 0 ? 1 : 0) + Number(columnText) - 1);
  const [line, column] = [Number(lineText), Number(columnText)];
  const lines = source.trimEnd().split('\n');
  const isAtEnd = line > lines.length || (line === lines.length && column > lines.at(-1).length);
  return new CellSyntaxError(readable(message), { ...place, incomplete: isAtEnd || isUnterminated(message) });
}

function atEnd(message, source) {
  return new CellSyntaxError(message, { ...placeIn(source, source.trimEnd().length), incomplete: true });
}

/** The drawing is as wide as a terminal shows it: tabs go to the next stop, some characters take no or two columns. */
function columnOf(width, line) {
  let drawn = 0;
  let column = 1;
  for (const character of line) {
    if (drawn >= width) break;
    drawn += character === '\t' ? TAB - drawn % TAB : NARROW.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
    column += character.length;
  }
  return column;
}

function isUnterminated(message) {
  return /^Unterminated (template|block comment|regexp)/.test(message);
}

function readable(message) {
  return isUnexpectedEnd(message) ? 'Unexpected end of input' : message.replace("'<eof>'", 'end of input');
}

function isUnexpectedEnd(message) {
  return message === 'Unexpected eof' || message.startsWith('Unexpected token `<eof>`');
}
