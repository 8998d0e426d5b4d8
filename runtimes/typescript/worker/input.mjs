/** Input of cells: the main thread's questions on their way to the client, one at a time, and the answers. Worker thread. */

import { STDIN, STDIN_ANSWERED, STDIN_REFUSED, STDIN_WAITING } from '../shared/state.mjs';

/** As an input_reply: there is no more input (runtimes/README.md). */
const END_OF_INPUT = '\x04';

/**
 * @typedef {object} Question
 * @property {string} prompt
 * @property {boolean} password
 * @property {number} [reading] - of a read that goes on meanwhile, its id; without one the main thread is blocked
 */

export class Input {
  #shared;
  #port;
  #main;
  #send;
  /** Questions without an answer; the first has been sent. @type {{execution: object, question: Question}[]} */
  #pending = [];

  /**
   * @param {{shared: Int32Array, port: MessagePort, main: import('./main-thread.mjs').MainThread,
   *   send: (execution: import('./execution.mjs').Execution, question: Question) => void}} options
   */
  constructor({ shared, port, main, send }) {
    this.#shared = shared;
    this.#port = port;
    this.#main = main;
    this.#send = send;
  }

  /** @param {import('./execution.mjs').Execution | null} execution - the running one @param {Question} question */
  ask(execution, question) {
    if (!execution?.allowsStdin) return this.#refuse(question);
    // The main thread cannot ask again before it has given up what it was blocked by.
    if (question.reading === undefined) this.#drop((each) => each.question.reading === undefined);
    this.#pending.push({ execution, question });
    if (this.#pending.length === 1) this.#send(execution, question);
  }

  /** Take an input_reply. @param {unknown} value - what is no text is an empty line */
  answer(value) {
    const answered = this.#pending.shift();
    if (answered === undefined) return;
    const text = typeof value === 'string' ? value : '';
    const { reading } = answered.question;
    if (reading !== undefined) this.#main.post({ type: 'line', reading, line: text === END_OF_INPUT ? null : text });
    else if (Atomics.load(this.#shared, STDIN) === STDIN_WAITING) {
      this.#port.postMessage(text === END_OF_INPUT ? null : text);
      this.#unblock(STDIN_ANSWERED);
    }
    this.#sendFirst();
  }

  /** Forget what a cell that has ended asked. */
  finish(execution) {
    if (this.#pending.length > 0) this.#drop((each) => each.execution === execution);
  }

  #drop(isDropped) {
    const [first] = this.#pending;
    this.#pending = this.#pending.filter((each) => !isDropped(each));
    if (this.#pending[0] !== first) this.#sendFirst();
  }

  #sendFirst() {
    if (this.#pending.length > 0) this.#send(this.#pending[0].execution, this.#pending[0].question);
  }

  #refuse({ reading }) {
    if (reading === undefined) this.#unblock(STDIN_REFUSED);
    else this.#main.post({ type: 'line', reading, line: null });
  }

  #unblock(state) {
    Atomics.compareExchange(this.#shared, STDIN, STDIN_WAITING, state);
    Atomics.notify(this.#shared, STDIN);
  }
}
