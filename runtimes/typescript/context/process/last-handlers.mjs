/**
 * Handlers of the process for what nobody caught (`uncaughtException`, `unhandledRejection`): what they throw in their
 * turn is told, and does not end the process. Main thread.
 */

import process from 'node:process';
import { runtime } from '../../shared/platform.mjs';
import { defineProperty, reflectApply } from '../../shared/primordials.mjs';

const UNCAUGHT = 'uncaughtException';
const GUARDED = { __proto__: null, uncaughtException: true, unhandledRejection: true };
const { emit, on, once } = process;
const rawListeners = process.rawListeners.bind(process);
const removeListener = process.removeListener.bind(process);

/**
 * @param {(label: string, error: unknown) => void} report
 * @param {(action: () => any) => any} within - runs an action as part of the running cell, where there is one
 * @returns {(error: unknown, origin: string) => void} calls the handlers of `uncaughtException`
 */
export function guardLastHandlers(report, within) {
  if (runtime.emitsItself) return guardNativeEmitter(report);
  // Looked up by the runtime whenever it has something to tell.
  replace('emit', function (event) {
    if (!(event in GUARDED)) return reflectApply(emit, this, arguments);
    const guarded = () => {
      try {
        return reflectApply(emit, this, arguments);
      } catch (error) {
        report('Uncaught ', error);
        return true;
      }
    };
    return runtime.forgetsCells ? within(guarded) : guarded();
  });
  return (error, origin) => process.emit(UNCAUGHT, error, origin);
}

/** Bun calls the handlers itself, unless there is a callback for all of them; it does not say which of them listen once. */
function guardNativeEmitter(report) {
  // There is room for one callback: the user's own is called by ours.
  let capture = null;
  const raise = (error, origin) => {
    const listeners = capture === null ? rawListeners(UNCAUGHT) : [capture];
    for (let i = 0; i < listeners.length; i++) {
      try {
        reflectApply(listeners[i], process, [error, origin]);
      } catch (thrown) {
        report('Uncaught ', thrown);
      }
    }
  };
  process.setUncaughtExceptionCaptureCallback((error) => raise(error, UNCAUGHT));
  replace('setUncaughtExceptionCaptureCallback', (callback) => {
    capture = callback ?? null;
  });
  replace('hasUncaughtExceptionCaptureCallback', () => capture !== null);
  replace('once', function (event, listener) {
    if (event !== UNCAUGHT || typeof listener !== 'function') return reflectApply(once, this, [event, listener]);
    const wrapper = (...args) => {
      removeListener(UNCAUGHT, wrapper);
      return reflectApply(listener, process, args);
    };
    return reflectApply(on, this, [UNCAUGHT, wrapper]);
  });
  return raise;
}

function replace(name, value) {
  defineProperty(value, 'name', { value: name });
  defineProperty(process, name, { value, writable: true, enumerable: false, configurable: true });
}
