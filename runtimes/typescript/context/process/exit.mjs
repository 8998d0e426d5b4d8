/** `process.exit` runs the handlers of `exit`, and ends the cell, not the kernel. Main thread. */

import process from 'node:process';
import { runtime } from '../../shared/platform.mjs';
import { SEGMENT, SEGMENT_RUNNING, SEGMENT_SIGNALLED } from '../../shared/state.mjs';
import { compareExchange, reflectApply } from '../../shared/primordials.mjs';

/** Far more than a signal takes to end the segment that sent it. */
const SIGNAL_DEADLINE_MS = 2000;
/** Handlers that end with the program that has set them. */
const PROGRAM_EVENTS = ['beforeExit', 'uncaughtException', 'unhandledRejection'];

/** Thrown by `process.exit` where nothing else can end the cell. */
export class ProcessExit extends Error {
  name = 'ProcessExit';
  #isOwn = true;

  constructor(code) {
    super(`process.exit(${code})`);
    this.code = code;
  }

  /** Of whatever was thrown: a Proxy is not asked. */
  static is(value) {
    return typeof value === 'object' && value !== null && #isOwn in value;
  }
}

/**
 * @param {{context: {origin: object | null, running: object | null}, shared: Int32Array,
 *   evaluator: {isInSegment: boolean}, listeners: import('./listeners.mjs').KeptListeners, settle: (cell: object, error: Error) => void,
 *   report: (label: string, error: unknown) => void}} options - `context`: which cell it is that calls
 * @returns {{leave: (code: number) => void}}
 */
export function installExit({ context, shared, evaluator, listeners, settle, report }) {
  const leave = process.exit.bind(process);
  const reallyExit = process.reallyExit.bind(process);
  const kill = process.kill.bind(process);
  const { pid } = process;
  const now = performance.now.bind(performance);
  let isExiting = false;

  /** A thrown error could be caught by the user's code; the end of the watched segment cannot. */
  function endSegment() {
    if (compareExchange(shared, SEGMENT, SEGMENT_RUNNING, SEGMENT_SIGNALLED) === SEGMENT_RUNNING) kill(pid, 'SIGINT');
    const deadline = now() + SIGNAL_DEADLINE_MS;
    while (now() < deadline);
  }

  function exit(code = process.exitCode ?? 0) {
    const cell = context.origin;
    // One that a handler of `exit` calls says with which code the process ends that ends already.
    if (isExiting || cell === null || cell !== context.running || cell.isSettled) throw new ProcessExit(code);
    const error = new ProcessExit(runExitHandlers(code));
    cell.exit = error;
    if (runtime.stopsScripts && evaluator.isInSegment) endSegment();
    settle(cell, error);
    throw error;
  }

  /** Each runs once: the program that ends here has no handlers afterwards. @returns {number} the code to end with */
  function runExitHandlers(code) {
    const handlers = listeners.removeOthers('exit');
    for (let i = 0; i < PROGRAM_EVENTS.length; i++) listeners.removeOthers(PROGRAM_EVENTS[i]);
    let last = code;
    isExiting = true;
    try {
      process.exitCode = code;
      for (let i = 0; i < handlers.length; i++) {
        try {
          reflectApply(handlers[i], process, [last]);
        } catch (error) {
          if (ProcessExit.is(error)) last = error.code;
          report('Uncaught ', error);
        }
      }
    } finally {
      isExiting = false;
      process.exitCode = undefined;
      // Bun keeps it.
      if (process.exitCode !== undefined) process.exitCode = 0;
    }
    return last;
  }

  process.exit = exit;
  process.reallyExit = exit;
  if (globalThis.Deno !== undefined) globalThis.Deno.exit = exit;
  return {
    leave: (code) => {
      process.reallyExit = reallyExit;
      leave(code);
    },
  };
}
