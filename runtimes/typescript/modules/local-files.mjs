/**
 * The user's own module files, as opposed to packages: which of them were loaded, who imports whom, and which have
 * changed on disk since. Main thread.
 */

import { statSync } from 'node:fs';
import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SafeMap, SafeSet, arrayPush, stringIncludes, stringSplit, stringStartsWith } from '../shared/primordials.mjs';

const KERNEL_DIRECTORY = fileURLToPath(new URL('..', import.meta.url));
const PACKAGES = `${sep}node_modules${sep}`;
const QUERY = '?version=';
const OPTIONS = { throwIfNoEntry: false };

/** @returns {string | null} the path of a file of the user's own; null for packages and what is no file */
export function localPath(url) {
  if (typeof url !== 'string' || !stringStartsWith(url, 'file:')) return null;
  const path = pathOf(url);
  if (path === null) return null;
  return stringIncludes(path, PACKAGES) || stringStartsWith(path, KERNEL_DIRECTORY) ? null : path;
}

function pathOf(url) {
  try {
    return fileURLToPath(url);
  } catch {
    // Not every file URL is a path: it may have a host, or a slash in a name.
    return null;
  }
}

/** @returns {string} a URL as the user would write it */
export function withoutVersion(url) {
  return stringSplit(url, QUERY)[0];
}

export class LocalFiles {
  /** By path. @type {Map<string, {stamp: string, version: number, importers: Set<string>}>} */
  #files = new SafeMap();

  /**
   * Take note of an import.
   * @param {string} path
   * @param {string | null} importer - path of the importing file, null for a cell
   */
  add(path, importer) {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = { stamp: stampOf(path), version: 0, importers: new SafeSet() };
      this.#files.set(path, file);
    }
    if (importer !== null && importer !== path) file.importers.add(importer);
  }

  /** @returns {string} the URL under which the file's present content is loaded; each content is a module of its own */
  versioned(url, path) {
    const { version } = this.#files.get(path);
    return version === 0 ? url : `${url}${QUERY}${version}`;
  }

  /**
   * Look which files have changed. They and all that imports them, however indirectly, get a new version; others keep
   * their instance.
   * @returns {string[]} the paths that have to be loaded again
   */
  refresh() {
    const stale = new SafeSet();
    this.#files.forEach((file, path) => {
      const stamp = stampOf(path);
      if (stamp === file.stamp) return;
      file.stamp = stamp;
      this.#addWithImporters(path, stale);
    });
    const paths = [];
    stale.forEach((path) => {
      this.#files.get(path).version++;
      arrayPush(paths, path);
    });
    return paths;
  }

  #addWithImporters(path, stale) {
    if (stale.has(path)) return;
    stale.add(path);
    this.#files.get(path).importers.forEach((importer) => {
      if (this.#files.has(importer)) this.#addWithImporters(importer, stale);
    });
  }
}

function stampOf(path) {
  const stats = statSync(path, OPTIONS);
  return stats === undefined ? '' : `${stats.mtimeMs} ${stats.size} ${stats.ino}`;
}
