/** What a TypeScript file exports as a type, as far as its text tells. Main thread. */

import { readFileSync } from 'node:fs';
import { asPattern } from '../shared/names.mjs';

/** How many files a name may be passed on through. */
const MAX_STEPS = 8;
const { raw } = String;
const VALUE = raw`^\s*(?:export\s+)?(?:default\s+)?(?:declare\s+)?(?:abstract\s+|async\s+|const\s+(?=enum))?` +
  raw`(?:const|let|var|function\*?|class|enum|namespace)\s+NAME`;
const TYPE = raw`^\s*(?:export\s+)?(?:declare\s+)?(?:interface|type)\s+NAME`;
const LISTED_TYPE = raw`\bexport\s+type\s*\{[^}]*\bNAME|\bexport\s*\{[^}]*\btype\s+(?:[\w$]+\s+as\s+)?NAME`;
const PASSED_ON = raw`\b(?:import|export)\b(?:[^'"{};]*,)?\s*\{[^}]*?(?:\b([\w$]+)\s+as\s+)?\bNAME[^}]*\}\s*from\s*['"]([^'"]+)`;
const DEFAULT = /^\s*export\s+default\s+(?:(interface)\b|([\w$]+)\s*;?\s*$)/m;
const ALL_PASSED_ON = /\bexport\s*\*\s*from\s*['"]([^'"]+)/g;

/**
 * @param {string} path - of a file
 * @param {string} name
 * @param {(specifier: string, from: string) => string | null} find - the path of a file that another one imports
 * @returns {boolean}
 */
export function exportsType(path, name, find, steps = 0) {
  const text = textOf(path);
  if (text === null || steps > MAX_STEPS) return false;
  if (name === 'default') {
    const [, isInterface, local] = DEFAULT.exec(text) ?? [];
    return isInterface !== undefined || (local !== undefined && exportsType(path, local, find, steps + 1));
  }
  const word = `${asPattern(name)}(?![\\w$])`;
  const pattern = (description) => new RegExp(description.replaceAll('NAME', () => word), 'gm');
  if (pattern(VALUE).test(text)) return false;
  if (pattern(TYPE).test(text) || pattern(LISTED_TYPE).test(text)) return true;
  const sources = [
    ...Array.from(text.matchAll(pattern(PASSED_ON)), ([, original, specifier]) => ({ specifier, original })),
    ...Array.from(text.matchAll(ALL_PASSED_ON), ([, specifier]) => ({ specifier, original: undefined })),
  ];
  return sources.some(({ specifier, original }) => {
    const from = find(specifier, path);
    return from !== null && exportsType(from, original ?? name, find, steps + 1);
  });
}

function textOf(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
