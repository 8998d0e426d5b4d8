/** What a cell does to its own process: before it may die, all that was written gets out. Main thread. */

import process from 'node:process';
import { defineProperty, reflectApply, setImmediate } from '../../shared/primordials.mjs';

const DEADLY = ['abort', 'kill', 'execve'];
const { pid: OWN } = process;
const emit = process.emit.bind(process);

/** @param {{output: {drain: () => void}, listeners: import('./listeners.mjs').KeptListeners}} options */
export function installSignals({ output, listeners }) {
  for (const name of DEADLY) {
    const call = process[name];
    if (call === undefined) continue;
    const value = function (...args) {
      if (name === 'kill') {
        // Node gives it to the handlers of no script that it watches for interrupts.
        if (args[0] === OWN && isInterrupt(args[1]) && listeners.hasOthers('SIGINT')) return deliver();
        if (args[1] === 0) return reflectApply(call, this, args);
        listeners.restore();
      }
      output.drain();
      return reflectApply(call, this, args);
    };
    defineProperty(value, 'name', { value: name });
    defineProperty(process, name, { value, writable: true, enumerable: true, configurable: true });
  }
}

function isInterrupt(signal) {
  return signal === 'SIGINT' || signal === 2;
}

function deliver() {
  setImmediate(() => emit('SIGINT', 'SIGINT', 2));
  return true;
}
