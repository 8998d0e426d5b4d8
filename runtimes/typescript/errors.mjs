/** Errors as the user sees them: their own lines and columns, no frames of the kernel. Main thread. */

import { inspect } from 'node:util';
import { ProcessExit, KeyboardInterrupt } from './cell.mjs';
import { PositionMaps } from './positions.mjs';
import {
  arrayJoin, arrayPush, errorToString, regExpExec, stringIncludes, stringSplit, stringStartsWith,
} from './primordials.mjs';

const KERNEL_DIRECTORY = new URL('.', import.meta.url).href;
const CELL_FILE = /^(?:cell|uncounted)_\d+\.ts$/;
const STACK_DEPTH = 20;

export class ErrorFormatter {
  #positions = new PositionMaps();

  /** @param {import('./positions.mjs').PositionData} data */
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
      return inspect(error);
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
      arrayPush(frames, isCell ? this.#cellFrame(site, file) : `${site}`);
      hasCell ||= isCell;
      if (isCell || !stringStartsWith(file, 'node:')) end = frames.length;
    }
    if (hasCell) frames.length = end;
    return frames;
  }

  #cellFrame(site, file) {
    const { line, column } = this.#positions.original(file, site.getLineNumber() ?? 1, site.getColumnNumber() ?? 1);
    const place = `${file}:${line}:${column}`;
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
  if (type === null || type === 'Object' || stringIncludes(name, '.')) return name;
  return `${type}.${name}`;
}

function isKernelFrame(site, file) {
  if (stringStartsWith(file, KERNEL_DIRECTORY)) return true;
  if (stringStartsWith(file, 'node:internal/polyrepl') || file === 'node:vm') return true;
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
  return { status: 'error', ename, evalue, traceback };
}
