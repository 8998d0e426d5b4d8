/** Import statements as calls that load a module and assign to globals. Worker thread, pure. */

import { asPattern } from '../shared/names.mjs';

/**
 * @typedef {object} Surroundings
 * @property {import('./edits.mjs').Edits} edits - of the cell's code
 * @property {string} typed - the cell with its types
 * @property {import('./meanings.mjs').Meanings} meanings
 * @property {string} load - what loads a module when it is called with a specifier, attributes and what is wanted of it
 */

/**
 * Load all imports in front of what else there is. One below other code is done again where it stands, since that code
 * may have written the file or installed the package.
 * @param {object[]} body - the cell's statements
 * @param {Surroundings} surroundings
 * @returns {{parts: import('./edits.mjs').Part[], names: string[]}} statements that load the modules in order and assign
 *   what the declarations name; the names that are there afterwards in any case
 */
export function importsAsCalls(body, surroundings) {
  const imports = body.filter(({ type }) => type === 'ImportDeclaration');
  if (imports.length === 0) return { parts: [], names: [] };
  const { edits, meanings, typed } = surroundings;
  const mentioned = meanings.mentioned();
  const code = body.find(({ type, directive }) => type !== 'ImportDeclaration' && type !== 'EmptyStatement' && !directive);
  const isBelow = ({ node }) => code !== undefined && code.start < node.start;
  const calls = [];
  for (const node of imports) {
    // All that it names was a type.
    const isEmpty = typed !== edits.source && takesNothing(node, edits.source);
    const call = new ImportCall(node, { ...surroundings, mentioned });
    if (!isEmpty) calls.push(call);
    edits.replace(node.start, node.end, !isEmpty && isBelow(call) ? call.text() : ';');
  }
  return {
    // An error of an import belongs to where that is written.
    parts: calls.flatMap((call) => [
      { edits, start: call.node.start, end: call.node.start }, call.text({ mayFollow: isBelow(call) }),
    ]),
    names: calls.flatMap(({ names }) => names),
  };
}

/** Whether an import has braces with nothing in them. */
export function takesNothing({ specifiers, start, source }, code) {
  return specifiers.length === 0 && code.slice(start, source.start).includes('{');
}

class ImportCall {
  #surroundings;

  constructor(node, surroundings) {
    this.node = node;
    this.#surroundings = surroundings;
    this.optional = node.specifiers.filter(({ local }) => this.#isOptional(local.name));
    this.required = node.specifiers.filter((specifier) => !this.optional.includes(specifier));
  }

  get names() {
    return this.required.map(({ local }) => local.name);
  }

  /** @param {{mayFollow?: boolean}} [options] - whether the module may be there only later */
  text({ mayFollow = false } = {}) {
    const { meanings } = this.#surroundings;
    const parts = [];
    let namespace = null;
    for (const specifier of this.required) {
      if (specifier.type === 'ImportNamespaceSpecifier') namespace = meanings.property(specifier.local.name);
      else parts.push(`${JSON.stringify(importedName(specifier))}:${meanings.property(specifier.local.name)}`);
    }
    const call = this.#call(mayFollow);
    const text = namespace === null ? `${call};` : `${namespace}=${call};`;
    if (parts.length === 0) return text;
    return namespace === null ? `({${parts.join()}}=${call});` : `${text}({${parts.join()}}=${namespace});`;
  }

  #call(mayFollow) {
    const { load, meanings } = this.#surroundings;
    const wanted = {
      names: this.required.filter(({ type }) => type === 'ImportSpecifier').map(importedName),
      optional: this.optional.map((specifier) => [importedName(specifier), meanings.property(specifier.local.name)]),
      isNeeded: this.required.length > 0 || this.optional.length === 0,
      isTyped: this.optional.some(({ local }) => this.#isMeantAsType(local.name)),
      mayFollow,
    };
    return `${load}(${this.node.source.raw},${importAttributes(this.node)},${JSON.stringify(wanted)})`;
  }

  /**
   * What the code never mentions may be a type, which the loaded module does not have: the types of this cell tell, or
   * the capital that the name begins with.
   */
  #isOptional(name) {
    return !this.#surroundings.mentioned.has(name) && (/^\p{Lu}/u.test(name) || this.#isMeantAsType(name));
  }

  #isMeantAsType(name) {
    const { typed, edits } = this.#surroundings;
    return typed !== edits.source && occurrences(typed, name) > occurrences(edits.source, name);
  }
}

/** How often a text has a name, as a word. */
function occurrences(text, name) {
  return text.split(new RegExp(`(?<![\\p{ID_Continue}$])${asPattern(name)}(?![\\p{ID_Continue}$])`, 'u')).length - 1;
}

/** @returns {string} the name in the module, `*` for all of it */
export function importedName({ type, imported }) {
  if (type === 'ImportNamespaceSpecifier') return '*';
  return type === 'ImportDefaultSpecifier' ? 'default' : imported.name ?? imported.value;
}

function importAttributes(node) {
  if (!node.attributes?.length) return 'undefined';
  const entries = node.attributes.map(({ key, value }) => `${key.raw ?? key.name}:${value.raw}`);
  return `{with:{${entries.join()}}}`;
}
