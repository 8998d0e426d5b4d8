/** The process listeners that the kernel lives by, put back when user code removed them. Main thread. */

import process from 'node:process';
import { arrayPush } from '../../shared/primordials.mjs';

const rawListeners = process.rawListeners.bind(process);
const removeListener = process.removeListener.bind(process);
// Before the user's: who listens once is gone when those behind it are called.
const addListener = process.prependListener.bind(process);

export class KeptListeners {
  #kept = [];

  /** @param {string} event @param {(...args: any[]) => void} listener */
  add(event, listener) {
    arrayPush(this.#kept, { event, listener });
    addListener(event, listener);
  }

  /** Without them the next SIGINT or late error would end the process. */
  restore() {
    for (let i = 0; i < this.#kept.length; i++) {
      const { event, listener } = this.#kept[i];
      if (!includes(rawListeners(event), listener)) addListener(event, listener);
    }
  }

  /** Whether user code listens, too. @param {string} event */
  hasOthers(event) {
    return this.#others(event).length > 0;
  }

  /** End what user code does at an event. @param {string} event @returns {Function[]} what it was */
  removeOthers(event) {
    const others = this.#others(event);
    for (let i = 0; i < others.length; i++) removeListener(event, others[i]);
    return others;
  }

  #others(event) {
    const listeners = rawListeners(event);
    const others = [];
    for (let i = 0; i < listeners.length; i++) if (!this.#isKept(event, listeners[i])) arrayPush(others, listeners[i]);
    return others;
  }

  #isKept(event, listener) {
    for (let i = 0; i < this.#kept.length; i++) {
      if (this.#kept[i].event === event && this.#kept[i].listener === listener) return true;
    }
    return false;
  }
}

function includes(items, wanted) {
  for (let i = 0; i < items.length; i++) if (items[i] === wanted) return true;
  return false;
}
