/** Runs programs in the context's global scope, in stretches that an interrupt can end. Main thread. */

import { types } from 'node:util';
import vm from 'node:vm';
import { KeyboardInterrupt } from './cell.mjs';
import {
  SafePromise, compareExchange, generatorNext, generatorThrow, isSame, load,
  reflectApply, store, uncurryThis, wait,
} from '../shared/primordials.mjs';
import { INTERRUPTED_CELL, INTERRUPTED_CHILD, SEGMENT, SEGMENT_CELL, SEGMENT_NONE, SEGMENT_RUNNING } from '../shared/state.mjs';

const { isPromise } = types;
const { Script } = vm;
const runScript = uncurryThis(Script.prototype.runInThisContext);
const WATCHED = { breakOnSigint: true, displayErrors: false };
const PLAIN = { displayErrors: false };
const SIGNAL_WAIT_MS = 20;
const NOTHING = Symbol('nothing');
/** Termination follows a signal within a millisecond; this is for a signal that somebody else swallowed. */
const MAX_SIGNAL_WAITS = 100;

export class Evaluator {
  #shared;
  #listeners;
  #onCallbackInterrupted;
  #textImports;
  #trampoline;
  #onRejected;
  /** Where the cell awaits, as an error that was made there. @type {Error | null} */
  #place = null;
  #action = null;
  /** What the action threw: an interrupt passes no `catch` on its way out of the script. */
  #thrown = NOTHING;
  #cell = null;

  /**
   * @param {{shared: Int32Array, scope: {name: string, onSegment: (run: () => any) => void,
   *   onAwait: (note: (place: Error) => void) => void}, textImports: any,
   *   listeners: import('./process/listeners.mjs').KeptListeners,
   *   onCallbackInterrupted: (cell: import('./cell.mjs').Cell, error: Error) => void,
   *   onRejected: (error: unknown, place: Error) => void}} options - `onRejected`: told of what a cell's `await` throws
   */
  constructor({ shared, scope, textImports, listeners, onCallbackInterrupted, onRejected }) {
    this.#onRejected = onRejected;
    this.#textImports = textImports;
    this.#onCallbackInterrupted = onCallbackInterrupted;
    this.#shared = shared;
    this.#listeners = listeners;
    scope.onSegment(() => this.#runSegment());
    scope.onAwait((place) => {
      this.#place = place;
    });
    this.#trampoline = new Script(`${scope.name}.segment()`, { filename: 'node:internal/polyrepl' });
    // Between two segments, and when idle, a SIGINT from outside must not end the process.
    listeners.add('SIGINT', ignoreSignal);
  }

  /** Whether the code that runs right now is inside a watched segment. */
  get isInSegment() {
    return load(this.#shared, SEGMENT) !== SEGMENT_NONE;
  }

  /**
   * Run a program to its end. The value is boxed, since a promise as a value must not be awaited on the way.
   * @param {import('./cell.mjs').Cell} cell
   * @param {{code: string, kind: 'script' | 'generator', hasValue: boolean, file: string}} program - what the worker's `compile/transform.mjs` makes of a cell
   * @returns {Promise<{value: any}>}
   */
  async evaluate(cell, program) {
    const script = new Script(program.code, { filename: program.file, importModuleDynamically: this.#textImports });
    let value = this.segment(cell, () => runScript(script, PLAIN));
    if (program.kind === 'generator') value = (await this.#drain(cell, reflectApply(value, globalThis, []))).value;
    if (!program.hasValue) return { value: undefined };
    return isPromise(value) ? this.settle(cell, value) : { value };
  }

  /** Run a generator cell: each yield is a top-level await. */
  async #drain(cell, generator) {
    let resume = generatorNext;
    let argument;
    for (;;) {
      this.#place = null;
      const step = this.segment(cell, () => resume(generator, argument));
      if (step.done) return step;
      try {
        argument = (await this.settle(cell, step.value)).value;
        resume = generatorNext;
      } catch (error) {
        if (this.#place !== null) this.#onRejected(error, this.#place);
        argument = error;
        resume = generatorThrow;
      }
      // A cell that was given up meanwhile must not go on.
      if (cell.isSettled) throw new KeyboardInterrupt();
    }
  }

  /**
   * Await something for a cell, until it settles or the cell is interrupted.
   * @returns {Promise<{value: any}>}
   */
  settle(cell, awaited) {
    return new SafePromise((resolve, reject) => {
      if (load(this.#shared, INTERRUPTED_CELL) === cell.id && !cell.sawInterrupt) {
        cell.sawInterrupt = true;
        reject(new KeyboardInterrupt());
        return;
      }
      const settled = (action) => (result) => {
        cell.rejectAwait = null;
        action(result);
      };
      cell.rejectAwait = settled(reject);
      forward(awaited, settled(resolve), cell.rejectAwait);
    });
  }

  /**
   * Run a synchronous action under the SIGINT watchdog.
   * @template T
   * @param {import('./cell.mjs').Cell} cell
   * @param {() => T} action
   * @returns {T}
   * @throws {KeyboardInterrupt} when it was interrupted
   */
  segment(cell, action) {
    if (cell.isSettled) throw new KeyboardInterrupt();
    this.#cell = cell;
    this.#action = action;
    this.#thrown = NOTHING;
    this.#listeners.restore();
    try {
      return runScript(this.#trampoline, WATCHED);
    } catch (error) {
      throw isSame(error, this.#thrown) ? error : new KeyboardInterrupt();
    } finally {
      this.#thrown = NOTHING;
      store(this.#shared, SEGMENT, SEGMENT_NONE);
      this.#listeners.restore();
    }
  }

  /** Whether a cell failed because the child that it waited for was interrupted: not every runtime ends it then. */
  isInterruptedInChild(cell) {
    return load(this.#shared, INTERRUPTED_CHILD) === cell.id && !cell.sawInterrupt;
  }

  /** Run a callback that nobody awaits: an interrupt of it has to end what the cell itself awaits. */
  segmentOfCallback(cell, action) {
    try {
      return this.segment(cell, action);
    } catch (error) {
      if (!KeyboardInterrupt.is(error)) throw error;
      cell.sawInterrupt = true;
      this.#onCallbackInterrupted(cell, error);
      return undefined;
    }
  }

  /** Called by the trampoline, so that all between the two marks is inside the watchdog's reach. */
  #runSegment() {
    const action = this.#action;
    this.#action = null;
    if (action === null) return undefined;
    store(this.#shared, SEGMENT_CELL, this.#cell.id);
    store(this.#shared, SEGMENT, SEGMENT_RUNNING);
    try {
      return action();
    } catch (error) {
      this.#thrown = error;
      throw error;
    } finally {
      this.#leaveSegment();
    }
  }

  /** Once the worker has sent SIGINT the segment may only end by it; otherwise the signal would hit the next one. */
  #leaveSegment() {
    const shared = this.#shared;
    for (let waits = 0; waits < MAX_SIGNAL_WAITS; waits++) {
      const state = compareExchange(shared, SEGMENT, SEGMENT_RUNNING, SEGMENT_NONE);
      if (state === SEGMENT_RUNNING || state === SEGMENT_NONE) return;
      wait(shared, SEGMENT, state, SIGNAL_WAIT_MS);
    }
  }
}

/** `await` rather than `.then`: user code may have replaced that. */
async function forward(awaited, resolve, reject) {
  let value;
  try {
    value = await awaited;
  } catch (error) {
    reject(error);
    return;
  }
  resolve({ value });
}

function ignoreSignal() {}
