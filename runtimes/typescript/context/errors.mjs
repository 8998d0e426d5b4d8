/** Errors as the user sees them: their own lines and columns, no frames of the kernel. Main thread. */

import { inspect } from 'node:util';
import { KeyboardInterrupt } from './cell.mjs';
import { localPath, withoutVersion } from '../modules/local-files.mjs';
import { ProcessExit } from './process/exit.mjs';
import { isKernelFile, isRuntimeFile } from '../shared/platform.mjs';
import { PositionMaps } from '../shared/positions.mjs';
import {
  arrayJoin, arrayPush, errorToString, hasOwn, objectPrototype, regExpExec, stringIncludes, stringSplit, stringStartsWith,
} from '../shared/primordials.mjs';

const CELL_FILE = /^(?:cell|uncounted)_\d+\.ts$/;
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
   * @param {import('./cell.mjs').Cell} cell
   * @returns {{status: 'error', ename: string, evalue: string, traceback: string[]}}
   */
  describe(cell, error) {
    if (error instanceof KeyboardInterrupt || error instanceof ProcessExit) {
      const { name, message } = error;
      return failure(name, message, [`${name}: ${message}`]);
    }
    if (!isErrorLike(error)) {
      const text = inspect(error);
      return failure('Error', typeof error === 'string' ? error : text, stringSplit(`Uncaught ${text}`, '\n'));
    }
    return failure(nameOf(error), messageOf(error), stringSplit(this.format(error), '\n'));
  }

  /** @returns {string} never throws, whatever was thrown */
  format(error) {
    try {
      return error instanceof SuppressedError ? suppressed(error) : inspect(error);
    } catch {
      return 'an error that cannot be shown';
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

/** What went wrong during disposal, and what had gone wrong before it; `inspect` shows neither. */
function suppressed(error) {
  const parts = `  [error]: ${inspect(error.error)}\n[suppressed]: ${inspect(error.suppressed)}`;
  return `${error.stack} {\n${arrayJoin(stringSplit(parts, '\n'), '\n  ')}\n}`;
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
    return errorToString(error);
  } catch {
    return 'Error';
  }
}

function isErrorLike(value) {
  if (value === null || typeof value !== 'object') return false;
  return value instanceof Error || typeof value.stack === 'string';
}

function nameOf(error) {
  const { name } = error;
  return typeof name === 'string' && name !== '' ? name : 'Error';
}

function messageOf(error) {
  const { message } = error;
  return typeof message === 'string' ? message : inspect(message);
}

function failure(ename, evalue, traceback) {
  if (!hasOwn(objectPrototype, 'then')) return { status: 'error', ename, evalue, traceback };
  const hint = 'This context is damaged: earlier code set Object.prototype.then, so that no await ends. Restart the context.';
  arrayPush(traceback, hint);
  return { status: 'error', ename, evalue, traceback, hint };
}
