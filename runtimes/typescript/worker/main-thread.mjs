/** The worker's handle on the main thread: posts work, matches answers, dispatches what arrives. Worker thread. */

/** The main thread may be busy with user code: a completion is not worth waiting longer for. */
const ANSWER_TIMEOUT_MS = 1000;

export class MainThread {
  #port;
  #handlers;
  #isReady = Promise.withResolvers();
  #running = null;
  #answers = new Map();
  #sequence = 0;
  #onSeen = null;

  /** @param {import('node:worker_threads').MessagePort} port @param {Record<string, (message: any) => void>} handlers */
  constructor(port, handlers) {
    this.#port = port;
    this.#handlers = {
      ...handlers,
      ready: ({ globals }) => this.#isReady.resolve(globals),
      done: ({ id, outcome }) => this.#done(id, outcome),
      answer: ({ id, value }) => this.#answers.get(id)?.(value),
      interrupt_seen: ({ id }) => this.#onSeen?.(id),
    };
    port.on('message', (message) => this.#handlers[message.type]?.(message));
  }

  post(message) {
    this.#port.postMessage(message);
  }

  /** The names of what is global before any cell has run. @returns {Promise<string[]>} */
  globals() {
    return this.#isReady.promise;
  }

  /** Run a program. @returns {Promise<object>} its outcome, see the main thread's `context/kernel.mjs` */
  async execute(program) {
    await this.#isReady.promise;
    const { promise, resolve } = Promise.withResolvers();
    this.#running = { id: program.id, resolve };
    this.post({ type: 'execute', ...program });
    return promise;
  }

  /** Ask something about the context's values. @returns {Promise<any>} null when the main thread does not answer */
  async ask(question, timeout = ANSWER_TIMEOUT_MS) {
    await this.#isReady.promise;
    const id = ++this.#sequence;
    const { promise, resolve } = Promise.withResolvers();
    const timer = setTimeout(resolve, timeout, null);
    this.#answers.set(id, resolve);
    this.post({ ...question, id });
    const value = await promise;
    clearTimeout(timer);
    this.#answers.delete(id);
    return value;
  }

  /** Call back with the id of each cell whose interrupt the main thread has read. */
  whenInterruptSeen(callback) {
    this.#onSeen = callback;
  }

  /** An outcome may come twice: an interrupt makes the main thread repeat one that may have been lost. */
  #done(id, outcome) {
    if (this.#running?.id !== id) return;
    const { resolve } = this.#running;
    this.#running = null;
    resolve(outcome);
  }
}
