/** Questions about acorn's syntax trees. Worker thread, pure. */

import { Parser } from '../vendor/acorn/acorn.mjs';

const PARSE_OPTIONS = { ecmaVersion: 'latest', allowAwaitOutsideFunction: true, allowHashBang: true };

const UNTERMINATED = new Set([
  'ExpressionStatement', 'VariableDeclaration', 'ReturnStatement', 'ThrowStatement', 'BreakStatement',
  'ContinueStatement', 'DoWhileStatement', 'DebuggerStatement',
]);
const EXPORT_DEFAULT = /^export(?:\s|\/\*[^]*?\*\/|\/\/.*)*default/;

/** Exports may name what an earlier cell declared, or a type that is gone. */
class LenientParser extends Parser {
  checkLocalExport() {}
}

/** The syntax tree of JavaScript: as a module if it can be one, else as a script. Throws what the module's parser throws. */
export function parseJavaScript(source) {
  try {
    return LenientParser.parse(source, { ...PARSE_OPTIONS, sourceType: 'module' });
  } catch (error) {
    try {
      return LenientParser.parse(source, { ...PARSE_OPTIONS, sourceType: 'script' });
    } catch {
      throw error;
    }
  }
}

/** @returns {object[]} */
export function childrenOf(node) {
  const children = [];
  for (const key in node) {
    const value = node[key];
    if (Array.isArray(value)) children.push(...value.filter((item) => item?.type));
    else if (typeof value?.type === 'string') children.push(value);
  }
  return children;
}

const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);

/** @returns {boolean} */
export function isFunction(node) {
  return FUNCTIONS.has(node?.type);
}

/** @returns {boolean} whether an expression takes its name from what it is assigned to */
export function isNamelessFunction(node) {
  return (isFunction(node) || node.type === 'ClassExpression') && !node.id;
}

/** @returns {boolean} whether a statement declares resources, awaited or not */
export function isUsing(node) {
  return node?.type === 'VariableDeclaration' && node.kind.endsWith('using');
}

/** @returns {boolean} */
export function isAwaitUsing(node) {
  return isUsing(node) && node.kind === 'await using';
}

/** @returns {boolean} whether `await` below this node belongs to something other than the cell */
export function opensOwnScope(node) {
  return isFunction(node) || node.type === 'StaticBlock';
}

/** @returns {object | null} the `for await` that this statement is or labels */
export function forAwaitBelow(node) {
  if (node.type === 'LabeledStatement') return forAwaitBelow(node.body);
  return node.type === 'ForOfStatement' && node.await ? node : null;
}

/** @returns {object | null} the declaration in the head of a loop, which takes no semicolon */
export function loopHead(node) {
  const head = node.type === 'ForStatement' ? node.init
    : node.type === 'ForOfStatement' || node.type === 'ForInStatement' ? node.left : null;
  return head?.type === 'VariableDeclaration' ? head : null;
}

/** @returns {string[]} the names that a pattern binds */
export function boundNames(pattern) {
  return boundIdentifiers(pattern).map(({ name }) => name);
}

function boundIdentifiers(pattern) {
  switch (pattern?.type) {
    case 'Identifier': return [pattern];
    case 'ObjectPattern': return pattern.properties.flatMap((item) => boundIdentifiers(item.argument ?? item.value));
    case 'ArrayPattern': return pattern.elements.flatMap(boundIdentifiers);
    case 'AssignmentPattern': return boundIdentifiers(pattern.left);
    case 'RestElement': return boundIdentifiers(pattern.argument);
    default: return [];
  }
}

/**
 * What a legacy decorator of a class or its member becomes.
 * @returns {boolean}
 */
export function isDecoration(node) {
  const call = node.type === 'AssignmentExpression' ? node.right : node;
  return call.type === 'CallExpression' && call.callee.name === '__decorate';
}

/** @returns {number} where the expression of a statement ends, with its parentheses and without the semicolon */
export function endOfExpression({ end }, source) {
  return source[end - 1] === ';' ? end - 1 : end;
}

/** @returns {number} where what `export default` exports begins, with its parentheses */
export function startOfDefault({ start }, source) {
  return start + EXPORT_DEFAULT.exec(source.slice(start))[0].length;
}

/** @returns {boolean} whether automatic semicolon insertion may have ended a statement */
export function mayLackSemicolon({ type }) {
  return UNTERMINATED.has(type);
}

/** @returns {object | null} the expression that a cell with this last statement has as its value */
export function finalExpression(node) {
  if (node?.type === 'ExpressionStatement') return node.expression;
  const isValue = node?.type === 'ExportDefaultDeclaration' && !node.declaration.id;
  return isValue ? node.declaration : null;
}
