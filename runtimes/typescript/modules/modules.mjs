/**
 * `import` and `require` for cells, resolved from the current directory like from a file in it. Main thread.
 */

import { existsSync } from 'node:fs';
import module from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { types } from 'node:util';
import vm from 'node:vm';
import { completeNamespace } from './commonjs.mjs';
import { LocalFiles } from './local-files.mjs';
import { letTextImport } from './vm-imports.mjs';
import { runtime } from '../shared/platform.mjs';
import {
  SafeSet, arrayJoin, arrayPush, defineProperty, freeze, getOwnPropertyDescriptor, hasOwn, regExpExec, stringIncludes,
  stringSplit,
} from '../shared/primordials.mjs';

const CELL_FILE = 'cell.ts';
/** How Deno writes a package of npm, with a version perhaps. */
const NPM = /^npm:\/?((?:@[^/@]+\/)?[^/@]+)(?:@[^/]*)?(\/.+)?$/;
const BARE = /^[^./][^:]*$/;
const NOT_FOUND = new SafeSet(['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND', 'ERR_PACKAGE_PATH_NOT_EXPORTED']);
const NOT_FOUND_BY_DENO = /^Import "[^"]*" not a dependency|^Module not found "|^\[ERR_PACKAGE_PATH_NOT_EXPORTED\]/;
const PACKAGE = /^(?:@[^/.]+\/)?[^@/.:][^/:]*(?=\/|$)/;
const LOADER_FRAME = /^ +at .*node:(?:internal\/|diagnostics_channel:)/;
const cwd = process.cwd.bind(process);
const { createRequire, isBuiltin, registerHooks } = module;

/**
 * What a static import takes of a module. A name that may be a type does not have to be there, and neither has a module
 * to be that has types only.
 * @typedef {object} Wanted
 * @property {string[]} names - that it needs
 * @property {[string, string][]} optional - names that may be types (`*` for all of it), with the global that each becomes
 * @property {boolean} isNeeded - whether the module must be there
 * @property {boolean} isTyped - whether the cell uses an optional name as a type
 * @property {boolean} mayFollow - whether it may be there only later, when it is asked for again
 */

export class Modules {
  #directory = null;
  #require = null;
  #import = null;
  #hooks = null;
  #files = new LocalFiles();
  #onTransformed;
  #onLoaded;

  /**
   * @param {{onTransformed: (path: string, positions: import('../shared/positions.mjs').PositionData) => void,
   *   onLoaded: () => void}} options - `onTransformed`: told
   *   of each local file whose lines are not those that run; `onLoaded`: after each import
   */
  constructor({ onTransformed, onLoaded }) {
    this.#onTransformed = onTransformed;
    this.#onLoaded = onLoaded;
  }

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

  /**
   * What loads the imports of text that a cell runs (`eval`, `new Function`): `vm` wants to know. Bun would look for files
   * beside the cell's own, which is nowhere.
   */
  textImports = runtime.name === 'bun' ? (specifier, _, attributes) => this.import(specifier, { with: attributes }) :
    vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;

  /** Define `require`, `module`, `exports`, `__dirname` and `__filename`. @param {object} module - of the cells */
  install(module) {
    letTextImport();
    const require = (specifier) => {
      const loaded = this.#refreshed().require(this.#meant(specifier));
      this.#onLoaded();
      return loaded;
    };
    require.resolve = (...args) => this.#loaders().require.resolve(...args);
    defineProperty(require, 'cache', { get: () => this.#loaders().require.cache, enumerable: true });
    require.main = module;
    defineGlobals({ require, module, exports: module.exports });
    defineReplaceable('__dirname', cwd);
    defineReplaceable('__filename', () => path.join(cwd(), CELL_FILE));
  }

  /**
   * @param {unknown} specifier
   * @param {object} [options] - `{with: {...}}`
   * @param {Wanted} [wanted] - what a static import takes
   */
  async import(specifier, options, wanted) {
    // What fails later has no frame of the cell, so the place is taken now.
    const place = new Error();
    if (wanted?.mayFollow && !this.#isThere(`${specifier}`)) return {};
    try {
      const namespace = completeNamespace(await this.#refreshed().import(this.#meant(`${specifier}`), options));
      this.#onLoaded();
      return wanted === undefined ? namespace : withNames(namespace, wanted, specifier);
    } catch (error) {
      if (wanted?.isNeeded === false && hasOnlyTypes(error, `${specifier}`, wanted)) return {};
      const failure = asError(error);
      addFrames(failure, place);
      throw failure;
    }
  }

  /** The specifier that the runtime is given for one of the user's. */
  #meant(specifier) {
    if (typeof specifier !== 'string') return specifier;
    return (registerHooks === undefined ? this.#mapped(specifier) : null) ?? withoutScheme(specifier);
  }

  /** Without hooks the runtime itself reads a `tsconfig.json`, and only one that was there before the kernel. */
  #mapped(specifier) {
    if (regExpExec(BARE, specifier) === null || module.isBuiltin(specifier)) return null;
    const { mappedPaths } = createRequire(import.meta.url)('./tsconfig.mjs');
    const paths = mappedPaths(specifier);
    for (let i = 0; i < paths.length; i++) {
      try {
        return this.#loaders().require.resolve(paths[i]);
      } catch {
        // The next one may exist.
      }
    }
    return null;
  }

  /** Forget the local files that have changed, so that what a cell imports now is what they hold now. */
  #refreshed() {
    const loaders = this.#loaders();
    const stale = this.#files.refresh();
    for (let i = 0; i < stale.length; i++) delete loaders.require.cache[stale[i]];
    return loaders;
  }

  /** Whether a file or package can be found, without asking the runtime: Deno remembers what it did not find. */
  #isThere(specifier) {
    this.#loaders();
    if (isBuiltin(specifier)) return true;
    const name = regExpExec(PACKAGE, specifier)?.[0];
    return name === undefined ? this.#hooks.findFile(specifier, path.join(cwd(), CELL_FILE)) !== null : isInstalled(name);
  }

  #loaders() {
    if (this.#hooks === null) {
      // Only contexts that import anything pay for this.
      this.#hooks = createRequire(import.meta.url)('./hooks.mjs');
      registerHooks?.(this.#hooks.moduleHooks({ files: this.#files, onTransformed: this.#onTransformed }));
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

/** The package that an `npm:` specifier names: which version of it there is was decided when it was installed. */
function withoutScheme(specifier) {
  const npm = regExpExec(NPM, specifier);
  return npm === null ? specifier : `${npm[1]}${npm[2] ?? ''}`;
}

/** What Bun throws where a module is not found is no error. */
function asError(thrown) {
  if (runtime.name !== 'bun' || thrown?.name !== 'ResolveMessage') return thrown;
  const error = new Error(`${thrown.message}`);
  error.code = `${thrown.code}`;
  return error;
}

/**
 * Names that Node could not detect in a CommonJS module are taken from its `module.exports`; a name that is nowhere is
 * the error that a module file would give.
 */
function withNames(namespace, { names: wanted, optional }, specifier) {
  const fallback = Object(namespace.default);
  assignOptional(optional, namespace, fallback);
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

function assignOptional(optional, namespace, fallback) {
  for (let i = 0; i < optional.length; i++) {
    const { 0: name, 1: property } = optional[i];
    if (name === '*') assignGlobal(property, namespace);
    else if (name in namespace) assignGlobal(property, namespace[name]);
    else if (name !== 'default' && hasOwn(fallback, name)) assignGlobal(property, fallback[name]);
  }
}

function assignGlobal(name, value) {
  const { configurable = true } = getOwnPropertyDescriptor(globalThis, name) ?? {};
  if (configurable) defineProperty(globalThis, name, { value, writable: true, enumerable: true, configurable });
  else globalThis[name] = value;
}

/**
 * Whether an import failed because there is nothing to load: a package has types and no code or, where the cell says by
 * its types that it is about those, is not there at all.
 */
function hasOnlyTypes(error, specifier, { isTyped }) {
  if (!isMissing(error)) return false;
  if (isTyped) return true;
  const name = regExpExec(PACKAGE, specifier)?.[0];
  return name !== undefined && (isInstalled(name) || isInstalled(`@types/${name}`));
}

function isInstalled(name) {
  return existsSync(path.join(cwd(), 'node_modules', name, 'package.json'));
}

function isMissing(error) {
  return NOT_FOUND.has(error?.code) || error?.name === 'ResolveMessage' ||
    regExpExec(NOT_FOUND_BY_DENO, `${error?.message}`) !== null;
}

/** Show where the cell imported what failed, in place of the frames of Node's loader. */
function addFrames(error, place) {
  if (!types.isNativeError(error) || typeof error.stack !== 'string') return;
  const [, ...frames] = linesOf(place.stack);
  const lines = [];
  const own = linesOf(error.stack);
  for (let i = 0; i < own.length; i++) {
    if (regExpExec(LOADER_FRAME, own[i]) === null) arrayPush(lines, own[i]);
  }
  // A module that failed once fails with the same error ever after.
  for (let i = 0; i < frames.length; i++) if (!stringIncludes(error.stack, frames[i])) arrayPush(lines, frames[i]);
  error.stack = arrayJoin(lines, '\n');
}

function linesOf(stack) {
  return stringSplit(`${stack}`, '\n');
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
