/**
 * Rewrites what the statements of a cell consist of: names, awaits, loops that await, resources. Worker thread, pure.
 */

import { Edits } from './edits.mjs';
import {
  boundNames, childrenOf, forAwaitBelow, isAwaitUsing, isFunction, isUsing, loopHead, mayLackSemicolon, opensOwnScope,
} from './syntax-tree.mjs';
import { SCOPE } from '../shared/names.mjs';

/** Whose functions are also names outside. */
const BLOCKS = new Set(['BlockStatement', 'SwitchCase']);

export class StatementRewriter {
  #source;
  #meanings;
  #isGenerator;
  #names;
  #locals = 0;

  /**
   * @param {string} source
   * @param {{meanings: import('./meanings.mjs').Meanings, isGenerator: boolean, names: Set<string>}} options - whether the
   *   cell becomes a generator; gets the names of the top level that statements declare
   */
  constructor(source, { meanings, isGenerator, names }) {
    this.#source = source;
    this.#meanings = meanings;
    this.#isGenerator = isGenerator;
    this.#names = names;
  }

  /** Turn a declaration inside a generator cell into assignments to the globals of the same names. */
  assignments(node, edits, isLoopHead) {
    this.declare(node);
    if (!isLoopHead) this.terminate(node, edits);
    edits.replace(node.start, node.declarations[0].start, '');
    for (const { id, init, start, end } of node.declarations) {
      const inParentheses = id.type === 'ObjectPattern' && init;
      edits.close(end, this.#meanings.show(boundNames(id), ',', ''));
      if (inParentheses) {
        edits.open(start, '(');
        edits.close(end, ')');
      }
      if (!init && node.kind === 'let' && !isLoopHead) edits.close(end, '=undefined');
      this.visit(id, edits);
      if (init) this.#meanings.keepName(id, init, edits);
      this.visit(init, edits);
    }
  }

  declare(node) {
    for (const { id } of node.declarations) for (const name of boundNames(id)) this.#names.add(name);
  }

  /** Make an implied semicolon explicit: what follows may begin with a parenthesis that was not there before. */
  terminate(node, edits) {
    if (this.#isGenerator && this.#source[node.end - 1] !== ';') edits.close(node.end, ';');
  }

  /** @param {boolean} isTop - whether an `await` here is the cell's own rather than a function's */
  visit(node, edits, isTop = !isFunction(node)) {
    if (!node) return;
    switch (node.type) {
      case 'Identifier':
        return this.#meanings.edit(node, edits);
      case 'Property':
        // A shorthand's key and value are the same place.
        if (node.shorthand) return this.#shorthand(node, edits, isTop);
        break;
      case 'ImportExpression':
        edits.replace(node.start, node.start + 'import'.length, `${SCOPE}.load`);
        break;
      case 'MetaProperty':
        if (node.meta.name === 'import') edits.replace(node.start, node.end, `${SCOPE}.meta`);
        return;
      case 'AwaitExpression':
        if (isTop) {
          edits.replace(node.start, node.start + 'await'.length, `(yield ${SCOPE}.here(`);
          edits.close(node.end, '))');
        }
        break;
      case 'LabeledStatement':
        if (isTop && forAwaitBelow(node)) return this.#forAwait(node, edits);
        break;
      case 'ForOfStatement':
        if (isTop && node.await) return this.#forAwait(node, edits);
        if (isTop && isAwaitUsing(node.left)) return this.#forUsing(node, edits);
        break;
      case 'ForStatement':
        if (isTop && isAwaitUsing(node.init)) {
          throw positionedError('"await using" cannot begin a for loop here', node.init);
        }
        break;
      case 'BlockStatement':
        if (isTop && node.body.some(isAwaitUsing)) return this.#block(node, edits);
        break;
      case 'VariableDeclaration':
        if (isTop && node.kind === 'var') return this.#nestedVariables(node, edits, false);
        break;
    }
    if (isTop && mayLackSemicolon(node)) this.terminate(node, edits);
    this.visitChildren(node, edits, isTop);
  }

  #shorthand(node, edits, isTop) {
    const target = node.value.type === 'AssignmentPattern' ? node.value.left : node.value;
    if (this.#meanings.isOther(target)) edits.open(node.start, `${node.key.name}:`);
    this.visit(node.value, edits, isTop);
  }

  #nestedVariables(node, edits, isLoopHead) {
    if (this.#isGenerator) return this.assignments(node, edits, isLoopHead);
    this.declare(node);
    this.visitChildren(node, edits, true);
  }

  visitChildren(node, edits, isTop) {
    const head = loopHead(node);
    if (head && isTop) this.#loopHead(head, edits);
    for (const child of childrenOf(node)) {
      if (child === head && isTop) continue;
      this.visit(child, edits, isTop && !opensOwnScope(child));
      if (isTop && BLOCKS.has(node.type)) this.#blockFunction(child, edits);
    }
  }

  #loopHead(head, edits) {
    if (head.kind === 'var') this.#nestedVariables(head, edits, true);
    else this.visitChildren(head, edits, true);
  }

  /**
   * `for await` has no counterpart in a generator, so it becomes a plain loop over `AsyncSteps`, each step awaited by
   * a yield, with the iterator closed in a `finally`. Labels stay directly in front of the loop.
   */
  #forAwait(node, edits) {
    const loop = forAwaitBelow(node) ?? node;
    const steps = this.local('steps');
    const value = `${steps}.value`;
    edits.open(node.start, `{const ${steps}=${SCOPE}.asyncSteps();try{`);
    edits.replace(
      loop.start, loop.body.start,
      `for(${steps}.open(`, this.#part(loop.right), `);yield ${SCOPE}.here(${steps}.next()),!${steps}.done;){`,
      ...(isAwaitUsing(loop.left) ? [] : this.#forAwaitTarget(loop.left, value)),
    );
    edits.close(node.end, `}}finally{yield ${steps}.close()}}`);
    if (isAwaitUsing(loop.left)) this.#usingBody(loop, value, edits);
    else this.visit(loop.body, edits, true);
  }

  #forAwaitTarget(left, value) {
    const isDeclaration = left.type === 'VariableDeclaration';
    if (isDeclaration && left.kind !== 'var') {
      return [`${left.kind} `, this.#part(left.declarations[0].id), `=${value};`];
    }
    if (isDeclaration) this.declare(left);
    // A list pattern of one, because a target in braces cannot begin a statement.
    return ['[', this.#part(isDeclaration ? left.declarations[0].id : left), `]=[${value}];`];
  }

  /** `for (await using x of y)`: each turn's resource belongs to a block of its own. */
  #forUsing(node, edits) {
    const value = this.local('value');
    edits.replace(node.left.start, node.left.end, `const ${value}`);
    this.visit(node.right, edits, true);
    this.#usingBody(node, value, edits);
  }

  #usingBody(loop, value, edits) {
    const { name } = loop.left.declarations[0].id;
    const resources = this.local('resources');
    edits.open(loop.body.start, `{${openResources(resources)}const ${name}=${resources}.use(${value},true);`);
    edits.close(loop.body.end, `${closeResources(resources)}}`);
    this.visit(loop.body, edits, true);
  }

  /** A block with `await using` among its statements. */
  #block(node, edits) {
    const resources = this.resources(node.body, node.end - 1, edits);
    for (const child of node.body) {
      if (isUsing(child)) this.using(child, edits, { resources, isGlobal: false });
      else this.visit(child, edits, !opensOwnScope(child));
      this.#blockFunction(child, edits);
    }
  }

  /** A sloppy script makes the function of a block global once the block is entered; a generator would not. */
  #blockFunction(node, edits) {
    if (!this.#isGenerator || node.type !== 'FunctionDeclaration' || node.async || node.generator) return;
    this.#names.add(node.id.name);
    edits.close(node.end, `${SCOPE}.globals.${this.#meanings.property(node.id.name)}=${node.id.name};`);
  }

  /**
   * A generator cannot await what `using` declares, so its disposal becomes a `finally` around what follows. The
   * resources of the top level are disposed when the cell ends; their names stay, as all names do.
   */
  resources(statements, end, edits) {
    const first = statements.find(isUsing);
    if (!first) return null;
    const resources = this.local('resources');
    edits.open(first.start, openResources(resources));
    edits.close(end, `\n${closeResources(resources)}`);
    return resources;
  }

  using(node, edits, { resources, isGlobal }) {
    if (isGlobal) this.declare(node);
    this.terminate(node, edits);
    edits.replace(node.start, node.declarations[0].start, isGlobal ? '' : 'const ');
    for (const { id, init, end } of node.declarations) {
      if (isGlobal) {
        edits.close(end, this.#meanings.show([id.name], ',', ''));
        this.visit(id, edits);
      }
      edits.open(init.start, `${resources}.use(`);
      edits.close(init.end, `,${isAwaitUsing(node)})`);
      this.visit(init, edits);
    }
  }

  /** A name for generated code, other than any that this cell can mean. */
  local(name) {
    let local;
    do local = `$${name}${++this.#locals}`; while (this.#source.includes(local));
    return local;
  }

  #part(node) {
    const edits = new Edits(this.#source);
    this.visit(node, edits, true);
    return { edits, start: node.start, end: node.end };
  }
}

function positionedError(message, node) {
  return Object.assign(new SyntaxError(message), { pos: node.start });
}

function openResources(name) {
  return `const ${name}=${SCOPE}.resources();try{`;
}

function closeResources(name) {
  return `}catch(error){${name}.fail(error)}finally{yield ${name}.dispose()}`;
}
