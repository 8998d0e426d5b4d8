/**
 * Rewrites the JavaScript of a cell so that it can be run as a script in the context's global scope: top-level
 * names become redeclarable globals, imports become calls, and a cell that awaits at its top level becomes a generator
 * whose every synchronous stretch the evaluator runs on its own. Worker thread, pure.
 */

import { Edits, Rendering } from './edits.mjs';
import { importsAsCalls } from './imports.mjs';
import { Meanings } from './meanings.mjs';
import { StatementRewriter } from './statements.mjs';
import { endOfExpression, finalExpression, isDecoration, isUsing, startOfDefault } from './syntax-tree.mjs';
import { SCOPE } from '../shared/names.mjs';

/**
 * @typedef {object} Rewritten
 * @property {string} code - script text
 * @property {number[] | null} pieces - see `Rendering`; null when the text is unchanged
 * @property {'script' | 'generator'} kind - what running the script yields: its value, or a generator function
 * @property {boolean} hasValue - whether the cell ends in an expression
 * @property {string[]} names - top-level names that the cell declares
 * @property {string[]} shadows - those of them that are kept apart from the runtime's global of the same name
 * @property {string[]} late - those of them that are nothing before their declaration has run
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
  #meanings;
  #statements;

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
    this.#statements = new StatementRewriter(source, {
      meanings: this.#meanings, isGenerator: this.isGenerator, names: this.#names,
    });
  }

  rewrite() {
    const last = this.body.findLast((node) => node.type !== 'EmptyStatement' && !this.#isHoisted(node));
    const value = finalExpression(last);
    this.#preamble();
    const resources = this.#statements.resources(this.body, this.source.length, this.edits);
    for (const node of this.body) this.#topLevel(node, node === last, resources);
    if (this.source.startsWith('#!')) this.edits.open(0, '//');
    return {
      ...this.#render(),
      kind: this.isGenerator ? 'generator' : 'script',
      hasValue: value !== null,
      names: [...this.#names],
      shadows: this.#meanings.shadows,
      late: this.#names.size === 0 ? [] : this.#meanings.late.filter((name) => this.#names.has(name)),
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
    if (isUsing(node)) return this.#statements.using(node, this.edits, { resources, isGlobal: true });
    switch (node.type) {
      case 'ImportDeclaration': return;
      case 'ExportNamedDeclaration': return this.#exportNamed(node, isLast);
      case 'ExportDefaultDeclaration': return this.#exportDefault(node, isLast);
      case 'ExportAllDeclaration': return this.edits.replace(node.start, node.end, ';');
      case 'FunctionDeclaration': return this.#function(node);
      case 'ClassDeclaration': return this.#class(node);
      case 'VariableDeclaration': return this.#topVariables(node);
      case 'ExpressionStatement': return this.#expression(node, isLast);
      default: return this.#statements.visit(node, this.edits);
    }
  }

  #expression(node, isLast) {
    this.#statements.terminate(node, this.edits);
    // The statement rather than its expression: that one begins inside of its parentheses.
    if (isLast && this.isGenerator) {
      this.edits.open(node.start, this.#return(node));
      this.edits.close(endOfExpression(node, this.source), ')');
    }
    this.#statements.visit(node.expression, this.edits);
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
    this.#statements.terminate(node, this.edits);
    this.edits.close(endOfExpression(node, this.source), ')');
    this.#statements.visit(declaration, this.edits);
  }

  /** What goes in front of the cell's value, up to the parenthesis. Imports below it are still to come. */
  #return(node) {
    if (!this.body.some(({ type, start }) => type === 'ImportDeclaration' && start > node.start)) return 'return(';
    const value = this.#statements.local('value');
    this.edits.close(this.source.length, `\nreturn ${value}`);
    return `const ${value}=(`;
  }

  /** A function declared by a generator cell moves in front of the generator, to be global like in any other cell. */
  #function(node) {
    this.#names.add(node.id.name);
    if (!this.isGenerator) return this.#statements.visit(node, this.edits);
    const edits = new Edits(this.source);
    this.#statements.visit(node, edits);
    this.#functions.push({ name: node.id.name, edits, start: node.start, end: node.end });
    this.edits.replace(node.start, node.end, '');
  }

  #class(node) {
    this.#names.add(node.id.name);
    this.edits.open(node.start, `${this.isGenerator ? '' : 'var '}${this.#meanings.property(node.id.name)}=`);
    this.edits.close(node.end, `;${this.#meanings.show([node.id.name], '', ';')}`);
    this.#statements.visitChildren(node, this.edits, true);
  }

  #topVariables(node) {
    if (this.isGenerator) return this.#statements.assignments(node, this.edits, false);
    this.#statements.declare(node);
    if (node.kind !== 'var') this.edits.replace(node.start, node.start + node.kind.length, 'var');
    for (const { id, init, end } of node.declarations) {
      if (node.kind === 'let' && !init) this.edits.close(end, '=undefined');
      this.#statements.visit(id, this.edits);
      this.#statements.visit(init, this.edits);
    }
  }
}
