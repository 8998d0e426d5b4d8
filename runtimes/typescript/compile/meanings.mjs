/** What identifiers of a cell mean besides what they say, and what generated code puts around them. Worker thread, pure. */

import { CellScopes } from './scopes.mjs';
import { isNamelessFunction } from './syntax-tree.mjs';
import { SCOPE, shadowOf } from '../shared/names.mjs';

/** Functions that the compiler's output calls and does not define: the kernel has them, see `context/scope.mjs`. */
const HELPERS = new Set([
  '__esDecorate', '__runInitializers', '__propKey', '__setFunctionName', '__decorate', '__metadata', '__param',
  '__addDisposableResource', '__disposeResources', '__rest', '__classPrivateFieldGet', '__classPrivateFieldSet',
  '__classPrivateFieldIn', '__makeTemplateObject', '__rewriteRelativeImportExtension',
]);

export class Meanings {
  #scopes;
  #isCompiled;
  /** What comes in front of an identifier that is found elsewhere. @type {Map<object, string>} */
  #prefixes = new Map();
  /** Identifiers that may be read before they have a value. */
  #early = new Set();
  #earlyNames = new Set();
  #shadowed = new Set();
  #constantTargets = new Set();

  /**
   * @param {object[]} body
   * @param {{shadows: import('./shadows.mjs').Shadows, isCompiled: boolean}} options - the names that are kept apart;
   *   whether the compiler wrote the code, which then may call its helpers
   */
  constructor(body, { shadows, isCompiled }) {
    this.#isCompiled = isCompiled;
    this.#scopes = new CellScopes(body);
    const { declared, references } = this.#scopes;
    for (const name of declared.keys()) if (shadows.isGlobal(name)) this.#shadowed.add(name);
    for (const { node, name, isTarget } of references) {
      if (this.#shadowed.has(name) || shadows.has(name)) this.#prefixes.set(node, shadowOf(''));
      if (isTarget && declared.get(name)?.kind === 'const') this.#constantTargets.add(node);
    }
    for (const { node, name, isTarget, owner } of this.#scopes.early()) {
      // What comes back to a constant later fails in any case.
      if (owner === null) this.#constantTargets.delete(node);
      this.#earlyNames.add(name);
      if (isTarget) this.#prefixes.set(node, `${SCOPE}.early.`);
      else this.#early.add(node);
    }
  }

  /** Whether the cell itself awaits. */
  get awaits() {
    return this.#scopes.awaits;
  }

  /** Whether declarations have to be assignments, because a name is kept elsewhere or is watched. */
  get needsAssignments() {
    return this.#earlyNames.size > 0 || this.#shadowed.size > 0;
  }

  /** Names of this cell that are kept apart from globals. @returns {string[]} */
  get shadows() {
    return [...this.#shadowed];
  }

  /** Names that are nothing before their declaration has run. @returns {string[]} */
  get late() {
    return this.#scopes.late();
  }

  /** Names that code of this cell mentions, other than to declare or import them. @returns {Set<string>} */
  mentioned() {
    return this.#scopes.mentioned();
  }

  isShadowed(name) {
    return this.#shadowed.has(name);
  }

  /** The global property that a name of the top level is. */
  property(name) {
    return this.#shadowed.has(name) ? shadowOf(name) : name;
  }

  /** @returns {boolean} whether an identifier cannot stay as it is */
  isOther(node) {
    return this.#constantTargets.has(node) || this.#early.has(node) || this.#prefixes.has(node);
  }

  /** @param {import('./edits.mjs').Edits} edits */
  edit(node, edits) {
    if (this.#isCompiled && HELPERS.has(node.name)) return edits.open(node.start, `${SCOPE}.helpers.`);
    if (this.#constantTargets.has(node)) return edits.replace(node.start, node.end, `${SCOPE}.constant`);
    if (this.#early.has(node)) {
      edits.open(node.start, `(${SCOPE}.check(${JSON.stringify(node.name)}),`);
      edits.close(node.end, ')');
    }
    if (this.#prefixes.has(node)) edits.open(node.start, this.#prefixes.get(node));
  }

  /** A function without a name takes that of what it is assigned to, which is not the user's here. */
  keepName(id, init, edits) {
    if (!this.#shadowed.has(id.name) || !isNamelessFunction(init)) return;
    edits.open(init.start, `({${id.name}:`);
    edits.close(init.end, `}).${id.name}`);
  }

  /** @returns {string} a statement that says which names have no value yet */
  hide() {
    return this.#earlyNames.size > 0 ? `${SCOPE}.hide(${listed([...this.#earlyNames])});` : '';
  }

  /** @returns {string} an expression that says which of these names have their value now, with what goes around it */
  show(names, before, after) {
    if (this.#earlyNames.size === 0) return '';
    const early = names.filter((name) => this.#earlyNames.has(name));
    return early.length > 0 ? `${before}${SCOPE}.show(${listed(early)})${after}` : '';
  }
}

function listed(names) {
  return names.map((name) => JSON.stringify(name)).join();
}
