/** The names of cells that are also globals of the runtime: `const URL`, `import crypto`. Worker thread. */

/** JSX looks for these as globals, whoever defines them. */
const SHARED = new Set(['h', 'Fragment']);

export class Shadows {
  #globals = new Set();
  #declared = new Set();

  /** @param {string[]} names - the globals of a context in which nothing has run yet */
  setGlobals(names) {
    for (const name of names) if (!SHARED.has(name)) this.#globals.add(name);
  }

  /** Note that a cell which declares these will run. @param {string[]} names */
  declare(names) {
    for (const name of names) this.#declared.add(name);
  }

  /** Whether a declaration of this name must leave a global as it is. */
  isGlobal(name) {
    return this.#globals.has(name);
  }

  /** Whether an earlier cell declared it. */
  has(name) {
    return this.#declared.has(name);
  }
}
