/**
 * The words both threads see in one SharedArrayBuffer. Everything else travels as messages; these exist because one
 * side has to act while the other is inside user code and reads no messages. Both threads.
 */

/** What the main thread runs under the SIGINT watchdog: one of the SEGMENT_* values. */
export const SEGMENT = 0;
/** Id of the cell that the segment belongs to. */
export const SEGMENT_CELL = 1;
/** State of a blocked `prompt()`: one of the STDIN_* values. */
export const STDIN = 2;
/** How much of the main thread's output the worker has dealt with: the `sent` of the last write it took. */
export const OUTPUT_TAKEN = 3;
/** Id of the cell that an interrupt is being delivered to, 0 for none. */
export const INTERRUPTED_CELL = 4;
/** Id of the cell whose interrupt has been given to the child that the main thread waits for. */
export const INTERRUPTED_CHILD = 5;
/** 1 once something has defined the metadata of classic decorators. */
export const CLASSIC_DECORATORS = 6;

export const SEGMENT_NONE = 0;
export const SEGMENT_RUNNING = 1;
/** The worker decides whether to send SIGINT: the segment must not end before it has. */
export const SEGMENT_SIGNALLING = 2;
/**
 * SIGINT has been sent: the segment must not end before it has been terminated. Node's watchdog thread keeps a signal
 * that it did not see in time and ends the next segment with it.
 */
export const SEGMENT_SIGNALLED = 3;

export const STDIN_IDLE = 0;
export const STDIN_WAITING = 1;
export const STDIN_ANSWERED = 2;
export const STDIN_REFUSED = 3;
export const STDIN_INTERRUPTED = 4;

/** The main thread pauses while the worker is behind by more than this, in characters and WRITE_COST of each write. */
export const OUTPUT_HIGH_WATER = 2 * 1024 * 1024;
/** What a write counts besides its text: the worker reads its sockets only between bursts of pending messages. */
export const WRITE_COST = 1024;

/** @returns {Int32Array} */
export function createSharedState() {
  return new Int32Array(new SharedArrayBuffer(64));
}
