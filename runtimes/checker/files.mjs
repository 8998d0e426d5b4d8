/**
 * The files that the compiler sees: the declarations that come with the checker, and those of one context, for which it asks the server.
 * There is no other file system here.
 */

import { readFileSync } from 'node:fs';
import { posix } from 'node:path';

export const WORK = '/context';
export const TYPES = '/types';
/** Packages whose declarations are ours, whatever a context has installed: a second copy would contradict the first. */
export const OWN_PACKAGES = { node: 'node', 'undici-types': 'undici-types', bun: 'bun', 'bun-types': 'bun' };
const SOURCES = /\.(?:[cm]?tsx?|json|[cm]?jsx?)$/;

/** Path to text, by the parts in which they are kept. */
export class OwnTypes {
  #texts = new Map();
  #loaded = new Set();
  #directories = new Set([TYPES]);

  /** @param {string[]} parts */
  load(parts) {
    for (const part of parts) {
      if (this.#loaded.has(part)) continue;
      this.#loaded.add(part);
      const files = JSON.parse(readFileSync(new URL(`types/${part}.json`, import.meta.url), 'utf8'));
      for (const path of Object.keys(files)) this.add(path, files[path]);
    }
  }

  add(path, text) {
    this.#texts.set(path, text);
    for (let at = posix.dirname(path); at !== '/'; at = posix.dirname(at)) this.#directories.add(at);
  }

  read(path) {
    return this.#texts.get(path);
  }

  hasDirectory(path) {
    return this.#directories.has(path);
  }
}

/** The files of a context, as they are during one check. */
export class ContextFiles {
  #wire;
  #kept;
  #listings = new Map();

  /**
   * @param {import('./wire.mjs').Wire} wire
   * @param {Map<string, {version: string, text: string}>} kept - what earlier checks of this context have read
   */
  constructor(wire, kept) {
    this.#wire = wire;
    this.#kept = kept;
  }

  isFile(path) {
    return this.#entry(path)?.startsWith('f') ?? false;
  }

  isDirectory(path) {
    return path === WORK || this.#entry(path) === 'd';
  }

  directories(path) {
    const found = this.#list(path);
    return Object.keys(found).filter((name) => found[name] === 'd');
  }

  /** @returns {string | undefined} */
  read(path) {
    const version = this.#entry(path);
    if (!version?.startsWith('f') || !SOURCES.test(path)) return undefined;
    const kept = this.#kept.get(path);
    if (kept?.version === version) return kept.text;
    const text = this.#ask('read', path) ?? undefined;
    if (text !== undefined) this.#kept.set(path, { version, text });
    return text;
  }

  #entry(path) {
    const found = this.#list(posix.dirname(path));
    const name = posix.basename(path);
    return Object.hasOwn(found, name) ? found[name] : undefined;
  }

  /** Name to `d`, or to `f` and the version of a file. Links are not in it. */
  #list(path) {
    if (path !== WORK && !path.startsWith(`${WORK}/`)) return {};
    let found = this.#listings.get(path);
    if (found === undefined) {
      found = this.isDirectory(path) ? this.#ask('list', path) ?? {} : {};
      this.#listings.set(path, found);
    }
    return found;
  }

  #ask(kind, path) {
    this.#wire.write({ [kind]: path.slice(WORK.length + 1) });
    const answer = this.#wire.read();
    if (answer === null) process.exit(0);
    return answer.answer;
  }
}
