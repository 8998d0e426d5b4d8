/** Errors as the user sees them: their own lines and columns, no frames of the kernel. Main thread. */

import { inspect } from 'node:util';
import { KeyboardInterrupt } from './cell.mjs';
import { describeTree } from './error-trees.mjs';
import { localPath, withoutVersion } from '../modules/local-files.mjs';
import { ProcessExit } from './process/exit.mjs';
import { isKernelFile, isRuntimeFile } from '../shared/platform.mjs';
import { SCOPE } from '../shared/names.mjs';
import { PositionMaps } from '../shared/positions.mjs';
import {
  arrayJoin, arrayPush, errorToString, hasOwn, objectPrototype, regExpExec, regExpReplace, stringIncludes, stringSplit,
  stringStartsWith,
} from '../shared/primordials.mjs';

const GENERATED = new RegExp(`\\(${SCOPE}\\.check\\([^)]*\\) ?, ?([^)]*)\\)|${SCOPE}(?:\\.early\\.|_)`, 'g');
const CELL_FILE = /^(?:cell|uncounted)_\d+\.ts$/;
/** The place of a cell's own code: its line, and the column. */
const PLACE = /^ +at (?:async )?((?:cell|uncounted)_\d+\.ts:\d+:)(\d+)$/m;
const STACK_DEPTH = 20;

export class ErrorFormatter {
  #positions = new PositionMaps();

  /** @param {import('../shared/positions.mjs').PositionData} data */
  addPositions(file, data) {
    this.#positions.add(file, data);
  }

  /** Make every stack trace of the context show cells' own positions. */
  install() {
    Error.stackTraceLimit = STACK_DEPTH;
    Error.prepareStackTrace = (error, sites) => this.#stack(error, sites);
  }

  /**
   * @returns {{status: 'error', ename: string, evalue: string, traceback: string[]}} whatever was thrown; of what
   *   cannot be read at least that
   */
  describe(error) {
    if (isOwn(error)) {
      const { name, message } = error;
      return failure(name, message, [`${name}: ${message}`]);
    }
    if (!isErrorLike(error)) {
      const text = textOf(error);
      return failure('Error', typeof error === 'string' ? error : text, stringSplit(`Uncaught ${text}`, '\n'));
    }
    const lines = stringSplit(this.format(error), '\n');
    return failure(nameOf(error), messageOf(error) ?? lines[0], lines);
  }

  /** @returns {string} never throws, whatever was thrown */
  format(error) {
    try {
      return describeTree(error);
    } catch {
      return plainText(error);
    }
  }

  /** Name the line of the cell that awaited what failed, as the runtime does of a module. @param {Error} place - made there */
  addAwait(error, place) {
    if (isOwn(error) || !isErrorLike(error)) return;
    const frame = regExpExec(PLACE, place.stack);
    const stack = read(error, 'stack');
    if (frame === null || typeof stack !== 'string' || stringIncludes(stack, frame[1])) return;
    try {
      error.stack = `${stack === '' ? headerOf(error) : stack}\n    at async ${frame[1]}${frame[2]}`;
    } catch {
      // It is frozen.
    }
  }

  #stack(error, sites) {
    const lines = [headerOf(error)];
    const frames = this.#frames(sites);
    for (let i = 0; i < frames.length; i++) arrayPush(lines, `    at ${frames[i]}`);
    return arrayJoin(lines, '\n');
  }

  /** Node's own frames tell something only above the user's: below the last cell frame they are how the cell was run. */
  #frames(sites) {
    const frames = [];
    let end = 0;
    let hasCell = false;
    for (let i = 0; i < sites.length; i++) {
      const site = sites[i];
      const file = site.getFileName() ?? '';
      if (isKernelFrame(site, file)) continue;
      const isCell = regExpExec(CELL_FILE, file) !== null;
      arrayPush(frames, isCell ? this.#cellFrame(site, file) : this.#fileFrame(site, file));
      hasCell ||= isCell;
      if (isCell || !isRuntimeFile(file)) end = frames.length;
    }
    if (hasCell) frames.length = end;
    return frames;
  }

  #cellFrame(site, file) {
    return this.#ownFrame(site, { file, shown: file });
  }

  /** Node writes frames itself, except where a local file was transformed or has changed. */
  #fileFrame(site, url) {
    const file = localPath(url) ?? url;
    const shown = withoutVersion(url);
    return this.#positions.has(file) || shown !== url ? this.#ownFrame(site, { file, shown }) : `${site}`;
  }

  #ownFrame(site, { file, shown }) {
    const { line, column } = this.#positions.original(file, site.getLineNumber() ?? 1, site.getColumnNumber() ?? 1);
    const place = `${shown}:${line}:${column}`;
    const prefix = site.isAsync() ? 'async ' : '';
    const name = nameOfFrame(site);
    return name === null ? prefix + place : `${prefix}${name} (${place})`;
  }
}

function nameOfFrame(site) {
  const name = site.getFunctionName();
  if (name === null || name === '') return null;
  if (site.isConstructor()) return `new ${name}`;
  const type = site.isToplevel() ? null : site.getTypeName();
  if (type === null || type === 'Object' || type === 'undefined' || stringIncludes(name, '.')) return name;
  return `${type}.${name}`;
}

function isKernelFrame(site, file) {
  if (isKernelFile(file)) return true;
  if (stringStartsWith(file, 'node:internal/polyrepl') || file === 'node:vm') return true;
  // How a module is found, and the script that imports for cells (`modules.mjs`).
  if (stringStartsWith(file, 'node:internal/modules/') || regExpExec(/^\/(?:.*\/)?cell\.ts$/, file) !== null) return true;
  return file === '' && site.isNative() === false && site.getFunctionName() === 'next';
}

function headerOf(error) {
  try {
    return asWritten(errorToString(error));
  } catch {
    return 'Error';
  }
}

function isOwn(error) {
  return KeyboardInterrupt.is(error) || ProcessExit.is(error);
}

function isErrorLike(value) {
  if (value === null || typeof value !== 'object') return false;
  try {
    return value instanceof Error || typeof value.stack === 'string';
  } catch {
    return false;
  }
}

function nameOf(error) {
  const name = read(error, 'name');
  return typeof name === 'string' && name !== '' ? name : 'Error';
}

function messageOf(error) {
  const message = read(error, 'message');
  if (message === undefined) return undefined;
  return typeof message === 'string' ? asWritten(message) : textOf(message);
}

/** What the engine quotes is generated code; see the worker's `compile/meanings.mjs`. */
function asWritten(message) {
  return stringIncludes(message, SCOPE) ? regExpReplace(GENERATED, message, '$1') : message;
}

/** What a property holds, which may be a getter of the user's. */
function read(object, name) {
  try {
    return object[name];
  } catch {
    return undefined;
  }
}

/** @returns {string} never throws */
function textOf(value) {
  try {
    return inspect(value);
  } catch {
    return 'a value that cannot be shown';
  }
}

/** An error whose own `inspect` fails, from its parts. */
function plainText(error) {
  const stack = read(error, 'stack');
  return typeof stack === 'string' && stack !== '' ? stack : `${nameOf(error)}: ${messageOf(error) ?? ''}`;
}

function failure(ename, evalue, traceback) {
  if (!hasOwn(objectPrototype, 'then')) return { status: 'error', ename, evalue, traceback };
  const hint = 'This context is damaged: earlier code set Object.prototype.then, so that no await ends. Restart the context.';
  arrayPush(traceback, hint);
  return { status: 'error', ename, evalue, traceback, hint };
}
