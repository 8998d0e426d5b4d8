/** TypeScript to JavaScript with what Node itself ships, and its syntax errors as positions. Worker thread. */

import { stripTypeScriptTypes } from 'node:module';

const MAP_COMMENT = '\n\n//# sourceMappingURL=data:application/json;base64,';

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
  try {
    return { code: stripTypeScriptTypes(source), mappings: null };
  } catch (error) {
    if (error.code !== 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') throw positioned(error, source);
  }
  try {
    return splitSourceMap(stripTypeScriptTypes(source, { mode: 'transform', sourceMap: true }));
  } catch (error) {
    throw positioned(error, source);
  }
}

function splitSourceMap(output) {
  const at = output.lastIndexOf(MAP_COMMENT);
  const map = JSON.parse(Buffer.from(output.slice(at + MAP_COMMENT.length), 'base64').toString());
  return { code: output.slice(0, at), mappings: map.mappings };
}

/** Node gives the position only as the drawing in front of the stack: the line number, lines and carets. */
function positioned(error, source) {
  const drawing = /^[^\n]*:(\d+)\n[^]*?\n( *)\^+\s*\n/.exec(error.stack ?? '');
  if (drawing) return new CellSyntaxError(error.message, {
    line: Number(drawing[1]), column: drawing[2].length + 1, incomplete: isUnterminated(error.message),
  });
  const lines = source.trimEnd().split('\n');
  return new CellSyntaxError(readable(error.message), {
    line: lines.length, column: lines.at(-1).length + 1, incomplete: true,
  });
}

function isUnterminated(message) {
  return /^Unterminated (template|block comment|regexp)/.test(message);
}

function readable(message) {
  const isBare = message === 'Expression expected' || message.startsWith('Unexpected token `<eof>`');
  return isBare ? 'Unexpected end of input' : message.replace("'<eof>'", 'end of input');
}
