/** One execute_request on its way through the kernel, as the worker thread sees it. */

import { limitsOf } from './content.mjs';

/** Late output of older cells than these loses its parent header. */
const REMEMBERED = 1000;

export class Execution {
  isFinished = false;
  /** Whether an interrupt is being delivered. */
  isInterrupted = false;
  /**
   * By stream, once the cell has written to one that is limited; `isReported`: its late excess has been told.
   * @type {Map<string, {limit: import('./limits.mjs').StreamLimit, isReported: boolean}> | null}
   */
  streamLimits = null;

  /** @param {{id: number, request: import('../transport/messages.mjs').Message, count: number, isCounted: boolean}} options */
  constructor({ id, request, count, isCounted }) {
    const { content, metadata } = request;
    this.id = id;
    // The number is the one that the user sees; a cell that has none must not take another's.
    this.file = isCounted ? `cell_${count}.ts` : `uncounted_${id}.ts`;
    this.count = count;
    this.request = request;
    this.parent = request.parent;
    this.isSilent = Boolean(content.silent);
    this.allowsStdin = Boolean(content.allow_stdin);
    this.stopsOnError = content.stop_on_error !== false;
    this.isAnnounced = metadata.after_interrupt === true;
    this.tellsChanges = metadata.changes === true;
    this.wantsValues = metadata.items === true;
    this.limits = limitsOf(metadata);
  }

  finish() {
    this.isFinished = true;
    // Only the header is needed for late output; the code and the identities may be large.
    this.request = null;
  }
}

/** The recent executions by id, for output that arrives after the end of its cell. */
export class Executions {
  #recent = new Map();
  #sequence = 0;

  /** @param {{request: import('../transport/messages.mjs').Message, count: number, isCounted: boolean}} options */
  begin(options) {
    const execution = new Execution({ id: ++this.#sequence, ...options });
    this.#recent.set(execution.id, execution);
    if (this.#recent.size > REMEMBERED) this.#recent.delete(this.#recent.keys().next().value);
    return execution;
  }

  /** @returns {Execution | undefined} */
  get(id) {
    return this.#recent.get(id);
  }
}
