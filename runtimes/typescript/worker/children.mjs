/**
 * The child that keeps the main thread inside one call (`execSync`, `spawnSync`): no signal of the kernel's own ends that
 * wait, so the child gets them, as a terminal's Ctrl-C gives them to both. Linux. Worker thread.
 */

import { readFileSync, readdirSync } from 'node:fs';

/** A child that goes on is asked more firmly after each of these, in milliseconds: all within the server's grace. */
const STEPS = [[0, 'SIGINT'], [250, 'SIGTERM'], [500, 'SIGKILL']];
const SLEEPING = 'S';
const ZOMBIE = 'Z';
/** No more processes of the machine than these are looked at. */
const MAX_PROCESSES = 20_000;

/** @typedef {{pid: number, start: number}} Process - an id alone may be another's by now */

export class BlockingChild {
  /** The child with its descendants, who may outlive it and hold its output open. @type {Process[]} */
  #processes = [];
  #since = 0;
  #step = 0;

  /**
   * Signal the child that the main thread waits for, if it waits: its youngest, since a blocked thread starts no other.
   * @returns {boolean} whether a signal was sent
   */
  interrupt() {
    const own = statOf('self');
    if (own === null || own.pid !== process.pid || own.state !== SLEEPING) return false;
    const children = childrenByParent();
    this.#processes = this.#processes.filter(isAlive);
    if (this.#processes.length === 0) {
      this.#since = performance.now();
      this.#step = 0;
    }
    const roots = this.#processes.length > 0 ? this.#processes : [youngest(children.get(process.pid) ?? [])];
    this.#processes = withDescendants(roots.filter(Boolean), children);
    const [after, signal] = STEPS[this.#step] ?? [Infinity];
    if (performance.now() - this.#since < after) return false;
    this.#step++;
    for (const { pid } of this.#processes) send(pid, signal);
    return this.#processes.length > 0;
  }
}

function isAlive({ pid, start }) {
  const stat = statOf(pid);
  return stat?.start === start && stat.state !== ZOMBIE;
}

function send(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended, or is another user's.
  }
}

function youngest(children) {
  return children.reduce((last, child) => (last === undefined || child.start >= last.start ? child : last), undefined);
}

/** @param {Process[]} roots @param {Map<number, Process[]>} children */
function withDescendants(roots, children) {
  const found = new Map(roots.map((each) => [each.pid, each]));
  for (const { pid } of found.values()) for (const child of children.get(pid) ?? []) found.set(child.pid, child);
  return [...found.values()];
}

/** @returns {Map<number, Process[]>} */
function childrenByParent() {
  const children = new Map();
  for (const name of processNames()) {
    const stat = statOf(name);
    if (stat === null || stat.state === ZOMBIE) continue;
    if (!children.has(stat.parent)) children.set(stat.parent, []);
    children.get(stat.parent).push(stat);
  }
  return children;
}

function processNames() {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).slice(0, MAX_PROCESSES);
  } catch {
    return [];
  }
}

/** What `proc_pid_stat(5)` says of a process; the name in it may hold anything. */
function statOf(name) {
  let text;
  try {
    text = readFileSync(`/proc/${name}/stat`, 'latin1');
  } catch {
    return null;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { pid: parseInt(text, 10), state: fields[0], parent: Number(fields[1]), start: Number(fields[19]) };
}
