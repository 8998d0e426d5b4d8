/** What a string in a cell may name: modules, packages and files as seen from the context's directory. Worker thread. */

import { readdirSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { homedir } from 'node:os';
import path from 'node:path';

const MAX_ENTRIES = 2000;

/**
 * For the string of an import.
 * @param {string} typed - what stands between the quote and the cursor
 * @returns {{prefix: string, candidates: string[]}}
 */
export function modulesFor(typed) {
  if (/^(?:\.{1,2}\/|\/)/.test(typed)) return pathsFor(typed);
  const builtins = builtinModules.filter((name) => !name.startsWith('_'));
  const prefixed = builtins.map((name) => (name.startsWith('node:') ? name : `node:${name}`));
  return { prefix: typed, candidates: [...prefixed, ...builtins, ...packagesFor(typed)] };
}

/** For any other string. @param {string} typed @returns {{prefix: string, candidates: string[]}} */
export function pathsFor(typed) {
  const slash = typed.lastIndexOf('/');
  const folder = typed.slice(0, slash + 1);
  const prefix = typed.slice(slash + 1);
  const entries = list(path.resolve(folder.replace(/^~(?=\/)/, homedir()) || '.'))
    .filter(({ name }) => !name.startsWith('.') || prefix.startsWith('.'))
    .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
  return { prefix, candidates: entries };
}

/** Packages in the `node_modules` of this directory and those above. */
function packagesFor(typed) {
  const scope = /^(@[^/]+)\//.exec(typed)?.[1];
  const found = [];
  for (let folder = process.cwd(); ; folder = path.dirname(folder)) {
    const entries = list(path.join(folder, 'node_modules', scope ?? '')).filter(({ name }) => !name.startsWith('.'));
    for (const { name } of entries) found.push(scope ? `${scope}/${name}` : name.startsWith('@') ? `${name}/` : name);
    if (folder === path.dirname(folder)) return found;
  }
}

function list(folder) {
  try {
    return readdirSync(folder, { withFileTypes: true }).slice(0, MAX_ENTRIES);
  } catch {
    return [];
  }
}
