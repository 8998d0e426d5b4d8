/** Checks a cell: a program of the cell, the earlier ones and their files, and what the compiler finds in the lines of the cell. */

import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { readFileSync } from 'node:fs';
import { analyse, modulesOf } from './cells.mjs';
import { ts } from './compiler.mjs';
import { ContextFiles, OWN_PACKAGES, OwnTypes, TYPES, WORK } from './files.mjs';

const PARTS = { node: [], bun: ['bun'], deno: ['deno'] };
const KERNEL = `${TYPES}/kernel.d.ts`;
const ROOTS = { bun: [`${TYPES}/bun/index.d.ts`], deno: [`${TYPES}/deno/deno.d.ts`] };
const MOST_DIAGNOSTICS = 100;
const MOST_MESSAGE = 2000;
const MOST_CONTEXTS = 50;
const MOST_AUGMENTING = 50;
const MOST_KEPT = 16 * 1024 * 1024; // characters of the contexts' files
const MOST_PARSED = 8 * 1024 * 1024; // characters of those that are kept as trees, which take some ten times as much
const SEVERITIES = ['warning', 'error', 'suggestion', 'message'];
/** In an interactive session it is no fault that a name of an earlier cell gets another value, whatever declared it. */
const ASSIGNMENTS = new Set([2588, 2628, 2629, 2630, 2631, 2632]);
/** A name is not known, or only as something else. */
const UNKNOWN_NAMES = new Set([2304, 2503, 2552, 2580, 2581, 2582, 2583, 2584, 2591, 2592, 2593, 2749, 18004]);
/** What asks not to be checked, and a question about a name. */
const UNCHECKED = /^\s*(?:\/\/\s*@ts-nocheck|[\w$.]+\?{1,2}\s*$)/;
/** Implicit any: the compiler would like to know more. */
const isImplicit = (code) => code >= 7005 && code <= 7057;

const OPTIONS = {
  noEmit: true,
  strict: true,
  target: ts.ScriptTarget.ESNext,
  module: ts.ModuleKind.Preserve,
  moduleDetection: ts.ModuleDetectionKind.Auto,
  lib: ['lib.esnext.d.ts', 'lib.decorators.legacy.d.ts'],
  types: [],
  jsx: ts.JsxEmit.Preserve,
  allowJs: true,
  checkJs: false,
  skipLibCheck: true,
  useUnknownInCatchVariables: false,
  allowImportingTsExtensions: true,
  allowUnreachableCode: true,
  allowUnusedLabels: true,
  resolveJsonModule: true,
  esModuleInterop: true,
  noErrorTruncation: false,
};

const NO_FILES = { isFile: () => false, isDirectory: () => false, directories: () => [], read: () => undefined };

export class Checker {
  #wire;
  #types = new OwnTypes();
  #sources = new Map(); // by path and content, also of other contexts: a package is the same in all
  #sourceSize = 0;
  #kept = new Map(); // by context: what was read of its files

  /** @param {import('./wire.mjs').Wire} wire */
  constructor(wire) {
    this.#wire = wire;
    this.#types.load(['lib', 'node', 'undici']);
    this.#types.add(KERNEL, readFileSync(new URL('types/kernel.d.ts', import.meta.url), 'utf8'));
  }

  /** Read and bind what every program has. */
  warm() {
    this.#checkIn(NO_FILES, { runtime: 'node', cells: ['await 1'], seconds: 60 });
  }

  /**
   * @param {{context: string, runtime: 'node' | 'bun' | 'deno', cells: string[], partial: boolean, seconds: number}} request - the last
   *   cell is checked, the others ran before it; `partial`: some of these are left out
   */
  check(request) {
    return this.#checkIn(new ContextFiles(this.#wire, this.#keptOf(request.context)), request);
  }

  #checkIn(files, { runtime, cells, partial, seconds }) {
    this.#types.load(PARTS[runtime]);
    const modules = modulesOf(cells.map(analyse));
    const last = modules.at(-1);
    if (UNCHECKED.test(last.cell.code)) return [];
    const augmenting = modules.filter(({ cell }) => cell.augments).slice(-MOST_AUGMENTING).map(({ path }) => path);
    const roots = [KERNEL, `${TYPES}/node/index.d.ts`, ...(ROOTS[runtime] ?? []), ...augmenting, last.path];
    const { isDecorated, isClassic } = last.cell;
    const experimentalDecorators = isClassic || (isDecorated && files.isDirectory(`${WORK}/node_modules/reflect-metadata`));
    const options = { ...OPTIONS, experimentalDecorators, ...optionsOf(files.read(`${WORK}/tsconfig.json`)) };
    const program = ts.createProgram({ rootNames: roots, options, host: this.#host(modules, files) });
    const file = program.getSourceFile(last.path);
    const token = cancelledAfter(seconds);
    const found = [...program.getSyntacticDiagnostics(file, token)];
    if (found.length === 0) found.push(...program.getSemanticDiagnostics(file, token));
    return shown(found, file, last).filter(({ code }) => !(partial && UNKNOWN_NAMES.has(code)));
  }

  #keptOf(context) {
    const kept = this.#kept.get(context) ?? new Map();
    this.#kept.delete(context);
    this.#kept.set(context, kept);
    const sizeOf = (each) => [...each.values()].reduce((sum, { text }) => sum + text.length, 0);
    let size = [...this.#kept.values()].reduce((sum, each) => sum + sizeOf(each), 0);
    for (const [oldest, each] of this.#kept) {
      if (size <= MOST_KEPT && this.#kept.size <= MOST_CONTEXTS) break;
      size -= sizeOf(each);
      this.#kept.delete(oldest);
    }
    return this.#kept.get(context) ?? kept;
  }

  #host(modules, files) {
    const cells = new Map(modules.map((each) => [each.path, each.text]));
    const read = (path) => cells.get(path) ?? this.#types.read(path) ?? files.read(path);
    const host = {
      getSourceFile: (path, options) => this.#source(path, options, read(path)),
      getDefaultLibFileName: () => `${TYPES}/lib/lib.esnext.d.ts`,
      getDefaultLibLocation: () => `${TYPES}/lib`,
      getCurrentDirectory: () => WORK,
      getCanonicalFileName: (path) => path,
      useCaseSensitiveFileNames: () => true,
      getNewLine: () => '\n',
      writeFile: () => undefined,
      readFile: read,
      fileExists: (path) => cells.has(path) || this.#types.read(path) !== undefined || files.isFile(path),
      directoryExists: (path) => path === '/' || this.#types.hasDirectory(path) || files.isDirectory(path),
      getDirectories: (path) => files.directories(path),
      realpath: (path) => path,
      jsDocParsingMode: ts.JSDocParsingMode.ParseForTypeErrors,
    };
    host.resolveTypeReferenceDirectiveReferences = (references, containing, redirected, options) =>
      references.map((each) => ({ resolvedTypeReferenceDirective: this.#ownDirective(each.fileName ?? each)
        ?? ts.resolveTypeReferenceDirective(each.fileName ?? each, containing, options, host, redirected).resolvedTypeReferenceDirective }));
    const cache = ts.createModuleResolutionCache(WORK, (path) => path, OPTIONS);
    host.resolveModuleNameLiterals = (literals, containing, redirected, options, source) =>
      literals.map((each) => this.#ownModule(each.text)
        ?? ts.resolveModuleName(each.text, containing, options, host, cache, redirected, ts.getModeForUsageLocation(source, each, options)));
    return host;
  }

  #ownDirective(name) {
    const own = Object.hasOwn(OWN_PACKAGES, name) ? `${TYPES}/${OWN_PACKAGES[name]}/index.d.ts` : undefined;
    return own !== undefined && this.#types.read(own) !== undefined ? { primary: true, resolvedFileName: own } : undefined;
  }

  #ownModule(name) {
    if (name !== 'undici-types' && !name.startsWith('undici-types/')) return undefined;
    const path = name === 'undici-types' ? `${TYPES}/undici-types/index.d.ts` : `${TYPES}/${name.replace(/\.d\.ts$/, '')}.d.ts`;
    return { resolvedModule: { resolvedFileName: path, extension: '.d.ts', isExternalLibraryImport: true } };
  }

  #source(path, options, text) {
    if (text === undefined) return undefined;
    const isOwn = path.startsWith(`${TYPES}/`);
    const key = isOwn ? path : [path, options.impliedNodeFormat, createHash('sha256').update(text).digest('base64')].join('\n');
    let source = this.#sources.get(key);
    if (source === undefined) {
      source = ts.createSourceFile(path, text, options);
      if (!isOwn) this.#sourceSize += text.length;
    }
    this.#sources.delete(key);
    this.#sources.set(key, source);
    for (const [oldest, each] of this.#sources) {
      if (this.#sourceSize <= MOST_PARSED) break;
      if (each === source || each.fileName.startsWith(`${TYPES}/`)) continue;
      this.#sources.delete(oldest);
      this.#sourceSize -= each.text.length;
    }
    return source;
  }
}

/** What of a context's tsconfig.json decides what is right. It may say anything, so only known words of the right kind are taken. */
function optionsOf(text) {
  if (text === undefined) return {};
  const said = ts.parseConfigFileTextToJson('tsconfig.json', text).config?.compilerOptions;
  if (said === null || typeof said !== 'object') return {};
  const options = {};
  for (const name of ['strict', 'strictNullChecks', 'strictFunctionTypes', 'exactOptionalPropertyTypes', 'noUncheckedIndexedAccess',
    'experimentalDecorators', 'noImplicitThis', 'strictPropertyInitialization', 'useUnknownInCatchVariables']) {
    if (typeof said[name] === 'boolean') options[name] = said[name];
  }
  if (said.paths !== null && typeof said.paths === 'object') {
    const base = typeof said.baseUrl === 'string' ? posix.resolve(WORK, said.baseUrl) : WORK;
    options.paths = {};
    options.pathsBasePath = base;
    for (const [name, places] of Object.entries(said.paths)) {
      if (Array.isArray(places)) options.paths[name] = places.filter((each) => typeof each === 'string').map((each) => posix.resolve(base, each));
    }
  }
  if (typeof said.jsxImportSource === 'string') Object.assign(options, { jsx: ts.JsxEmit.ReactJSX, jsxImportSource: said.jsxImportSource });
  return options;
}

function cancelledAfter(seconds) {
  const end = performance.now() + seconds * 1000;
  const isOver = () => performance.now() > end;
  return {
    isCancellationRequested: isOver,
    throwIfCancellationRequested() {
      if (isOver()) throw new ts.OperationCanceledException();
    },
  };
}

function shown(found, file, { start, cell }) {
  const end = start + cell.code.length;
  const isOwn = (each) => each.start !== undefined && each.start >= start && each.start <= end;
  const isMeant = (each) => !isImplicit(each.code) && !(ASSIGNMENTS.has(each.code) && !cell.names.has(nameAt(each)));
  const nameAt = (each) => file.text.slice(each.start, each.start + each.length);
  const first = file.getLineAndCharacterOfPosition(start).line;
  return found.filter((each) => isOwn(each) && isMeant(each)).slice(0, MOST_DIAGNOSTICS).map((each) => {
    const from = file.getLineAndCharacterOfPosition(each.start);
    const to = file.getLineAndCharacterOfPosition(Math.min(each.start + (each.length ?? 0), end));
    return {
      line: from.line - first + 1,
      column: from.character + 1,
      end_line: to.line - first + 1,
      end_column: to.character + 1,
      code: each.code,
      severity: SEVERITIES[each.category],
      message: messageOf(each),
    };
  });
}

function messageOf({ messageText, relatedInformation = [] }) {
  const advice = relatedInformation.filter((each) => each.code === 2773 || each.code === 2734).map((each) => each.messageText);
  const parts = [ts.flattenDiagnosticMessageText(messageText, '\n'), ...advice.map((each) => ts.flattenDiagnosticMessageText(each, '\n'))];
  return parts.join(' ').replace(/import\("[^"]*__cell_\d+"\)\./g, '').replace(/"[^"]*\/__cell_(\d+)"/g, '"cell $1"').slice(0, MOST_MESSAGE);
}
