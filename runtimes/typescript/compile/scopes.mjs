/** Which names a cell declares at its top level, and which identifiers mean those or globals. Worker thread, pure. */

import { isAwaitUsing, isFunction } from './syntax-tree.mjs';

/** A parameter's declaration. */
const INNER = { kind: 'let', end: 0 };
const LOGICAL = /^(?:\|\||&&|\?\?)=$/;

/**
 * An identifier that no inner scope declares.
 * @typedef {object} Reference
 * @property {object} node
 * @property {string} name
 * @property {boolean} isTarget - it is assigned to, and not only where its value says so (`||=`)
 * @property {boolean} isBinding - it is where the top level declares a variable
 * @property {string | null} owner - the declaration that has to be mentioned before this code can run: a function, a
 *   class for its methods, a constant for the functions that its literal consists of; null for what runs in its place
 */

/**
 * @typedef {object} Declaration
 * @property {string} kind - `var`, `let`, `const`, `using`, `await using`, `class`, `function` or `import`
 * @property {number} end - where the name has its value
 * @property {object} [pattern] - what declares it besides other names: there it has its value early
 * @property {object} [node] - itself in there
 */

/** The names of a cell, in one walk. */
export class CellScopes {
  /** What the top level declares. @type {Map<string, Declaration>} */
  declared = new Map();
  /** Whether the cell itself awaits. */
  awaits = false;
  #top = new Scope(null, true);

  /** @param {object[]} body */
  constructor(body) {
    for (const node of body) this.#topLevel(node, this.#top);
  }

  /** @returns {Reference[]} */
  get references() {
    return this.#top.references;
  }

  /** @returns {Set<string>} the names that code of this cell mentions, other than to declare or import them */
  mentioned() {
    const names = new Set();
    for (const { name, isBinding } of this.references) if (!isBinding) names.add(name);
    return names;
  }

  /** @returns {string[]} the names that are nothing before their declaration has run, in whatever cell */
  late() {
    const names = [];
    for (const [name, { kind }] of this.declared) if (kind !== 'var' && kind !== 'function') names.push(name);
    return names;
  }

  /** @returns {Reference[]} those that may be reached before their `let`, `const` or `class` */
  early() {
    let reached = null;
    return this.references.filter(({ name, node, owner, isBinding }) => {
      const declaration = this.declared.get(name);
      if (isBinding || declaration === undefined || !isLexical(declaration)) return false;
      if (owner === null) return node.start < declaration.end && !isWithinPattern(node, declaration);
      reached ??= this.#reached();
      return (reached.get(owner) ?? Infinity) < declaration.end;
    });
  }

  /** @returns {Map<string, number>} where the cell can first run what each name owns */
  #reached() {
    const uses = this.references.filter(({ name, isBinding }) => !isBinding && this.declared.has(name));
    const owned = Map.groupBy(uses, ({ owner }) => owner);
    const reached = new Map();
    const direct = (owned.get(null) ?? []).sort((a, b) => a.node.start - b.node.start);
    for (const { name, node } of direct) {
      const names = [name];
      while (names.length > 0) {
        const next = names.pop();
        if (reached.has(next)) continue;
        reached.set(next, node.start);
        for (const inner of owned.get(next) ?? []) names.push(inner.name);
      }
    }
    return reached;
  }

  #topLevel(node, top) {
    switch (node.type) {
      case 'ImportDeclaration':
        for (const { local } of node.specifiers) this.declared.set(local.name, { kind: 'import', end: 0 });
        return;
      case 'ExportNamedDeclaration':
        if (node.declaration) this.#topLevel(node.declaration, top);
        return;
      case 'ExportDefaultDeclaration':
        return this.#topLevel(node.declaration, top);
      case 'ExportAllDeclaration':
        return;
      case 'FunctionDeclaration':
        if (node.id) this.#declare(node.id, top, { kind: 'function', end: 0 });
        return this.#function(node, top, node.id?.name ?? null);
      case 'ClassDeclaration':
        return this.#class(node, top, null, true, node.id?.name ?? null);
      case 'VariableDeclaration':
        return this.#variables(node, top, null, true);
      default:
        return this.#visit(node, top, null, true);
    }
  }

  #visit(node, scope, owner, isTop) {
    switch (node.type) {
      case 'Identifier': return scope.refer(node, owner, false);
      case 'MemberExpression':
        this.#visit(node.object, scope, owner, isTop);
        if (node.computed) this.#visit(node.property, scope, owner, isTop);
        return;
      case 'Property': return this.#member(node, scope, owner, isTop);
      case 'FunctionDeclaration':
        scope.declare(node.id.name);
        // A sloppy script makes it a name of the function around, too.
        if (scope.function !== this.#top) scope.function.declare(node.id.name);
        else if (!node.async && !node.generator) this.#declare(node.id, this.#top, { kind: 'function', end: 0 });
        return this.#function(node, scope, owner);
      case 'FunctionExpression': case 'ArrowFunctionExpression': return this.#function(node, scope, owner);
      case 'ClassDeclaration': case 'ClassExpression': return this.#class(node, scope, owner, isTop, null);
      case 'VariableDeclaration': return this.#variables(node, scope, owner, isTop);
      case 'AssignmentExpression': return this.#assignment(node, scope, owner, isTop);
      case 'UpdateExpression': return this.#pattern(node.argument, scope, null, owner, isTop);
      case 'AwaitExpression':
        if (isTop) this.awaits = true;
        return this.#visit(node.argument, scope, owner, isTop);
      case 'ForOfStatement': case 'ForInStatement': return this.#forIn(node, scope, owner, isTop);
      case 'BlockStatement': case 'ForStatement': case 'SwitchStatement': case 'CatchClause':
        return this.#block(node, new Scope(scope, false), owner, isTop);
      case 'LabeledStatement': return this.#visit(node.body, scope, owner, isTop);
      case 'Literal': case 'BreakStatement': case 'ContinueStatement': case 'MetaProperty': case 'TemplateElement':
      case 'ThisExpression': case 'Super': case 'EmptyStatement': case 'DebuggerStatement': case 'PrivateIdentifier':
        return;
      default: return this.#children(node, scope, owner, isTop);
    }
  }

  #children(node, scope, owner, isTop) {
    for (const key in node) {
      const value = node[key];
      if (value === null || typeof value !== 'object') continue;
      if (Array.isArray(value)) {
        for (const item of value) if (item?.type) this.#visit(item, scope, owner, isTop);
      } else if (typeof value.type === 'string') {
        this.#visit(value, scope, owner, isTop);
      }
    }
  }

  #block(node, inner, owner, isTop) {
    if (node.param) this.#pattern(node.param, inner, INNER, owner, isTop);
    this.#children(node.type === 'CatchClause' ? node.body : node, inner, owner, isTop);
    inner.close();
  }

  #member({ computed, key, value }, scope, owner, isTop) {
    if (computed) this.#visit(key, scope, owner, isTop);
    if (value) this.#visit(value, scope, owner, isTop);
  }

  #function(node, scope, owner) {
    const inner = new Scope(scope, true);
    if (node.type === 'FunctionExpression' && node.id) inner.declare(node.id.name);
    for (const parameter of node.params) this.#pattern(parameter, inner, INNER, owner, false);
    if (node.body.type === 'BlockStatement') this.#children(node.body, inner, owner, false);
    else this.#visit(node.body, inner, owner, false);
    inner.close();
  }

  /** @param {string | null} name - of a class of the top level, which owns its methods and fields */
  #class(node, scope, owner, isTop, name) {
    if (node.type === 'ClassDeclaration' && node.id) this.#declare(node.id, scope, { kind: 'class', end: node.end });
    const inner = new Scope(scope, false);
    if (node.id) inner.declare(node.id.name);
    if (node.superClass) this.#visit(node.superClass, inner, owner, isTop);
    for (const member of node.body.body) {
      if (member.type === 'StaticBlock') {
        const block = new Scope(inner, true);
        this.#children(member, block, owner, false);
        block.close();
        continue;
      }
      if (member.computed) this.#visit(member.key, inner, owner, isTop);
      const isDeferred = isFunction(member.value) || !member.static;
      if (member.value) this.#visit(member.value, inner, isDeferred ? owner ?? name : owner, false);
    }
    inner.close();
  }

  #variables(node, scope, owner, isTop) {
    if (isTop && isAwaitUsing(node)) this.awaits = true;
    for (const { id, init, end } of node.declarations) {
      this.#pattern(id, scope, { kind: node.kind, end, pattern: id }, owner, isTop);
      if (!init) continue;
      const name = scope === this.#top && owner === null && id.type === 'Identifier' ? id.name : null;
      this.#initializer(init, scope, owner, isTop, name);
    }
  }

  /** Functions of a literal run no earlier than the name that holds them is mentioned. */
  #initializer(node, scope, owner, isTop, name) {
    if (name !== null && isFunction(node)) return this.#function(node, scope, name);
    if (name !== null && node.type === 'ClassExpression') return this.#class(node, scope, owner, isTop, name);
    if (name === null || (node.type !== 'ObjectExpression' && node.type !== 'ArrayExpression')) {
      return this.#visit(node, scope, owner, isTop);
    }
    for (const item of node.properties ?? node.elements) {
      if (item?.computed) this.#visit(item.key, scope, owner, isTop);
      const value = item?.type === 'Property' ? item.value : item;
      if (value) this.#initializer(value, scope, owner, isTop, name);
    }
  }

  #assignment({ left, right, operator }, scope, owner, isTop) {
    if (left.type === 'Identifier' && LOGICAL.test(operator)) scope.refer(left, owner, false);
    else this.#pattern(left, scope, null, owner, isTop);
    this.#visit(right, scope, owner, isTop);
  }

  #forIn(node, scope, owner, isTop) {
    if (isTop && node.await) this.awaits = true;
    const inner = new Scope(scope, false);
    if (node.left.type === 'VariableDeclaration') this.#visit(node.left, inner, owner, isTop);
    else this.#pattern(node.left, inner, null, owner, isTop);
    this.#visit(node.right, inner, owner, isTop);
    this.#visit(node.body, inner, owner, isTop);
    inner.close();
  }

  /** @param {{kind: string, end: number} | null} declaration - null where the pattern is assigned to */
  #pattern(node, scope, declaration, owner, isTop) {
    switch (node.type) {
      case 'Identifier':
        if (declaration === null) return scope.refer(node, owner, true);
        return this.#bind(node, declaration.kind === 'var' ? scope.function : scope, declaration);
      case 'ObjectPattern':
        for (const item of node.properties) {
          if (item.computed) this.#visit(item.key, scope, owner, isTop);
          this.#pattern(item.argument ?? item.value, scope, declaration, owner, isTop);
        }
        return;
      case 'ArrayPattern':
        for (const item of node.elements) if (item) this.#pattern(item, scope, declaration, owner, isTop);
        return;
      case 'AssignmentPattern':
        this.#pattern(node.left, scope, declaration, owner, isTop);
        return this.#visit(node.right, scope, owner, isTop);
      case 'RestElement':
        return this.#pattern(node.argument, scope, declaration, owner, isTop);
      default:
        return this.#visit(node, scope, owner, isTop);
    }
  }

  #bind(node, scope, declaration) {
    this.#declare(node, scope, declaration);
    if (scope === this.#top) scope.bind(node);
  }

  #declare(node, scope, declaration) {
    if (scope !== this.#top) return scope.declare(node.name);
    // A block's function may have the name, too.
    if (this.declared.has(node.name) && declaration.kind === 'function') return;
    this.declared.set(node.name, { ...declaration, node });
  }
}

/** The value that is taken apart is there before the pattern, what follows a name in it comes after the name. */
function isWithinPattern({ start }, { pattern, node }) {
  return pattern !== undefined && start > node.start && start < pattern.end;
}

function isLexical({ kind }) {
  return kind !== 'var' && kind !== 'function' && kind !== 'import';
}

class Scope {
  #names = null;
  #parent;
  references = [];

  constructor(parent, isFunction) {
    this.#parent = parent;
    this.function = isFunction ? this : parent.function;
  }

  declare(name) {
    (this.#names ??= new Set()).add(name);
  }

  bind(node) {
    this.references.push({ node, name: node.name, isTarget: false, isBinding: true, owner: null });
  }

  refer(node, owner, isTarget) {
    this.references.push({ node, name: node.name, isTarget, isBinding: false, owner });
  }

  /** What is not declared here is looked up further out. */
  close() {
    const { references } = this.#parent;
    for (const reference of this.references) if (!this.#names?.has(reference.name)) references.push(reference);
  }
}
