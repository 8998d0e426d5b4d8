/** `__polyrepl`, the one global that generated code refers to. Main thread. */

import { createRequire } from 'node:module';
import { deadZone } from './names.mjs';
import { currentFragment, installJsx, jsx } from '../display/jsx.mjs';
import { SCOPE } from '../shared/names.mjs';
import { SuppressedError, arrayPush, defineProperty, freeze, reflectApply } from '../shared/primordials.mjs';

const TSLIB = '../vendor/tslib/tslib.es6.mjs';
const { asyncDispose, dispose } = Symbol;

/**
 * @param {import('../modules/modules.mjs').Modules} modules
 * @returns {{name: string, onSegment: (run: () => any) => void, onAwait: (note: (place: Error) => void) => void}}
 */
export function installCellScope(modules) {
  let runSegment = () => undefined;
  let noteAwait = () => undefined;
  let helpers = null;
  defineMetadataSymbol();
  installJsx();
  // With a prototype: of what has none, V8 looks properties up one by one.
  const value = freeze({
    segment: () => runSegment(),
    // Not called `import`: V8 misplaces calls of a keyword.
    load: (specifier, options, wanted) => modules.import(specifier, options, wanted),
    // What is awaited next, and where: a rejection knows no line of the cell.
    here: (value) => {
      noteAwait(new Error());
      return value;
    },
    asyncSteps: () => new AsyncSteps(),
    globals: globalThis,
    ...deadZone,
    resources: () => new Resources(),
    jsx,
    get Fragment() {
      return currentFragment();
    },
    // Only what the compiler made of decorators calls these.
    get helpers() {
      return (helpers ??= createRequire(import.meta.url)(TSLIB));
    },
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
  defineProperty(globalThis, SCOPE, { value, writable: false, enumerable: false, configurable: false });
  return {
    name: SCOPE,
    onSegment: (run) => {
      runSegment = run;
    },
    onAwait: (note) => {
      noteAwait = note;
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

/**
 * The `using` declarations of one block, disposed in reverse order at its end. Errors are combined as the language
 * does: a later one suppresses the earlier ones.
 */
class Resources {
  #disposals = [];
  #hasError = false;
  #error;

  /** @template T @param {T} value @param {boolean} isAsync @returns {T} */
  use(value, isAsync) {
    if (value === null || value === undefined) {
      if (isAsync) arrayPush(this.#disposals, () => undefined);
      return value;
    }
    const method = (isAsync ? value[asyncDispose] : undefined) ?? value[dispose];
    if (typeof method !== 'function') {
      throw new TypeError(`Object not disposable: it has no [Symbol.${isAsync ? 'asyncDispose' : 'dispose'}]()`);
    }
    arrayPush(this.#disposals, () => reflectApply(method, value, []));
    return value;
  }

  fail(error) {
    const earlier = this.#error;
    this.#error = this.#hasError ? new SuppressedError(error, earlier, 'An error was suppressed during disposal.') : error;
    this.#hasError = true;
  }

  async dispose() {
    for (let i = this.#disposals.length - 1; i >= 0; i--) {
      try {
        await this.#disposals[i]();
      } catch (error) {
        this.fail(error);
      }
    }
    if (this.#hasError) throw this.#error;
  }
}

/** Decorators keep their metadata under a symbol that V8 does not define yet. */
function defineMetadataSymbol() {
  if (Symbol.metadata !== undefined) return;
  const value = Symbol('Symbol.metadata');
  defineProperty(Symbol, 'metadata', { value, writable: false, enumerable: false, configurable: false });
}
