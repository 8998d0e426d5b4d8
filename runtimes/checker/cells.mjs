/** Cells as modules: what a cell declares at its top level, and the text by which another cell knows it. */

import { ts } from './compiler.mjs';

const { SyntaxKind: Kind } = ts;
const GLOBALS = new Set(['globalThis', 'global', 'window', 'self']);
const END = '__end_';
const MOST_KEPT = 4 * 1024 * 1024; // characters of cells

/**
 * @typedef {object} Cell
 * @property {string} code
 * @property {boolean} isJsx
 * @property {boolean} isObject - it is an object, as the kernel reads a `{` at the start
 * @property {boolean} isBroken - it has errors of syntax, so the kernel has not run it
 * @property {Map<string, 'variable' | 'constant' | 'other'>} names
 * @property {Set<string>} exported - names that it exports itself
 * @property {Set<string>} mentioned - all identifiers
 * @property {Set<string>} globals - names that it makes by an assignment, or by a function in a block
 * @property {boolean} isDecorated - it has decorators
 * @property {boolean} isClassic - it decorates a parameter, so its decorators are the classic ones, as in the kernel
 * @property {boolean} augments - it declares, or imports for their effect, what others see without an import
 */

const analysed = new Map();
let analysedSize = 0;

/** @param {string} code @returns {Cell} */
export function analyse(code) {
  let cell = analysed.get(code);
  if (cell === undefined) {
    cell = look(code);
    analysedSize += code.length;
    for (const oldest of analysed.keys()) {
      if (analysedSize <= MOST_KEPT) break;
      analysed.delete(oldest);
      analysedSize -= oldest.length;
    }
  }
  analysed.delete(code);
  analysed.set(code, cell);
  return cell;
}

function look(given) {
  const code = given.replace(/^#!/, '//');
  const isObject = /^(?:\s|\/\/.*\n|\/\*[^]*?\*\/)*\{/.test(code) && !/;\s*$/.test(code) && isWhole(`(${code}\n)`);
  const text = isObject ? `(${code}\n)` : code;
  const plain = parse(text, false);
  const isJsx = plain.parseDiagnostics.length > 0 && /<[\w>]/.test(code) && isWhole(text, true);
  const file = isJsx ? parse(text, true) : plain;
  const cell = {
    code, isObject, isJsx,
    isBroken: file.parseDiagnostics.length > 0,
    names: new Map(),
    exported: new Set(),
    mentioned: new Set(file.identifiers.keys()),
    globals: new Set(),
    isDecorated: false,
    isClassic: false,
    augments: false,
  };
  for (const statement of file.statements) noteStatement(statement, cell);
  noteNested(file, cell, true);
  for (const name of cell.names.keys()) cell.globals.delete(name);
  return cell;
}

function parse(text, isJsx) {
  return ts.createSourceFile(isJsx ? '/cell.tsx' : '/cell.ts', text, { languageVersion: ts.ScriptTarget.ESNext, jsDocParsingMode: ts.JSDocParsingMode.ParseNone });
}

function isWhole(text, isJsx = false) {
  return parse(text, isJsx).parseDiagnostics.length === 0;
}

function noteStatement(node, cell) {
  switch (node.kind) {
    case Kind.VariableStatement:
      noteVariables(node.declarationList, cell);
      if (isExported(node)) for (const each of boundNames(node.declarationList)) cell.exported.add(each);
      break;
    case Kind.FunctionDeclaration:
    case Kind.ClassDeclaration:
    case Kind.EnumDeclaration:
    case Kind.InterfaceDeclaration:
    case Kind.TypeAliasDeclaration:
    case Kind.ImportEqualsDeclaration:
      noteOther(node.name, node, cell);
      break;
    case Kind.ModuleDeclaration:
      if (node.name.kind === Kind.Identifier && !(node.flags & ts.NodeFlags.GlobalAugmentation)) noteOther(node.name, node, cell);
      else cell.augments = true;
      break;
    case Kind.ImportDeclaration:
      cell.augments ||= node.importClause === undefined;
      noteImports(node.importClause, cell);
      break;
    case Kind.ExportDeclaration:
      if (node.exportClause?.kind === Kind.NamedExports) {
        for (const each of node.exportClause.elements) cell.exported.add(each.name.text);
      }
  }
}

function noteImports(clause, cell) {
  if (clause === undefined) return;
  if (clause.name) cell.names.set(clause.name.text, 'other');
  const bindings = clause.namedBindings;
  if (bindings?.kind === Kind.NamespaceImport) cell.names.set(bindings.name.text, 'other');
  if (bindings?.kind === Kind.NamedImports) for (const each of bindings.elements) cell.names.set(each.name.text, 'other');
}

function noteOther(name, node, cell) {
  if (name === undefined) return;
  cell.names.set(name.text, 'other');
  if (isExported(node) && !isDefault(node)) cell.exported.add(name.text);
}

function isExported(node) {
  return node.modifiers?.some((each) => each.kind === Kind.ExportKeyword) ?? false;
}

function isDefault(node) {
  return node.modifiers.some((each) => each.kind === Kind.DefaultKeyword);
}

function noteVariables(list, cell) {
  const isConstant = (list.flags & ts.NodeFlags.BlockScoped) > ts.NodeFlags.Let; // const, using, await using
  for (const name of boundNames(list)) {
    // What is a type, too, is known by an import, which has all its meanings.
    if (cell.names.get(name) !== 'other') cell.names.set(name, isConstant ? 'constant' : 'variable');
  }
}

function* boundNames(list) {
  for (const each of list.declarations) yield* namesOf(each.name);
}

function* namesOf(name) {
  if (name.kind === Kind.Identifier) yield name.text;
  else for (const each of name.elements) if (each.name) yield* namesOf(each.name);
}

/** `var` in blocks is of the top level; so is what is assigned to a name that nobody declares. */
function noteNested(node, cell, isTop) {
  ts.forEachChild(node, (child) => {
    if (isTop && child.kind === Kind.VariableDeclarationList && !(child.flags & ts.NodeFlags.BlockScoped)) noteVariables(child, cell);
    if (isTop && child.kind === Kind.FunctionDeclaration && child.name && node.kind !== Kind.SourceFile) cell.globals.add(child.name.text);
    if (child.kind === Kind.Decorator) cell.isDecorated = true;
    if (child.kind === Kind.Parameter && child.modifiers?.some((each) => each.kind === Kind.Decorator)) cell.isClassic = true;
    if (child.kind === Kind.CallExpression) noteAssign(child, cell);
    if (child.kind === Kind.BinaryExpression && child.operatorToken.kind === Kind.EqualsToken) noteAssignment(child.left, cell);
    noteNested(child, cell, isTop && !ts.isFunctionLike(child) && !ts.isClassLike(child));
  });
}

/** `Object.assign(globalThis, { name })` */
function noteAssign({ expression, arguments: [target, values] }, cell) {
  const isAssign = expression.kind === Kind.PropertyAccessExpression && expression.name.text === 'assign' && expression.expression.text === 'Object';
  if (!isAssign || !GLOBALS.has(target?.text) || values?.kind !== Kind.ObjectLiteralExpression) return;
  for (const { name } of values.properties) if (name !== undefined && ts.isIdentifier(name)) cell.globals.add(name.text);
}

function noteAssignment(target, cell) {
  if (target.kind === Kind.Identifier) cell.globals.add(target.text);
  const isGlobal = (target.kind === Kind.PropertyAccessExpression || target.kind === Kind.ElementAccessExpression)
    && target.expression.kind === Kind.Identifier && GLOBALS.has(target.expression.text);
  if (!isGlobal) return;
  const name = target.name ?? target.argumentExpression;
  if (ts.isIdentifier(name) ? target.name : ts.isStringLiteralLike(name)) cell.globals.add(name.text);
}

/**
 * The modules of the cells that the last one needs, with that one.
 * @param {Cell[]} cells - in the order in which they ran, the last one is to be checked
 * @returns {{path: string, text: string, start: number, cell: Cell}[]} `start`: where the cell's own text begins
 */
export function modulesOf(cells) {
  const known = new Map(); // name to what the cells so far say of it
  const modules = [];
  for (const [index, cell] of cells.entries()) {
    const isLast = index === cells.length - 1;
    if (cell.isBroken && !isLast) continue;
    modules.push(moduleOf(cell, index + 1, known));
    noteNames(cell, index + 1, known);
  }
  return modules;
}

function moduleOf(cell, number, known) {
  let before = 'export {}; ';
  const after = [];
  for (const name of cell.mentioned) {
    const found = cell.names.has(name) ? undefined : known.get(name);
    if (found === undefined) continue;
    before += declared(name, found);
    if (found.kind === 'variable' || found.kind === 'constant') after.push(`export const ${END}${name} = ${name};`);
  }
  for (const [name, kind] of cell.names) {
    if (!cell.exported.has(name)) after.push(`export { ${name} };`);
    if (kind !== 'other') after.push(`export const ${END}${name} = ${name};`);
  }
  before += cell.isObject ? '(\n' : '\n';
  const text = `${before}${cell.code}\n${cell.isObject ? ');' : ';'}${after.join(' ')}\n`;
  return { path: pathOf(number, cell.isJsx), text, start: before.length, cell };
}

/** A name of an earlier cell: its declared type, and what is left of the narrower one at the end of the last cell that mentions it. */
function declared(name, { kind, home, last }) {
  if (kind === 'any') return `declare let ${name}: any; `;
  if (kind === 'other') return `import { ${name} } from "${home}"; `;
  const type = `typeof import("${home}").${name}`;
  const end = `typeof import("${last}").${END}${name}`;
  if (kind === 'constant') return `const ${name}: ${type} = null! as PolyreplConstant<${type}, ${end}>; `;
  return `let ${name}: ${type} = null! as PolyreplVariable<${type}, ${end}>; `;
}

function noteNames(cell, number, known) {
  const path = moduleName(number);
  for (const name of cell.globals) if (!known.has(name)) known.set(name, { kind: 'any' });
  for (const [name, kind] of cell.names) known.set(name, { kind, home: path, last: path });
  for (const name of cell.mentioned) {
    const found = cell.names.has(name) ? undefined : known.get(name);
    if (found?.home !== undefined) known.set(name, { ...found, last: path });
  }
}

function moduleName(number) {
  return `./__cell_${number}`;
}

function pathOf(number, isJsx) {
  return `/context/__cell_${number}.${isJsx ? 'tsx' : 'ts'}`;
}
