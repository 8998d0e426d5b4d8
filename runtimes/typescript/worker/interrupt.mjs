/**
 * Delivers an interrupt to the cell that runs, and to no other. Worker thread.
 *
 * Three ways in, tried by what the main thread is doing:
 * - inside a segment watched by `vm` (synchronous user code): SIGINT, sent while the segment is kept from ending;
 * - waiting (top-level await): a message, which throws into the cell's generator so that its `finally` blocks run;
 * - busy outside a watched segment (a loop in an async function or a timer): the inspector terminates the execution.
 * What ends by none of these may be waiting for a child process, which is signalled, too.
 */

import { Session as InspectorSession } from 'node:inspector';
import { setTimeout as delay } from 'node:timers/promises';
import { BlockingChild } from './children.mjs';
import { runtime } from '../shared/platform.mjs';
import {
  INTERRUPTED_CELL, INTERRUPTED_CHILD, SEGMENT, SEGMENT_CELL, SEGMENT_NONE, SEGMENT_RUNNING, SEGMENT_SIGNALLED, SEGMENT_SIGNALLING,
  STDIN, STDIN_INTERRUPTED, STDIN_WAITING,
} from '../shared/state.mjs';

const POLL_MS = 1;
/** A wait looks at least this often, however late: behind much output the worker's timers fire before it has read. */
const MIN_POLLS = 3;
/** How long an unread message means that the main thread is busy outside a watched segment. */
const STUCK_MS = 60;
/** How long a cell may clean up in `finally` blocks before it is interrupted again. */
const CLEAN_UP_MS = 1000;
/** After this long the cell is given up, whatever it still does. */
const PATIENCE_MS = 5000;

export class Interrupter {
  #shared;
  #main;
  #isCurrent;
  #inspector = null;
  /** @type {Promise<unknown> | null} */
  #termination = null;
  #seen = 0;
  #isHurried = false;
  #child = null;

  /**
   * @param {{shared: Int32Array, main: import('./main-thread.mjs').MainThread,
   *   isCurrent: (execution: import('./execution.mjs').Execution) => boolean}} options
   */
  constructor({ shared, main, isCurrent }) {
    this.#shared = shared;
    this.#main = main;
    this.#isCurrent = isCurrent;
    main.whenInterruptSeen((id) => {
      this.#seen = id;
    });
  }

  /** Resolved when no trace of an interrupt is left that could reach the next cell. */
  settled = Promise.resolve();

  /** @param {import('./execution.mjs').Execution | null} execution - the running one; null does nothing */
  interrupt(execution) {
    if (execution === null) return;
    this.#isHurried = execution.isInterrupted;
    if (execution.isInterrupted) return;
    execution.isInterrupted = true;
    this.settled = this.#deliver(execution);
  }

  async #deliver(execution) {
    Atomics.store(this.#shared, INTERRUPTED_CELL, execution.id);
    Atomics.compareExchange(this.#shared, STDIN, STDIN_WAITING, STDIN_INTERRUPTED);
    Atomics.notify(this.#shared, STDIN);
    this.#child = new BlockingChild();
    const start = performance.now();
    while (this.#isCurrent(execution)) await this.#attempt(execution, performance.now() - start > PATIENCE_MS);
    Atomics.compareExchange(this.#shared, INTERRUPTED_CELL, execution.id, 0);
    if (this.#termination !== null) await this.#useUpTermination();
  }

  async #attempt(execution, abandon) {
    if (this.#signal(execution)) return this.#endSegment(execution);
    this.#seen = 0;
    this.#main.post({ type: 'interrupt', id: execution.id, abandon });
    let isSignalled = false;
    await this.#waitWhile(execution, STUCK_MS, () => {
      isSignalled = this.#seen !== execution.id && this.#signal(execution);
      return this.#seen !== execution.id && !isSignalled;
    });
    if (!this.#isCurrent(execution)) return;
    if (isSignalled) return this.#endSegment(execution);
    // Only what has seen the interrupt may clean up. A segment entered since the last look gets the next attempt's signal.
    if (this.#seen !== execution.id) {
      this.#interruptChild(execution);
      return this.#isInSegment ? undefined : this.#terminate();
    }
    this.#isHurried = false;
    await this.#waitWhile(execution, CLEAN_UP_MS, () => !this.#isHurried);
  }

  /** Wait for what a signal ends at once, unless the segment waits for a child. */
  async #endSegment(execution) {
    await this.#waitWhile(execution, STUCK_MS);
    if (this.#isCurrent(execution) && this.#isInSegment) this.#interruptChild(execution);
  }

  #interruptChild({ id }) {
    if (this.#child.interrupt()) Atomics.store(this.#shared, INTERRUPTED_CHILD, id);
  }

  get #isInSegment() {
    return Atomics.load(this.#shared, SEGMENT) !== SEGMENT_NONE;
  }

  async #waitWhile(execution, milliseconds, condition = () => true) {
    const end = performance.now() + milliseconds;
    for (let polls = 0; this.#isCurrent(execution) && condition(); polls++) {
      if (polls >= MIN_POLLS && performance.now() >= end) return;
      await delay(POLL_MS);
    }
  }

  /**
   * Send SIGINT if the cell is inside a watched segment. The segment cannot end between the check and the signal:
   * leaving it waits for the SIGNALLING state to pass, and once signalled for the termination.
   * @returns {boolean} whether a signal was sent
   */
  #signal(execution) {
    const shared = this.#shared;
    if (!runtime.stopsScripts) return false;
    if (Atomics.compareExchange(shared, SEGMENT, SEGMENT_RUNNING, SEGMENT_SIGNALLING) !== SEGMENT_RUNNING) return false;
    const isOurs = Atomics.load(shared, SEGMENT_CELL) === execution.id;
    if (isOurs) process.kill(process.pid, 'SIGINT');
    const after = isOurs ? SEGMENT_SIGNALLED : SEGMENT_RUNNING;
    Atomics.compareExchange(shared, SEGMENT, SEGMENT_SIGNALLING, after);
    Atomics.notify(shared, SEGMENT);
    return isOurs;
  }

  #terminate() {
    if (!runtime.stopsAnything) return delay(STUCK_MS);
    this.#inspector ??= this.#connectInspector();
    const { promise, resolve } = Promise.withResolvers();
    this.#termination = promise;
    this.#inspector.post('Runtime.terminateExecution', resolve);
    return Promise.race([promise, delay(STUCK_MS)]);
  }

  /**
   * A termination that found the main thread idle ends whatever it runs next. Give it questions to end until one is
   * answered, rather than the next cell.
   */
  async #useUpTermination() {
    let isUsedUp = false;
    this.#termination.then(() => {
      isUsedUp = true;
    });
    this.#termination = null;
    const end = performance.now() + PATIENCE_MS;
    while (performance.now() < end) {
      const wasUsedUp = isUsedUp;
      if (await this.#main.ask({ type: 'ping' }, STUCK_MS) !== null && wasUsedUp) return;
    }
  }

  #connectInspector() {
    const session = new InspectorSession();
    session.connectToMainThread();
    return session;
  }
}
