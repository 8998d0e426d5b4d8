/** Where the `tsconfig.json` in the working directory says that modules are: `paths` and `baseUrl`. Main thread. */

import { readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';

const FILE = 'tsconfig.json';
/** Configurations that extend each other. */
const MAX_STEPS = 8;
const cwd = process.cwd.bind(process);
const NONE = { paths: [], baseUrl: null };

let known = { stamp: '', mappings: NONE };

/**
 * @param {string} specifier - of no file
 * @returns {string[]} paths to look at, best first, perhaps without their extensions
 */
export function mappedPaths(specifier) {
  const { paths, baseUrl } = mappings();
  for (const { prefix, suffix, hasStar, targets } of paths) {
    const isMatch = hasStar ? specifier.length >= prefix.length + suffix.length && specifier.startsWith(prefix) &&
      specifier.endsWith(suffix) : specifier === prefix;
    if (!isMatch) continue;
    const rest = specifier.slice(prefix.length, specifier.length - suffix.length);
    return targets.map((target) => target.replace('*', () => rest));
  }
  return baseUrl === null ? [] : [resolve(baseUrl, specifier)];
}

function mappings() {
  const file = join(cwd(), FILE);
  const stats = statSync(file, { throwIfNoEntry: false });
  const stamp = stats === undefined ? '' : `${file} ${stats.mtimeMs} ${stats.size}`;
  if (stamp !== known.stamp) known = { stamp, mappings: stamp === '' ? NONE : readMappings(file) };
  return known.mappings;
}

function readMappings(file) {
  let paths = null;
  let baseUrl = null;
  let next = file;
  for (let step = 0; next !== null && step < MAX_STEPS; step++) {
    const configuration = read(next);
    const directory = dirname(next);
    const { compilerOptions: options = {}, extends: base } = configuration;
    if (baseUrl === null && typeof options?.baseUrl === 'string') baseUrl = resolve(directory, options.baseUrl);
    if (paths === null && isObject(options?.paths)) {
      paths = { entries: options.paths, directory };
    }
    next = typeof base === 'string' && base.startsWith('.') ? withExtension(resolve(directory, base)) : null;
  }
  return { baseUrl, paths: paths === null ? [] : patternsOf(paths.entries, baseUrl ?? paths.directory) };
}

function patternsOf(entries, directory) {
  const patterns = Object.entries(entries).filter(([, targets]) => Array.isArray(targets)).map(([pattern, targets]) => {
    const [prefix, suffix] = pattern.split('*');
    const strings = targets.filter((target) => typeof target === 'string');
    return {
      prefix, suffix: suffix ?? '', hasStar: suffix !== undefined,
      targets: strings.map((target) => resolve(directory, target)),
    };
  });
  // An exact name comes first, then the longest beginning.
  return patterns.sort((a, b) => Number(a.hasStar) - Number(b.hasStar) || b.prefix.length - a.prefix.length);
}

function read(file) {
  try {
    return parse(readFileSync(file, 'utf8')) ?? {};
  } catch {
    // It is TypeScript's to say what is wrong with it.
    return {};
  }
}

/** JSON with comments, and commas behind the last item. */
function parse(text) {
  const plain = text.replace(/^\ufeff/, '')
    .replace(/("(?:\\.|[^"\\])*")|\/\/[^\n]*|\/\*[^]*?\*\//g, (_, string) => string ?? '')
    .replace(/("(?:\\.|[^"\\])*")|,(?=\s*[}\]])/g, (_, string) => string ?? '');
  return JSON.parse(plain);
}

function withExtension(path) {
  return path.endsWith('.json') ? path : `${path}.json`;
}

function isObject(value) {
  return typeof value === 'object' && value !== null;
}
