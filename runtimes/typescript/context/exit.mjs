/** `process.exit` ends the cell, not the kernel. Main thread. */

import { ProcessExit } from './cell.mjs';
import { runtime } from '../shared/platform.mjs';
import { SEGMENT, SEGMENT_RUNNING, SEGMENT_SIGNALLED } from '../shared/state.mjs';
import { compareExchange } from '../shared/primordials.mjs';

/** Far more than a signal takes to end the segment that sent it. */
const SIGNAL_DEADLINE_MS = 2000;

/**
 * @param {{context: import('./cell.mjs').CellContext, shared: Int32Array,
 *   evaluator: import('./evaluator.mjs').Evaluator,
 *   settle: (cell: import('./cell.mjs').Cell, error: Error) => void}} options
 * @returns {{leave: (code: number) => void, isExit: (error: unknown) => boolean}}
 */
export function installExit({ context, shared, evaluator, settle }) {
  const leave = process.exit.bind(process);
  const reallyExit = process.reallyExit.bind(process);
  const kill = process.kill.bind(process);
  const { pid } = process;
  const now = performance.now.bind(performance);

  /** A thrown error could be caught by the user's code; the end of the watched segment cannot. */
  function endSegment() {
    if (compareExchange(shared, SEGMENT, SEGMENT_RUNNING, SEGMENT_SIGNALLED) === SEGMENT_RUNNING) kill(pid, 'SIGINT');
    const deadline = now() + SIGNAL_DEADLINE_MS;
    while (now() < deadline);
  }

  function exit(code = process.exitCode ?? 0) {
    const cell = context.origin;
    const error = new ProcessExit(code);
    if (cell === null || cell !== context.running || cell.isSettled) throw error;
    cell.exit = error;
    if (runtime.stopsScripts && evaluator.isInSegment) endSegment();
    settle(cell, error);
    throw error;
  }

  process.exit = exit;
  process.reallyExit = exit;
  return {
    leave: (code) => {
      process.reallyExit = reallyExit;
      leave(code);
    },
    isExit: (error) => error instanceof ProcessExit,
  };
}
