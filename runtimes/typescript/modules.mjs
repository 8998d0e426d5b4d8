/**
 * `import` and `require` for cells, resolved from the current directory like from a file in it. Main thread.
 */

import { createRequire, registerHooks, stripTypeScriptTypes } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { readFileSync } from 'node:fs';
import vm from 'node:vm';
import { defineProperty, freeze } from './primordials.mjs';

const CELL_FILE = 'cell.ts';
const cwd = process.cwd.bind(process);

export class Modules {
  #directory = null;
  #require = null;
  #import = null;
  #hasHooks = false;

  /** What `import.meta` is in a cell. */
  meta = freeze({
    __proto__: null,
    get url() { return pathToFileURL(path.join(cwd(), CELL_FILE)).href; },
    get filename() { return path.join(cwd(), CELL_FILE); },
    get dirname() { return cwd(); },
    main: true,
    resolve: (specifier) => {
      const resolved = this.#loaders().require.resolve(specifier);
      return path.isAbsolute(resolved) ? pathToFileURL(resolved).href : resolved;
    },
  });

  /** Define `require`, `module`, `exports`, `__dirname` and `__filename`. */
  install() {
    const require = (specifier) => this.#loaders().require(specifier);
    require.resolve = (...args) => this.#loaders().require.resolve(...args);
    defineProperty(require, 'cache', { get: () => this.#loaders().require.cache, enumerable: true });
    const module = { exports: {} };
    defineGlobals({ require, module, exports: module.exports });
    defineReplaceable('__dirname', cwd);
    defineReplaceable('__filename', () => path.join(cwd(), CELL_FILE));
  }

  /**
   * @param {unknown} specifier
   * @param {object} [options] - `{with: {...}}`
   * @param {string[]} [wanted] - names that a static import needs
   */
  async import(specifier, options, wanted) {
    const namespace = await this.#loaders().import(`${specifier}`, options);
    return wanted === undefined ? namespace : withNames(namespace, wanted, specifier);
  }

  #loaders() {
    if (!this.#hasHooks) {
      this.#hasHooks = true;
      registerHooks({ resolve: resolveJson, load: loadTypeScript });
    }
    const directory = cwd();
    if (directory !== this.#directory) {
      this.#directory = directory;
      const filename = path.join(directory, CELL_FILE);
      this.#require = createRequire(filename);
      const script = new vm.Script('(specifier, options) => import(specifier, options)', {
        filename, importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
      });
      this.#import = script.runInThisContext();
    }
    return { require: this.#require, import: this.#import };
  }
}

/** A JSON file needs no `with {type: 'json'}`. */
function resolveJson(specifier, context, nextResolve) {
  const resolved = nextResolve(specifier, context);
  const isImport = context.conditions?.includes('import');
  if (!isImport || resolved.importAttributes?.type || !/\.json(?:[?#]|$)/.test(resolved.url)) return resolved;
  return { ...resolved, format: 'json', importAttributes: { ...context.importAttributes, type: 'json' } };
}

/** Node itself only strips types; enums and the like in the user's files work as they do in a cell. */
function loadTypeScript(url, context, nextLoad) {
  try {
    return nextLoad(url, context);
  } catch (error) {
    if (error.code !== 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX' || !url.startsWith('file:')) throw error;
    return loadTransformed(url, context);
  }
}

function loadTransformed(url, context) {
  const source = readFileSync(fileURLToPath(url), 'utf8');
  const code = stripTypeScriptTypes(source, { mode: 'transform', sourceMap: true, sourceUrl: url });
  const format = context.format?.startsWith('commonjs') ? 'commonjs' : 'module';
  return { format, source: code, shortCircuit: true };
}

/**
 * Names that Node could not detect in a CommonJS module are taken from its `module.exports`; a name that is nowhere is
 * the error that a module file would give.
 */
function withNames(namespace, wanted, specifier) {
  const fallback = Object(namespace.default);
  let isComplete = true;
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] in namespace) continue;
    if (!(wanted[i] in fallback)) {
      throw new SyntaxError(`The requested module '${specifier}' does not provide an export named '${wanted[i]}'`);
    }
    isComplete = false;
  }
  if (isComplete) return namespace;
  return new Proxy(namespace, { get: (target, name) => (name in target ? target[name] : fallback[name]) });
}

function defineGlobals(values) {
  for (const name in values) {
    const value = values[name];
    defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
  }
}

/** A global that follows the current directory until the user assigns to it. */
function defineReplaceable(name, get) {
  const set = (value) => defineGlobals({ [name]: value });
  defineProperty(globalThis, name, { get, set, enumerable: false, configurable: true });
}
