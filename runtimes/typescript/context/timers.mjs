/** Timers of the running cell, so that an interrupt stops loops that wait between their rounds. Main thread. */

import { promisify } from 'node:util';
import {
  SafeMap, clearImmediate, clearInterval, clearTimeout, defineProperty, reflectApply, setImmediate, setInterval,
  setTimeout,
} from '../shared/primordials.mjs';

const TIMERS = [
  { name: 'setTimeout', start: setTimeout, clear: clearTimeout, repeats: false },
  { name: 'setInterval', start: setInterval, clear: clearInterval, repeats: true },
  { name: 'setImmediate', start: setImmediate, clear: clearImmediate, repeats: false },
];

export class CellTimers {
  #context;
  #evaluator;
  /** Timers of the running cell with the function that clears each; a cell that has ended keeps its own. */
  #timers = new SafeMap();

  /** @param {{context: import('./cell.mjs').CellContext, evaluator: import('./evaluator.mjs').Evaluator}} options */
  constructor({ context, evaluator }) {
    this.#context = context;
    this.#evaluator = evaluator;
  }

  /** Replace the global timer functions by ones that remember what the running cell started. */
  install() {
    for (const timer of TIMERS) {
      const value = this.#tracked(timer);
      defineProperty(value, 'name', { value: timer.name });
      defineProperty(value, promisify.custom, { value: timer.start[promisify.custom] });
      globalThis[timer.name] = value;
    }
  }

  cancel() {
    this.#timers.forEach((clear, handle) => clear(handle));
    this.#timers.clear();
  }

  release() {
    this.#timers.clear();
  }

  #tracked({ start, clear, repeats }) {
    const timers = this.#timers;
    const context = this.#context;
    const evaluator = this.#evaluator;
    return (callback, ...rest) => {
      const cell = context.origin;
      if (cell === null || cell !== context.running || typeof callback !== 'function') {
        return start(callback, ...rest);
      }
      const run = function (...args) {
        if (!repeats) timers.delete(handle);
        const action = () => reflectApply(callback, this, args);
        // Node's timer queues do not survive an execution that the inspector ends, so a callback is a segment.
        return cell.isSettled ? action() : evaluator.segmentOfCallback(cell, action);
      };
      const handle = start(run, ...rest);
      timers.set(handle, clear);
      return handle;
    };
  }
}
