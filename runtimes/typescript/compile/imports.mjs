/** Import statements as calls that load a module and assign to globals. Worker thread, pure. */

/**
 * @param {object} node - an ImportDeclaration
 * @param {string} load - what loads a module when it is called with a specifier, attributes and wanted names
 * @returns {string} statements that load the module and assign what the declaration names
 */
export function importAsCall(node, load) {
  const parts = [];
  let namespace = null;
  for (const { type, local, imported } of node.specifiers) {
    if (type === 'ImportNamespaceSpecifier') namespace = local.name;
    else parts.push(`${type === 'ImportDefaultSpecifier' ? 'default' : imported.raw ?? imported.name}:${local.name}`);
  }
  const call = `${load}(${node.source.raw},${importAttributes(node)},${wantedNames(node)})`;
  const text = namespace === null ? `${call};` : `${namespace}=${call};`;
  if (parts.length === 0) return text;
  return namespace === null ? `({${parts.join()}}=${call});` : `${text}({${parts.join()}}=${namespace});`;
}

function importAttributes(node) {
  if (!node.attributes?.length) return 'undefined';
  const entries = node.attributes.map(({ key, value }) => `${key.raw ?? key.name}:${value.raw}`);
  return `{with:{${entries.join()}}}`;
}

function wantedNames(node) {
  const named = node.specifiers.filter((specifier) => specifier.type === 'ImportSpecifier');
  return JSON.stringify(named.map(({ imported }) => imported.name ?? imported.value));
}
