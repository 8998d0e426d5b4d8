/**
 * The user's variables: what the context holds (`variables_request`), and what a cell did to it (`metadata.changes`).
 * Main thread.
 */

import { fingerprint, token } from './fingerprints.mjs';
import { describeValue } from './previews.mjs';
import { shadowOf } from '../shared/names.mjs';
import {
  SafeMap, SafeSet, arrayPush, arraySort, getOwnPropertyDescriptor, getOwnPropertyNames, isFiniteNumber, isSame, max,
  min, regExpExec, stringIncludes,
} from '../shared/primordials.mjs';

const DEFAULT_LIMIT = 200;
const MAX_LIMIT = 1000;
/** Longer names are nobody's. */
const MAX_NAME = 200;
const MAX_CHANGES = 1000;
/** For all previews of one request. */
const DESCRIBING_MS = 500;
/** For all fingerprints, before a cell and after it: less than what an interrupt takes for a thread that is stuck. */
const COMPARING_MS = 50;
const IDENTIFIER = /^[\p{ID_Start}$][\p{ID_Continue}$]*$/u;
const now = performance.now.bind(performance);

/** @typedef {{created: string[], changed: string[], removed: string[], omitted?: number}} Changes */

export class Variables {
  /** What the globals are without the user: the name of each with its value, or with what reads it. */
  #initial = new SafeMap();
  #declared = new SafeSet();

  /** To be made last: all that is global by then is the kernel's own. */
  constructor() {
    const names = getOwnPropertyNames(globalThis);
    for (let i = 0; i < names.length; i++) this.#initial.set(names[i], contentOf(names[i]));
  }

  /** Note the names that a cell declares: those are the user's, also where they were something else before. */
  declare(names) {
    for (let i = 0; i < names.length; i++) this.#declared.add(names[i]);
  }

  /** The names that are the user's, not private and not what was there at the start. @returns {string[]} */
  names() {
    const all = getOwnPropertyNames(globalThis);
    const names = [];
    for (let i = 0; i < all.length; i++) if (this.#isUsers(all[i])) arrayPush(names, all[i]);
    return names;
  }

  #isUsers(name) {
    if (name.length > MAX_NAME || regExpExec(IDENTIFIER, name) === null) return false;
    if (this.#declared.has(name) || !this.#initial.has(name)) return true;
    const before = this.#initial.get(name);
    // Node replaces its own accessors by their values at their first use.
    return typeof before.get !== 'function' && !isSame(contentOf(name).value, before.value);
  }

  /** Whether reading a global runs a getter of the runtime's own. */
  isInitialAccessor(name) {
    const { get } = contentOf(name);
    return get !== undefined && this.#initial.get(name)?.get === get;
  }

  /**
   * The content of a variables_reply.
   * @param {{limit?: number, after?: string, match?: string}} request
   */
  list({ limit, after, match }) {
    const wanted = typeof match === 'string' ? match : '';
    const names = sorted(this.names(), (name) => stringIncludes(name, wanted));
    const rest = typeof after === 'string' && after !== '' ? sorted(names, (name) => name > after) : names;
    const count = min(rest.length, clampLimit(limit));
    const items = [];
    const end = now() + DESCRIBING_MS;
    for (let i = 0; i < count; i++) arrayPush(items, { name: rest[i], ...this.#describe(rest[i], now() < end) });
    return { status: 'ok', items, total: names.length, truncated: rest.length > count };
  }

  #describe(name, hasTime) {
    const { get, value } = contentOf(name);
    if (get !== undefined) return { type: 'accessor', kind: 'value', preview: '[Getter]' };
    return hasTime ? describeValue(value) : { type: typeof value, kind: 'value', preview: '…' };
  }

  /** What all variables are compared by at this moment. @returns {Map<string, {token: string, inside: string | null}>} */
  look() {
    const seen = new SafeMap();
    const end = now() + COMPARING_MS;
    const names = this.names();
    for (let i = 0; i < names.length; i++) {
      const { get, value } = contentOf(names[i]);
      const subject = get ?? value;
      seen.set(names[i], { token: token(subject), inside: now() < end ? fingerprint(subject) : null });
    }
    return seen;
  }

  /**
   * Names that were created, changed and removed since `before`. Changed: bound to another value (an equal number or
   * text is no other), or seen to differ inside.
   * @returns {Changes}
   */
  changesSince(before) {
    const after = this.look();
    const created = [];
    const changed = [];
    const removed = [];
    after.forEach((seen, name) => {
      if (!before.has(name)) arrayPush(created, name);
      else if (differs(before.get(name), seen)) arrayPush(changed, name);
    });
    before.forEach((_, name) => {
      if (!after.has(name)) arrayPush(removed, name);
    });
    return bounded({ created: sorted(created), changed: sorted(changed), removed: sorted(removed) });
  }
}

/** What a cell declared by the name of a global is a property of its own. */
function contentOf(name) {
  const { get, value } = getOwnPropertyDescriptor(globalThis, shadowOf(name)) ?? getOwnPropertyDescriptor(globalThis, name) ?? {};
  return { get, value };
}

function differs(before, after) {
  if (before.token !== after.token) return true;
  return before.inside !== null && after.inside !== null && before.inside !== after.inside;
}

function sorted(names, isWanted = () => true) {
  const kept = [];
  for (let i = 0; i < names.length; i++) if (isWanted(names[i])) arrayPush(kept, names[i]);
  return arraySort(kept, (a, b) => (a < b ? -1 : 1));
}

function clampLimit(limit) {
  return isFiniteNumber(limit) ? max(1, min(limit, MAX_LIMIT)) : DEFAULT_LIMIT;
}

function bounded(changes) {
  let room = MAX_CHANGES;
  let omitted = 0;
  for (const kind in changes) {
    const names = changes[kind];
    if (names.length > room) {
      omitted += names.length - room;
      names.length = room;
    }
    room -= names.length;
  }
  return omitted > 0 ? { ...changes, omitted } : changes;
}
