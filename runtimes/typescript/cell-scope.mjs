/** `__polyrepl`, the one global that generated code refers to. Main thread. */

import { defineProperty, freeze } from './primordials.mjs';

const NAME = '__polyrepl';

/**
 * @param {import('./modules.mjs').Modules} modules
 * @returns {{name: string, onSegment: (run: () => any) => void}}
 */
export function installCellScope(modules) {
  let runSegment = () => undefined;
  const value = freeze({
    __proto__: null,
    segment: () => runSegment(),
    import: (specifier, options, wanted) => modules.import(specifier, options, wanted),
    asyncSteps: () => new AsyncSteps(),
    meta: modules.meta,
    // What the rewrite makes of an assignment to a constant: like Node's own, it fails once the value is known.
    get constant() {
      return undefined;
    },
    set constant(_value) {
      throw new TypeError('Assignment to constant variable.');
    },
  });
  // Not writable: without it no cell would run any more.
  defineProperty(globalThis, NAME, { value, writable: false, enumerable: false, configurable: false });
  return {
    name: NAME,
    onSegment: (run) => {
      runSegment = run;
    },
  };
}

/** The iteration of a top-level `for await`; each call's promise is awaited by the cell. */
class AsyncSteps {
  done = true;
  value = undefined;
  #iterator;
  #isAsync;

  open(iterable) {
    const method = iterable[Symbol.asyncIterator];
    this.#isAsync = method !== undefined && method !== null;
    this.#iterator = this.#isAsync ? method.call(iterable) : iterable[Symbol.iterator]();
    this.done = false;
  }

  async next() {
    // Should the step fail, the iterator must not be closed: it ended itself.
    this.done = true;
    const result = await this.#iterator.next();
    const { done, value } = result;
    this.value = this.#isAsync ? value : await value;
    this.done = Boolean(done);
  }

  async close() {
    if (this.done) return;
    this.done = true;
    await this.#iterator.return?.();
  }
}
