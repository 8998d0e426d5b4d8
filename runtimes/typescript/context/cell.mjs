/** One running cell, and which cell the code that runs right now belongs to. Main thread. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { isObject } from '../values/values.mjs';

/** The user asked to stop the cell. */
export class KeyboardInterrupt extends Error {
  name = 'KeyboardInterrupt';
  #isOwn = true;

  constructor() {
    super('Execution interrupted');
  }

  /** Of whatever was thrown: a Proxy is not asked. */
  static is(value) {
    return isObject(value) && #isOwn in value;
  }
}

export class Cell {
  isSettled = false;
  /** Set by `process.exit`. @type {import('./process/exit.mjs').ProcessExit | null} */
  exit = null;
  /** Rejects what the cell awaits at its top level. @type {((error: Error) => void) | null} */
  rejectAwait = null;
  /** Whether an interrupt was thrown into the cell where it awaited without ever letting the event loop turn. */
  sawInterrupt = false;
  /** The outcome, once settled, until the worker has it. @type {object | null} */
  outcome = null;
  /** Its standard input, once it has been used. @type {import('./stdin-stream.mjs').CellInput | null} */
  stdin = null;
  /** What the variables were compared by before the cell, where that is wanted. @type {Map<string, object> | null} */
  variablesBefore = null;
  /** Puts the environment back. @type {() => void} */
  restoreEnvironment = () => {};

  constructor(id, file) {
    this.id = id;
    this.file = file;
  }
}

const storage = new AsyncLocalStorage();
const { run, getStore } = storage;
const runStore = run.bind(storage);
const currentStore = getStore.bind(storage);

/** Which cell is being executed, and whom output belongs to. */
export class CellContext {
  /** @type {Cell | null} */
  running = null;
  #last = null;

  /** @param {Cell} cell */
  begin(cell) {
    this.running = cell;
    this.#last = cell;
  }

  end(cell) {
    if (this.running === cell) this.running = null;
  }

  /** Run a function, and all it starts, as part of a cell. */
  runAs(cell, action) {
    return runStore(cell, action);
  }

  /** The cell that the current call chain started in; without one, the running or the most recent cell. */
  get origin() {
    return currentStore() ?? this.running ?? this.#last;
  }

  get originId() {
    return this.origin?.id ?? 0;
  }
}
