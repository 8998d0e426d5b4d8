/** Questions about acorn's syntax trees. Worker thread, pure. */

import { parse } from '../vendor/acorn/acorn.mjs';

const PARSE_OPTIONS = { ecmaVersion: 'latest', allowAwaitOutsideFunction: true, allowHashBang: true };

/** The syntax tree of JavaScript: as a module if it can be one, else as a script. Throws what the module's parser throws. */
export function parseJavaScript(source) {
  try {
    return parse(source, { ...PARSE_OPTIONS, sourceType: 'module' });
  } catch (error) {
    try {
      return parse(source, { ...PARSE_OPTIONS, sourceType: 'script' });
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

/** @returns {boolean} whether the cell itself awaits at or below this node */
export function awaitsAtTopLevel(node) {
  if (node.type === 'AwaitExpression' || isAwaitUsing(node)) return true;
  if (node.type === 'ForOfStatement' && node.await) return true;
  return childrenOf(node).some((child) => !opensOwnScope(child) && awaitsAtTopLevel(child));
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
 * Find the assignments to a top-level `const` of the same cell. A name that is declared a second time anywhere in the
 * cell is left out: which of the two is meant would take an analysis of scopes.
 * @param {object[]} body
 * @returns {Set<object>} identifiers that are assigned to
 */
export function assignmentsToConstants(body) {
  const constants = new Set();
  for (const { declaration, ...statement } of body) {
    const { type, kind, declarations } = declaration ?? statement;
    if (type !== 'VariableDeclaration' || kind !== 'const') continue;
    for (const { id } of declarations) for (const name of boundNames(id)) constants.add(name);
  }
  if (constants.size === 0) return new Set();
  const declared = new Map();
  const targets = [];
  for (const node of body) collect(node, declared, targets);
  return new Set(targets.filter(({ name }) => constants.has(name) && declared.get(name) === 1));
}

function collect(node, declared, targets) {
  for (const pattern of declaredPatterns(node)) {
    for (const name of boundNames(pattern)) declared.set(name, (declared.get(name) ?? 0) + 1);
  }
  const target = assignedPattern(node);
  if (target) targets.push(...boundIdentifiers(target));
  for (const child of childrenOf(node)) collect(child, declared, targets);
}

function declaredPatterns(node) {
  switch (node.type) {
    case 'VariableDeclarator': case 'ClassDeclaration': case 'ClassExpression': return [node.id];
    case 'FunctionDeclaration': case 'FunctionExpression': return [node.id, ...node.params];
    case 'ArrowFunctionExpression': return node.params;
    case 'CatchClause': return [node.param];
    default: return [];
  }
}

function assignedPattern(node) {
  switch (node.type) {
    // What `||=` and its like do depends on the value there is.
    case 'AssignmentExpression': return /^(\|\||&&|\?\?)=$/.test(node.operator) ? null : node.left;
    case 'UpdateExpression': return node.argument;
    case 'ForOfStatement': case 'ForInStatement': return node.left;
    default: return null;
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

/** @returns {object | null} the expression that a cell with this last statement has as its value */
export function finalExpression(node) {
  if (node?.type === 'ExpressionStatement') return node.expression;
  const isValue = node?.type === 'ExportDefaultDeclaration' && !node.declaration.id;
  return isValue ? node.declaration : null;
}
