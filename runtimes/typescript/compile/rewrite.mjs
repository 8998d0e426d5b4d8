/**
 * Rewrites the JavaScript of a cell so that it can be run as a script in the context's global scope: top-level
 * names become redeclarable globals, imports become calls, and a cell that awaits at its top level becomes a generator
 * whose every synchronous stretch the evaluator runs on its own. Worker thread, pure.
 */

import { Edits, Rendering } from './edits.mjs';
import { importsAsCalls } from './imports.mjs';
import { Meanings } from './meanings.mjs';
import {
  boundNames, childrenOf, endOfExpression, finalExpression, forAwaitBelow, isAwaitUsing, isDecoration, isFunction, isUsing,
  loopHead, mayLackSemicolon, opensOwnScope, startOfDefault,
} from './syntax-tree.mjs';
import { SCOPE } from '../shared/names.mjs';

/** Whose functions are also names outside. */
const BLOCKS = new Set(['BlockStatement', 'SwitchCase']);

/**
 * @typedef {object} Rewritten
 * @property {string} code - script text
 * @property {number[] | null} pieces - see `Rendering`; null when the text is unchanged
 * @property {'script' | 'generator'} kind - what running the script yields: its value, or a generator function
 * @property {boolean} hasValue - whether the cell ends in an expression
 * @property {string[]} names - top-level names that the cell declares
 * @property {string[]} shadows - those of them that are kept apart from the runtime's global of the same name
 */

/**
 * @param {string} source
 * @param {{ast: object, typed: string, shadows: import('./shadows.mjs').Shadows, isTransformed?: boolean,
 *   isCompiled?: boolean}} options - the parsed source; what it was with its types; the names that are kept apart; whether
 *   TypeScript was transformed rather than only stripped; whether the compiler did it, so that helpers may be called
 * @returns {Rewritten}
 */
export function rewriteCell(source, options) {
  return new CellRewriter(source, options).rewrite();
}

class CellRewriter {
  #names = new Set();
  #functions = [];
  #locals = 0;
  #meanings;

  constructor(source, { ast, typed, shadows, isTransformed = false, isCompiled = false }) {
    this.source = source;
    this.typed = typed;
    this.isTransformed = isTransformed;
    this.isCompiled = isCompiled;
    this.body = ast.body;
    this.edits = new Edits(source);
    this.#meanings = new Meanings(this.body, { shadows, isCompiled });
    this.isGenerator = this.#meanings.awaits || this.#meanings.needsAssignments ||
      this.body.some((node) => node.type === 'ImportDeclaration' || isUsing(node));
  }

  rewrite() {
    const last = this.body.findLast((node) => node.type !== 'EmptyStatement' && !this.#isHoisted(node));
    const value = finalExpression(last);
    this.#preamble();
    const resources = this.#resources(this.body, this.source.length, this.edits);
    for (const node of this.body) this.#topLevel(node, node === last, resources);
    if (this.source.startsWith('#!')) this.edits.open(0, '//');
    return {
      ...this.#render(),
      kind: this.isGenerator ? 'generator' : 'script',
      hasValue: value !== null,
      names: [...this.#names],
      shadows: this.#meanings.shadows,
    };
  }

  /** What comes before the cell's first statement: which names have no value yet, and all imports. */
  #preamble() {
    const first = this.body.find(({ directive }) => directive === undefined);
    if (!this.isGenerator || first === undefined) return;
    const { parts, names } = importsAsCalls(this.body, {
      edits: this.edits, typed: this.typed, meanings: this.#meanings, load: `yield ${SCOPE}.load`,
    });
    for (const name of names) this.#names.add(name);
    this.edits.replace(first.start, first.start, this.#meanings.hide(), ...parts);
  }

  #render() {
    if (!this.isGenerator && this.edits.isEmpty) return { code: this.source, pieces: null };
    const rendering = new Rendering();
    if (this.isGenerator) {
      if (this.#names.size > 0) rendering.literal(`var ${this.#properties().join()};`);
      for (const { name, edits, start, end } of this.#functions) {
        const isAssigned = this.#meanings.isShadowed(name);
        if (isAssigned) rendering.literal(`${this.#meanings.property(name)}=`);
        edits.render(rendering, start, end);
        if (isAssigned) rendering.literal(';');
      }
      rendering.literal('(function*(){');
    }
    this.edits.render(rendering);
    if (this.isGenerator) rendering.literal('\n})');
    return { code: rendering.text, pieces: rendering.pieces };
  }

  #properties() {
    return [...this.#names].map((name) => this.#meanings.property(name));
  }

  /** An import, and what a transform puts last (a namespace's variable, `export {}`), is not how the user's cell ends. */
  #isHoisted(node) {
    if (node.type === 'ImportDeclaration') return true;
    if (!this.isTransformed) return false;
    if (node.type === 'ExportNamedDeclaration') return !node.declaration;
    if (node.type === 'ExpressionStatement') return this.isCompiled && isDecoration(node.expression);
    return node.type === 'VariableDeclaration' && node.kind === 'var' &&
      node.declarations.every(({ init }) => init === null);
  }

  #topLevel(node, isLast, resources) {
    if (isUsing(node)) return this.#using(node, this.edits, { resources, isGlobal: true });
    switch (node.type) {
      case 'ImportDeclaration': return;
      case 'ExportNamedDeclaration': return this.#exportNamed(node, isLast);
      case 'ExportDefaultDeclaration': return this.#exportDefault(node, isLast);
      case 'ExportAllDeclaration': return this.edits.replace(node.start, node.end, ';');
      case 'FunctionDeclaration': return this.#function(node);
      case 'ClassDeclaration': return this.#class(node);
      case 'VariableDeclaration': return this.#topVariables(node);
      case 'ExpressionStatement': return this.#expression(node, isLast);
      default: return this.#visit(node, this.edits);
    }
  }

  #expression(node, isLast) {
    this.#terminate(node, this.edits);
    // The statement rather than its expression: that one begins inside of its parentheses.
    if (isLast && this.isGenerator) {
      this.edits.open(node.start, this.#return(node));
      this.edits.close(endOfExpression(node, this.source), ')');
    }
    this.#visit(node.expression, this.edits);
  }

  #exportNamed(node, isLast) {
    if (!node.declaration) return this.edits.replace(node.start, node.end, ';');
    this.edits.replace(node.start, node.declaration.start, '');
    this.#topLevel(node.declaration, isLast);
  }

  #exportDefault(node, isLast) {
    const { declaration } = node;
    const start = startOfDefault(node, this.source);
    this.edits.replace(node.start, start, declaration.id ? '' : this.isGenerator && isLast ? this.#return(node) : ';(');
    if (declaration.id) return this.#topLevel(declaration, isLast);
    this.#terminate(node, this.edits);
    this.edits.close(endOfExpression(node, this.source), ')');
    this.#visit(declaration, this.edits);
  }

  /** What goes in front of the cell's value, up to the parenthesis. Imports below it are still to come. */
  #return(node) {
    if (!this.body.some(({ type, start }) => type === 'ImportDeclaration' && start > node.start)) return 'return(';
    const value = this.#local('value');
    this.edits.close(this.source.length, `\nreturn ${value}`);
    return `const ${value}=(`;
  }

  /** A function declared by a generator cell moves in front of the generator, to be global like in any other cell. */
  #function(node) {
    this.#names.add(node.id.name);
    if (!this.isGenerator) return this.#visit(node, this.edits);
    const edits = new Edits(this.source);
    this.#visit(node, edits);
    this.#functions.push({ name: node.id.name, edits, start: node.start, end: node.end });
    this.edits.replace(node.start, node.end, '');
  }

  #class(node) {
    this.#names.add(node.id.name);
    this.edits.open(node.start, `${this.isGenerator ? '' : 'var '}${this.#meanings.property(node.id.name)}=`);
    this.edits.close(node.end, `;${this.#meanings.show([node.id.name], '', ';')}`);
    this.#visitChildren(node, this.edits, true);
  }

  #topVariables(node) {
    if (this.isGenerator) return this.#assignments(node, this.edits, false);
    this.#declare(node);
    if (node.kind !== 'var') this.edits.replace(node.start, node.start + node.kind.length, 'var');
    for (const { id, init, end } of node.declarations) {
      if (node.kind === 'let' && !init) this.edits.close(end, '=undefined');
      this.#visit(id, this.edits);
      this.#visit(init, this.edits);
    }
  }

  /** Turn a declaration inside a generator cell into assignments to the globals of the same names. */
  #assignments(node, edits, isLoopHead) {
    this.#declare(node);
    if (!isLoopHead) this.#terminate(node, edits);
    edits.replace(node.start, node.declarations[0].start, '');
    for (const { id, init, start, end } of node.declarations) {
      const inParentheses = id.type === 'ObjectPattern' && init;
      edits.close(end, this.#meanings.show(boundNames(id), ',', ''));
      if (inParentheses) {
        edits.open(start, '(');
        edits.close(end, ')');
      }
      if (!init && node.kind === 'let' && !isLoopHead) edits.close(end, '=undefined');
      this.#visit(id, edits);
      if (init) this.#meanings.keepName(id, init, edits);
      this.#visit(init, edits);
    }
  }

  #declare(node) {
    for (const { id } of node.declarations) for (const name of boundNames(id)) this.#names.add(name);
  }

  /** Make an implied semicolon explicit: what follows may begin with a parenthesis that was not there before. */
  #terminate(node, edits) {
    if (this.isGenerator && this.source[node.end - 1] !== ';') edits.close(node.end, ';');
  }

  /** @param {boolean} isTop - whether an `await` here is the cell's own rather than a function's */
  #visit(node, edits, isTop = !isFunction(node)) {
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
    if (isTop && mayLackSemicolon(node)) this.#terminate(node, edits);
    this.#visitChildren(node, edits, isTop);
  }

  #shorthand(node, edits, isTop) {
    const target = node.value.type === 'AssignmentPattern' ? node.value.left : node.value;
    if (this.#meanings.isOther(target)) edits.open(node.start, `${node.key.name}:`);
    this.#visit(node.value, edits, isTop);
  }

  #nestedVariables(node, edits, isLoopHead) {
    if (this.isGenerator) return this.#assignments(node, edits, isLoopHead);
    this.#declare(node);
    this.#visitChildren(node, edits, true);
  }

  #visitChildren(node, edits, isTop) {
    const head = loopHead(node);
    if (head && isTop) this.#loopHead(head, edits);
    for (const child of childrenOf(node)) {
      if (child === head && isTop) continue;
      this.#visit(child, edits, isTop && !opensOwnScope(child));
      if (isTop && BLOCKS.has(node.type)) this.#blockFunction(child, edits);
    }
  }

  #loopHead(head, edits) {
    if (head.kind === 'var') this.#nestedVariables(head, edits, true);
    else this.#visitChildren(head, edits, true);
  }

  /**
   * `for await` has no counterpart in a generator, so it becomes a plain loop over `AsyncSteps`, each step awaited by
   * a yield, with the iterator closed in a `finally`. Labels stay directly in front of the loop.
   */
  #forAwait(node, edits) {
    const loop = forAwaitBelow(node) ?? node;
    const steps = this.#local('steps');
    const value = `${steps}.value`;
    edits.open(node.start, `{const ${steps}=${SCOPE}.asyncSteps();try{`);
    edits.replace(
      loop.start, loop.body.start,
      `for(${steps}.open(`, this.#part(loop.right), `);yield ${SCOPE}.here(${steps}.next()),!${steps}.done;){`,
      ...(isAwaitUsing(loop.left) ? [] : this.#forAwaitTarget(loop.left, value)),
    );
    edits.close(node.end, `}}finally{yield ${steps}.close()}}`);
    if (isAwaitUsing(loop.left)) this.#usingBody(loop, value, edits);
    else this.#visit(loop.body, edits, true);
  }

  #forAwaitTarget(left, value) {
    const isDeclaration = left.type === 'VariableDeclaration';
    if (isDeclaration && left.kind !== 'var') {
      return [`${left.kind} `, this.#part(left.declarations[0].id), `=${value};`];
    }
    if (isDeclaration) this.#declare(left);
    // A list pattern of one, because a target in braces cannot begin a statement.
    return ['[', this.#part(isDeclaration ? left.declarations[0].id : left), `]=[${value}];`];
  }

  /** `for (await using x of y)`: each turn's resource belongs to a block of its own. */
  #forUsing(node, edits) {
    const value = this.#local('value');
    edits.replace(node.left.start, node.left.end, `const ${value}`);
    this.#visit(node.right, edits, true);
    this.#usingBody(node, value, edits);
  }

  #usingBody(loop, value, edits) {
    const { name } = loop.left.declarations[0].id;
    const resources = this.#local('resources');
    edits.open(loop.body.start, `{${openResources(resources)}const ${name}=${resources}.use(${value},true);`);
    edits.close(loop.body.end, `${closeResources(resources)}}`);
    this.#visit(loop.body, edits, true);
  }

  /** A block with `await using` among its statements. */
  #block(node, edits) {
    const resources = this.#resources(node.body, node.end - 1, edits);
    for (const child of node.body) {
      if (isUsing(child)) this.#using(child, edits, { resources, isGlobal: false });
      else this.#visit(child, edits, !opensOwnScope(child));
      this.#blockFunction(child, edits);
    }
  }

  /** A sloppy script makes the function of a block global once the block is entered; a generator would not. */
  #blockFunction(node, edits) {
    if (!this.isGenerator || node.type !== 'FunctionDeclaration' || node.async || node.generator) return;
    this.#names.add(node.id.name);
    edits.close(node.end, `${SCOPE}.globals.${this.#meanings.property(node.id.name)}=${node.id.name};`);
  }

  /**
   * A generator cannot await what `using` declares, so its disposal becomes a `finally` around what follows. The
   * resources of the top level are disposed when the cell ends; their names stay, as all names do.
   */
  #resources(statements, end, edits) {
    const first = statements.find(isUsing);
    if (!first) return null;
    const resources = this.#local('resources');
    edits.open(first.start, openResources(resources));
    edits.close(end, `\n${closeResources(resources)}`);
    return resources;
  }

  #using(node, edits, { resources, isGlobal }) {
    if (isGlobal) this.#declare(node);
    this.#terminate(node, edits);
    edits.replace(node.start, node.declarations[0].start, isGlobal ? '' : 'const ');
    for (const { id, init, end } of node.declarations) {
      if (isGlobal) {
        edits.close(end, this.#meanings.show([id.name], ',', ''));
        this.#visit(id, edits);
      }
      edits.open(init.start, `${resources}.use(`);
      edits.close(init.end, `,${isAwaitUsing(node)})`);
      this.#visit(init, edits);
    }
  }

  /** A name for generated code, other than any that this cell can mean. */
  #local(name) {
    let local;
    do local = `$${name}${++this.#locals}`; while (this.source.includes(local));
    return local;
  }

  #part(node) {
    const edits = new Edits(this.source);
    this.#visit(node, edits, true);
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
