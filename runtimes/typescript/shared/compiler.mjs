/**
 * TypeScript's own compiler, for what type stripping cannot take: JSX, decorators and `accessor`. It is large, so it is
 * loaded by the first cell, or local file, that needs it. Both threads.
 */

import { readFileSync } from 'node:fs';
import module from 'node:module';
import path from 'node:path';
import { isMainThread, workerData } from 'node:worker_threads';
import { placeIn } from './positions.mjs';
import { CLASSIC_DECORATORS } from './state.mjs';
import { CellSyntaxError } from './typescript.mjs';

/** What JSX calls in a cell; see the main thread's `context/scope.mjs`. */
const JSX = { jsx: 'react', jsxFactory: '__polyrepl.jsx', jsxFragmentFactory: '__polyrepl.Fragment' };
/** What a `tsconfig.json` in the working directory decides; the rest of it concerns type checking or output files. */
const HEEDED = [
  'experimentalDecorators', 'emitDecoratorMetadata', 'useDefineForClassFields', 'jsx', 'jsxFactory',
  'jsxFragmentFactory', 'jsxImportSource',
];
/** Diagnostics that say "something is never closed", at the place where it was opened. */
const UNCLOSED = new Set([17008, 17014, 1010, 1160, 1161]);

/** The package that classic decorators keep their metadata with. */
const METADATA = 'reflect-metadata';
const IMPORTED = /(?:\bfrom|\bimport|\brequire\s*\()\s*['"]((?:@[\w.~-]+\/)?[\w.~-]+)/g;
/** The compiler's number for a decorator in a wrong place. */
const NOT_VALID = 1206;

let compiler = null;

function loadCompiler() {
  if (compiler !== null) return compiler;
  compiler = module.createRequire(import.meta.url)('../vendor/typescript/typescript.cjs');
  // A killed kernel never writes its cache of compiled code, and of this one most is to be had from it.
  if (module.getCompileCacheDir?.()) setImmediate(module.flushCompileCache);
  return compiler;
}

/** Statements that tell what the declarations after them were; see `keepUsing`. */
const MARKS = { using: 'polyrepl: using', 'await using': 'polyrepl: await using' };

/**
 * Whether text that could not be read otherwise may hold JSX (type arguments follow a name at once), a decorator, or
 * TypeScript's own form of `require`, which Deno does not take.
 */
export function mayNeedCompiler(source) {
  return mayHaveDecorators(source) || /\bimport\s+[\p{ID_Continue}$]+\s*=|\bexport\s*=/u.test(source) ||
    /(?<![\p{ID_Continue}$)\].])<(?:[\p{ID_Start}$_][^\s<>]*[\s/>]|>)/u.test(source);
}

/** Whether text may hold a decorator or `accessor`, which stripping leaves as they are. */
export function mayHaveDecorators(source) {
  return /(?:^|[\s;{}()*/])@[\p{ID_Start}$_(]|\baccessor\b/u.test(source);
}

/** Whether a namespace has several parts: only the compiler lets one see what another declares. */
export function hasMergedNamespaces(source) {
  if (!source.includes('namespace')) return false;
  const names = Array.from(source.matchAll(/\bnamespace\s+([\p{ID_Start}$_][\p{ID_Continue}$.]*)\s*\{/gu), ([, name]) => name);
  return new Set(names).size < names.length;
}

/**
 * @param {string} source
 * @param {{fileName?: string, format?: 'module' | 'commonjs', hasJsx?: boolean}} [options] - the name and kind of a local
 *   file, a cell has none; whether `<a>` is an element rather than an assertion
 * @returns {{code: string, mappings: string}}
 * @throws {CellSyntaxError}
 */
export function compileTypeScript(source, { fileName, format = 'module', hasJsx = true } = {}) {
  const ts = loadCompiler();
  const name = fileName ?? (hasJsx ? 'cell.tsx' : 'cell.ts');
  const { outputText, sourceMapText, diagnostics } = ts.transpileModule(source, {
    fileName: name,
    reportDiagnostics: true,
    compilerOptions: {
      // Newer targets would leave decorators to the runtime.
      target: ts.ScriptTarget.ES2024,
      module: format === 'commonjs' ? ts.ModuleKind.CommonJS : ts.ModuleKind.Preserve,
      // What a cell imports is for later cells, too, so it stays when this one does not use it.
      verbatimModuleSyntax: format !== 'commonjs',
      moduleDetection: ts.ModuleDetectionKind.Force,
      noEmitHelpers: fileName === undefined,
      sourceMap: true,
      ...configuredOptions(ts, source, name),
    },
    transformers: { before: [() => (file) => {
      if (source.includes('@')) refuseDecorators(ts, file);
      return fileName === undefined ? keepUsing(ts, file) : file;
    }] },
  });
  const errors = diagnostics.filter(({ file }) => file !== undefined).sort((a, b) => a.start - b.start);
  if (errors.length > 0) throw toSyntaxError(ts, source, errors[0]);
  const code = outputText.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
  return { code, mappings: JSON.parse(sourceMapText).mappings };
}

/**
 * The compiler would wrap a cell with a top-level `using` whole, value and all. The rewrite treats it like that of any
 * other cell instead, once `restoreUsing` has made it one again.
 */
function keepUsing(ts, file) {
  const { factory, NodeFlags } = ts;
  const kinds = { [NodeFlags.Using]: 'using', [NodeFlags.AwaitUsing]: 'await using' };
  const statements = file.statements.flatMap((statement) => {
    const list = ts.isVariableStatement(statement) ? statement.declarationList : null;
    const kind = list && kinds[list.flags & NodeFlags.BlockScoped];
    if (!kind) return [statement];
    const constants = factory.createVariableDeclarationList(list.declarations, NodeFlags.Const);
    const mark = factory.createExpressionStatement(factory.createStringLiteral(MARKS[kind]));
    return [mark, factory.updateVariableStatement(statement, statement.modifiers, constants)];
  });
  return factory.updateSourceFile(file, statements);
}

/** The compiler drops a decorator that stands where there can be none: in front of a function. */
function refuseDecorators(ts, file) {
  const visit = (node) => {
    const decorator = node.modifiers?.find(({ kind }) => kind === ts.SyntaxKind.Decorator);
    // What is missing may follow.
    if (decorator && !ts.canHaveDecorators(node) && node.kind !== ts.SyntaxKind.MissingDeclaration) {
      const place = { start: decorator.getStart(file), code: NOT_VALID, messageText: 'Decorators are not valid here.' };
      throw Object.assign(toSyntaxError(ts, file.text, place), { isCertain: true });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
}

/** @param {object} ast - of what `compileTypeScript` made of a cell */
export function restoreUsing(ast) {
  const kinds = Object.keys(MARKS);
  ast.body.forEach((node, i) => {
    const kind = kinds.find((name) => node.type === 'ExpressionStatement' && node.expression.value === MARKS[name]);
    if (kind !== undefined && ast.body[i + 1]?.type === 'VariableDeclaration') ast.body[i + 1].kind = kind;
  });
}

function configuredOptions(ts, source, name) {
  const configured = readConfiguration(ts);
  const wanted = { ...JSX };
  if (source.includes('@')) {
    const hasMetadata = usesMetadata(source);
    // Classic decorators are the only ones that parameters can have.
    if (hasMetadata || decoratesParameters(ts, source, name)) wanted.experimentalDecorators = true;
    if (hasMetadata) wanted.emitDecoratorMetadata = true;
  }
  for (const option of HEEDED) if (configured[option] !== undefined) wanted[option] = configured[option];
  if (wanted.jsx === 'preserve' || wanted.jsx === 'react-native') wanted.jsx = JSX.jsx;
  if (wanted.jsx !== 'react') {
    delete wanted.jsxFactory;
    delete wanted.jsxFragmentFactory;
  }
  return ts.convertCompilerOptionsFromJson(wanted, process.cwd()).options;
}

/** Whether classic decorators are meant: their metadata is there, or the text imports what brings it. */
function usesMetadata(source) {
  if (hasMetadata()) return true;
  return [...source.matchAll(IMPORTED)].some(([, name]) => name === METADATA || needsMetadata(name));
}

function hasMetadata() {
  if (isMainThread) return typeof Reflect.getMetadata === 'function';
  return Atomics.load(workerData.shared, CLASSIC_DECORATORS) === 1;
}

function needsMetadata(name) {
  try {
    const file = path.join(process.cwd(), 'node_modules', name, 'package.json');
    const { dependencies, peerDependencies } = JSON.parse(readFileSync(file, 'utf8'));
    return METADATA in { ...dependencies, ...peerDependencies };
  } catch {
    return false;
  }
}

function readConfiguration(ts) {
  let text;
  try {
    text = readFileSync(path.join(process.cwd(), 'tsconfig.json'), 'utf8');
  } catch {
    return {};
  }
  return ts.parseConfigFileTextToJson('tsconfig.json', text).config?.compilerOptions ?? {};
}

function decoratesParameters(ts, source, name) {
  const search = (node) => (ts.isParameter(node) && ts.canHaveDecorators(node) && hasDecorator(node)) ||
    Boolean(ts.forEachChild(node, search));
  const hasDecorator = ({ modifiers }) => modifiers?.some(({ kind }) => kind === ts.SyntaxKind.Decorator) ?? false;
  return search(ts.createSourceFile(name, source, ts.ScriptTarget.ES2024));
}

function toSyntaxError(ts, source, { start, code, messageText }) {
  return new CellSyntaxError(ts.flattenDiagnosticMessageText(messageText, '\n'), {
    ...placeIn(source, start),
    incomplete: UNCLOSED.has(code) || start >= source.trimEnd().length,
  });
}
