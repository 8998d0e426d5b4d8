/** `prompt`, `confirm` and `alert`: synchronous questions to the client over the stdin channel. Main thread. */

import { receiveMessageOnPort } from 'node:worker_threads';
import { KeyboardInterrupt } from './cell.mjs';
import { defineProperty, load, regExpExec, store, wait } from './primordials.mjs';
import {
  STDIN, STDIN_IDLE, STDIN_INTERRUPTED, STDIN_REFUSED, STDIN_WAITING,
} from './shared-state.mjs';

const END_OF_INPUT = '\x04';
const WAIT_MS = 1000;

class StdinNotImplementedError extends Error {
  name = 'StdinNotImplementedError';

  constructor() {
    super('this request does not allow input (allow_stdin is false)');
  }
}

/**
 * @param {{post: (message: object) => void, context: import('./cell.mjs').CellContext, shared: Int32Array,
 *   stdinPort: import('node:worker_threads').MessagePort, output: {write: (name: string, text: string) => void}}} options
 */
export function installPrompts({ post, context, shared, stdinPort, output }) {
  stdinPort.unref();

  /** @returns {string | null} null at the end of input */
  function ask(text) {
    store(shared, STDIN, STDIN_WAITING);
    post({ type: 'input', prompt: text, password: false, cell: context.originId });
    while (load(shared, STDIN) === STDIN_WAITING) wait(shared, STDIN, STDIN_WAITING, WAIT_MS);
    const state = load(shared, STDIN);
    store(shared, STDIN, STDIN_IDLE);
    if (state === STDIN_REFUSED) throw new StdinNotImplementedError();
    if (state === STDIN_INTERRUPTED) throw new KeyboardInterrupt();
    const answer = receiveMessageOnPort(stdinPort).message;
    return answer === END_OF_INPUT ? null : answer;
  }

  function prompt(message = '', defaultValue = undefined) {
    const answer = ask(`${message}`);
    return answer === '' && defaultValue !== undefined ? `${defaultValue}` : answer;
  }

  function confirm(message = '') {
    const answer = ask(`${message} [y/N] `);
    return answer !== null && regExpExec(/^\s*y/i, answer) !== null;
  }

  function alert(message = '') {
    output.write('stdout', `${message}\n`);
  }

  const functions = { prompt, confirm, alert };
  for (const name in functions) {
    defineProperty(globalThis, name, { value: functions[name], writable: true, enumerable: false, configurable: true });
  }
}
