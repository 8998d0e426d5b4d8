/** The process listeners that the kernel lives by, put back when user code removed them. Main thread. */

import { arrayPush } from '../shared/primordials.mjs';

const rawListeners = process.rawListeners.bind(process);
const addListener = process.on.bind(process);

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
}

function includes(items, wanted) {
  for (let i = 0; i < items.length; i++) if (items[i] === wanted) return true;
  return false;
}
