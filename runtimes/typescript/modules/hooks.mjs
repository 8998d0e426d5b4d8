/**
 * How the files that a context imports are found and read: extensions may be left out, JSON needs no attribute,
 * TypeScript is whole, changed files are loaded afresh. Main thread.
 */

import { readFileSync, statSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { dirname, resolve as resolvePath } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { withoutTypeImports } from '../compile/elision.mjs';
import { compileTypeScript, hasMergedNamespaces, mayHaveDecorators } from '../shared/compiler.mjs';
import { localPath } from './local-files.mjs';
import { exportsType } from './type-exports.mjs';
import { runtime } from '../shared/platform.mjs';
import { lineOf } from '../shared/positions.mjs';
import { mappedPaths } from './tsconfig.mjs';
import { toJavaScript } from '../shared/typescript.mjs';

/** Tried in this order after a relative specifier that names no file. */
const EXTENSIONS = ['.ts', '.tsx', '.mts', '.cts', '.js', '.jsx', '.mjs', '.cjs', '.json'];
/** TypeScript's own rule: what will be `x.js` once compiled is imported by that name. */
const SOURCES = { '.js': ['.ts', '.tsx'], '.jsx': ['.tsx'], '.mjs': ['.mts'], '.cjs': ['.cts'] };
const REFUSED = new Set(['ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX', 'ERR_INVALID_TYPESCRIPT_SYNTAX']);
/** Node's names for TypeScript of a kind that the file's name or package says. */
const FORMATS = { 'module-typescript': 'module', 'commonjs-typescript': 'commonjs' };
const MODULE = /^\s*(?:import|export)\b/m;
const FILE = /^(?:\.\.?(?:\/|$)|\/|file:)/;
/** What `require` gives of a module that says so. */
const WHOLE_EXPORT = '\nif ("module.exports" in exports) module.exports = exports["module.exports"];';
const NOT_FOUND = new Set(['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND', 'ERR_UNSUPPORTED_DIR_IMPORT']);

/**
 * Make the hooks for `module.registerHooks`.
 * @param {{files: import('./local-files.mjs').LocalFiles,
 *   onTransformed: (path: string, positions: import('../shared/positions.mjs').PositionData) => void}} options
 */
export function moduleHooks({ files, onTransformed }) {
  return {
    resolve(specifier, context, nextResolve) {
      const resolved = withJsonAttribute(find(specifier, context, nextResolve), context);
      const path = localPath(resolved.url);
      if (path === null) return resolved;
      files.add(path, localPath(context.parentURL));
      return isImport(context) ? { ...resolved, url: files.versioned(resolved.url, path) } : resolved;
    },
    load(url, context, nextLoad) {
      const path = localPath(url);
      if (path === null) return loadOfPackage(url, context) ?? nextLoad(url, context);
      const transformed = loadTransformed(path, { url, context, nextLoad });
      if (transformed.positions) onTransformed(path, transformed.positions);
      return transformed.loaded;
    },
  };
}

function isImport(context) {
  return context.conditions?.includes('import') ?? false;
}

function find(specifier, context, nextResolve) {
  const isFile = FILE.test(specifier);
  const mapped = isFile ? null : findMapped(specifier, context, nextResolve);
  if (mapped !== null) return mapped;
  let resolved;
  let failure;
  try {
    resolved = nextResolve(specifier, context);
    if (isThere(resolved)) return resolved;
  } catch (error) {
    if (!NOT_FOUND.has(error.code)) throw error;
    failure = error;
  }
  // If none is there, the first answer names what the user wrote.
  const found = isFile ? findCandidate(specifier, context, nextResolve) : findInPackage(specifier, context, nextResolve);
  if (found === null && failure !== undefined) throw failure;
  return found ?? resolved;
}

function findCandidate(specifier, context, nextResolve, first = []) {
  for (const candidate of [...first, ...candidates(specifier)]) {
    try {
      const resolved = nextResolve(candidate, context);
      if (isThere(resolved)) return resolved;
    } catch {
      // The next one may exist.
    }
  }
  return null;
}

/** Where the `tsconfig.json` says; packages have none of their own. */
function findMapped(specifier, context, nextResolve) {
  if (isBuiltin(specifier) || !isUsers(context.parentURL)) return null;
  for (const path of mappedPaths(specifier)) {
    const file = isImport(context) ? pathToFileURL(path).href : path;
    const found = findCandidate(file, context, nextResolve, [file]);
    if (found !== null) return found;
  }
  return null;
}

/** Deno gives the cell's path. */
function isUsers(parent) {
  return localPath(parent?.startsWith('/') ? pathToFileURL(parent).href : parent) !== null;
}

/** A file in a package that says nothing of what may be imported: as `require` finds it, and bundlers do. */
function findInPackage(specifier, context, nextResolve) {
  if (!isImport(context) || !/^(?:@[^/]+\/)?[^/:]+\/./.test(specifier)) return null;
  try {
    const path = createRequire(context.parentURL).resolve(specifier);
    return nextResolve(pathToFileURL(path).href, context);
  } catch {
    return findCandidate(specifier, context, nextResolve);
  }
}

/** Deno finds out only when it loads, or says so by no address. */
function isThere({ url }) {
  if (typeof url !== 'string') return false;
  if (!url.startsWith('file:')) return true;
  try {
    return statSync(fileURLToPath(url), { throwIfNoEntry: false })?.isFile() ?? false;
  } catch {
    return true;
  }
}

function* candidates(specifier) {
  const extension = /\.[cm]?jsx?$/.exec(specifier)?.[0];
  for (const source of SOURCES[extension] ?? []) yield specifier.slice(0, -extension.length) + source;
  const base = specifier.replace(/\/$/, '');
  for (const added of EXTENSIONS) yield base + added;
  for (const added of EXTENSIONS) yield `${base}/index${added}`;
}

function withJsonAttribute(resolved, context) {
  if (!isImport(context) || resolved.importAttributes?.type || !/\.json(?:[?#]|$)/.test(resolved.url)) return resolved;
  return { ...resolved, format: 'json', importAttributes: { ...context.importAttributes, type: 'json' } };
}

function loadTransformed(path, { url, context, nextLoad }) {
  if (/\.(?:[jt]sx|cts)$/.test(path)) return convert(path, readFileSync(path, 'utf8'));
  // Deno goes by the attribute that the user left out.
  if (path.endsWith('.json')) return { loaded: readJson(path) };
  let loaded;
  try {
    loaded = nextLoad(url, context);
  } catch (error) {
    // Node alone refuses enums and the like, and is terse about errors.
    if (!REFUSED.has(error.code)) throw error;
    return convert(path, readFileSync(path, 'utf8'));
  }
  // Deno has removed the types itself.
  if (loaded.format === undefined && typeof loaded.source === 'string') {
    return { loaded: { ...loaded, source: withValuesOnly(path, loaded.source) } };
  }
  if (!loaded.format?.endsWith('typescript')) return { loaded };
  return convert(path, String(loaded.source), FORMATS[loaded.format]);
}

/**
 * Once there are hooks, Deno takes JSON that a package requires for JavaScript, and of a module that one requires it finds
 * no imports.
 */
function loadOfPackage(url, context) {
  if (runtime.name !== 'deno' || !url.startsWith('file:')) return null;
  if (url.endsWith('.json')) return readJson(fileURLToPath(url));
  if (isImport(context) || !url.endsWith('.mjs')) return null;
  const path = fileURLToPath(url);
  const { code } = compileTypeScript(readFileSync(path, 'utf8'), {
    // By its own name it would stay a module.
    fileName: path.replace(/mjs$/, 'cjs'), format: 'commonjs',
  });
  return { format: 'commonjs', source: `${code}${WHOLE_EXPORT}`, shortCircuit: true };
}

function readJson(path) {
  return { format: 'json', source: readFileSync(path, 'utf8'), shortCircuit: true };
}

function convert(path, source, format = formatOf(path, source)) {
  // What is CommonJS by its name may still be written as a module.
  const isWhole = /\.[jt]sx$/.test(path) || (path.endsWith('.cts') && MODULE.test(source)) ||
    mayHaveDecorators(source) || hasMergedNamespaces(source);
  try {
    const { code, mappings } = isWhole ? compileTypeScript(source, { fileName: path, format }) : toJavaScript(source);
    const positions = mappings === null ? null : { generated: code, code, pieces: null, mappings, prefix: 0 };
    return { loaded: { format, source: withValuesOnly(path, code), shortCircuit: true }, positions };
  } catch (error) {
    throw error.line === undefined ? error : inFile(error, path, source);
  }
}

/** Names that are types are no names of the modules that are loaded. */
function withValuesOnly(path, code) {
  if (!/\.(?:[cm]?ts|tsx)$/.test(path)) return code;
  return withoutTypeImports(code, (specifier, name) => {
    const from = findFile(specifier, path);
    return from !== null && exportsType(from, name, findFile);
  });
}

/** @returns {string | null} the path of the file that a relative specifier means, if it is there */
export function findFile(specifier, importer) {
  if (!FILE.test(specifier) || specifier.startsWith('file:')) return null;
  for (const candidate of [specifier, ...candidates(specifier)]) {
    const path = resolvePath(dirname(importer), candidate);
    if (statSync(path, { throwIfNoEntry: false })?.isFile()) return path;
  }
  return null;
}

/** A syntax error with its place drawn like those of a cell. */
function inFile({ message, line, column }, path, source) {
  const text = lineOf(source, line);
  const caret = `${text.slice(0, column - 1).replace(/[^\t]/g, ' ')}^`;
  const error = new SyntaxError(`${message} (${path}:${line}:${column})`);
  error.stack = `${path}:${line}:${column}\n${text}\n${caret}\n\nSyntaxError: ${message}`;
  return error;
}

/** A file is a module unless its name or its text says CommonJS. */
function formatOf(path, source) {
  if (/\.c[jt]s$/.test(path)) return 'commonjs';
  const isModule = MODULE.test(source) || !/\bmodule\.exports\b|\bexports\.\w/.test(source);
  return isModule ? 'module' : 'commonjs';
}
