/** Imports and exports of a file that are only types, taken out of its JavaScript: no loaded module has them. Pure. */

import { importedName, takesNothing } from './imports.mjs';
import { CellScopes } from './scopes.mjs';
import { parseJavaScript } from './syntax-tree.mjs';

/**
 * As TypeScript itself: what the code never mentions is not imported, and a statement that imports nothing else goes.
 * @param {string} code - a TypeScript file without its types
 * @param {(specifier: string, name: string) => boolean} isType - whether a module exports a name as a type
 * @returns {string} with blanks in their place, so that positions stay
 */
export function withoutTypeImports(code, isType) {
  if (!/\bimport\b|\bexport\s*\{/.test(code)) return code;
  let body;
  try {
    ({ body } = parseJavaScript(code));
  } catch {
    // Whoever loads the file says it better.
    return code;
  }
  let text = code;
  for (const [start, end] of new TypeNames(body, isType).ranges(code)) {
    text = text.slice(0, start) + text.slice(start, end).replace(/[^\r\n]/g, ' ') + text.slice(end);
  }
  return text;
}

class TypeNames {
  #body;
  #isType;
  #dropped = new Set();

  constructor(body, isType) {
    this.#body = body;
    this.#isType = isType;
  }

  /** @returns {Iterable<[number, number]>} what is to go */
  *ranges(code) {
    const scopes = new CellScopes(this.#body);
    const mentioned = scopes.mentioned();
    const lists = this.#exports().filter(({ source }) => !source);
    const exported = new Set(lists.flatMap(({ specifiers }) => specifiers.map(({ local }) => local.name)));
    const isGone = (specifier, node) => {
      const { name } = specifier.local;
      if (mentioned.has(name)) return false;
      if (exported.has(name) && !this.#isType(node.source.value, importedName(specifier))) return false;
      this.#dropped.add(name);
      return true;
    };
    for (const node of this.#body) {
      if (node.type !== 'ImportDeclaration') continue;
      if (takesNothing(node, code)) yield [node.start, node.end];
      else yield* gone(node, code, isGone);
    }
    const isGoneExport = ({ local }, { source }) =>
      (source ? this.#isType(source.value, local.name ?? local.value)
        : this.#dropped.has(local.name) || !scopes.declared.has(local.name));
    for (const node of this.#exports()) yield* gone(node, code, isGoneExport);
  }

  #exports() {
    return this.#body.filter(({ type, declaration }) => type === 'ExportNamedDeclaration' && !declaration);
  }
}

/** The ranges of a statement's specifiers, each with its comma, or of all of it. */
function* gone(node, code, isGone) {
  const specifiers = node.specifiers.filter((specifier) => isGone(specifier, node));
  if (specifiers.length === 0) return;
  if (specifiers.length === node.specifiers.length && node.type === 'ImportDeclaration') {
    yield [node.start, node.end];
    return;
  }
  for (const { start, end } of specifiers) yield [start, end + /^(?:\s*,)?/.exec(code.slice(end))[0].length];
}
