/** `prompt`, `confirm`, `alert` and all ways to read standard input: questions to the client over the stdin channel. Main thread. */

import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { receiveMessageOnPort } from 'node:worker_threads';
import { KeyboardInterrupt } from './cell.mjs';
import {
  SafeMap, SafePromise, defineProperty, load, reflectApply, regExpExec, setImmediate, store, wait,
} from '../shared/primordials.mjs';
import { STDIN, STDIN_IDLE, STDIN_INTERRUPTED, STDIN_REFUSED, STDIN_WAITING } from '../shared/state.mjs';
import { CellInput } from './stdin-stream.mjs';

const WAIT_MS = 1000;
const STDIN_FILE = '/dev/stdin';

class StdinNotImplementedError extends Error {
  name = 'StdinNotImplementedError';

  constructor() {
    super('this request does not allow input (allow_stdin is false)');
  }
}

/** Standard input of the cells, each of which begins with its own. */
export class Stdin {
  #post;
  #context;
  #shared;
  #port;
  /** What takes the line that each read in progress waits for. */
  #readings = new SafeMap();
  #sequence = 0;
  /** Of code that runs outside of any cell, or beyond the end of its own. */
  #nothing = new CellInput({ read: (take) => take(null), ask: () => null });

  /**
   * @param {{post: (message: object) => void, context: import('./cell.mjs').CellContext, shared: Int32Array,
   *   port: import('node:worker_threads').MessagePort}} options
   */
  constructor({ post, context, shared, port }) {
    this.#post = post;
    this.#context = context;
    this.#shared = shared;
    this.#port = port;
    port.unref();
  }

  /**
   * Ask the client, and block until it has answered.
   * @param {string} text
   * @returns {string | null} null at the end of input
   */
  ask(text) {
    const shared = this.#shared;
    store(shared, STDIN, STDIN_WAITING);
    this.#post({ type: 'input', prompt: text, password: false });
    while (load(shared, STDIN) === STDIN_WAITING) wait(shared, STDIN, STDIN_WAITING, WAIT_MS);
    const state = load(shared, STDIN);
    store(shared, STDIN, STDIN_IDLE);
    if (state === STDIN_REFUSED) throw new StdinNotImplementedError();
    if (state === STDIN_INTERRUPTED) throw new KeyboardInterrupt();
    return receiveMessageOnPort(this.#port).message;
  }

  /** The standard input of the cell whose code runs. @returns {CellInput} */
  get current() {
    const cell = this.#context.origin;
    if (cell === null || cell.isSettled) return this.#nothing;
    cell.stdin ??= new CellInput({ read: (take) => this.#read(take), ask: () => this.#askForLine() });
    return cell.stdin;
  }

  /** Give a line to the read that waits for it. @param {{reading: number, line: string | null}} message */
  receive({ reading, line }) {
    const take = this.#readings.get(reading);
    this.#readings.delete(reading);
    take?.(line);
  }

  /**
   * Resolved when a cell's code reads its standard input no longer: like a script, a cell lasts as long as it listens.
   * @param {import('./cell.mjs').Cell} cell
   * @returns {Promise<void> | null} null where nothing reads
   */
  whenRead(cell) {
    return cell.stdin?.isFlowing ? new SafePromise((resolve) => cell.stdin.whenStopped(() => setImmediate(resolve))) : null;
  }

  /** A cell has ended: who still reads its input finds the end. @param {import('./cell.mjs').Cell} cell */
  end(cell) {
    cell.stdin?.endNow();
  }

  #read(take) {
    const reading = ++this.#sequence;
    this.#readings.set(reading, take);
    this.#post({ type: 'input', prompt: '', password: false, reading });
  }

  #askForLine() {
    try {
      return this.ask('');
    } catch (error) {
      if (error instanceof StdinNotImplementedError) return null;
      throw error;
    }
  }
}

/**
 * Define the globals, `process.stdin`, and what file descriptor 0 gives to the functions that read it synchronously.
 * @param {Stdin} stdin
 * @param {{write: (name: string, text: string) => void}} output
 */
export function installStdin(stdin, output) {
  defineProperty(process, 'stdin', { get: () => stdin.current, set: replaceStdin, enumerable: true, configurable: true });
  installPrompts(stdin, output);
  installFileReads(stdin);
}

function replaceStdin(value) {
  defineProperty(process, 'stdin', { value, writable: true, enumerable: true, configurable: true });
}

function installPrompts(stdin, output) {
  function prompt(message = '', defaultValue = undefined) {
    const answer = stdin.ask(`${message}`);
    return answer === '' && defaultValue !== undefined ? `${defaultValue}` : answer;
  }

  function confirm(message = '') {
    const answer = stdin.ask(`${message} [y/N] `);
    return answer !== null && regExpExec(/^\s*y/i, answer) !== null;
  }

  function alert(message = '') {
    output.write('stdout', `${message}\n`);
  }

  const functions = { prompt, confirm, alert };
  for (const name in functions) {
    defineProperty(globalThis, name, { value: functions[name], writable: true, enumerable: false, configurable: true });
  }
}

/** The kernel's own descriptor 0 is empty; programs that read it mean the input of their cell. */
function installFileReads(stdin) {
  const { readFileSync: readFile, readSync: read } = fs;
  fs.readFileSync = function readFileSync(file, options) {
    if (file !== 0 && file !== STDIN_FILE) return reflectApply(readFile, this, [file, options]);
    const content = stdin.current.readAllNow();
    const encoding = typeof options === 'string' ? options : options?.encoding;
    return typeof encoding === 'string' && encoding !== 'buffer' ? content.toString(encoding) : content;
  };
  fs.readSync = function readSync(fd, buffer, ...rest) {
    if (fd !== 0) return reflectApply(read, this, [fd, buffer, ...rest]);
    const { offset = 0, length = buffer.byteLength - offset } =
      typeof rest[0] === 'object' && rest[0] !== null ? rest[0] : { offset: rest[0] ?? 0, length: rest[1] };
    return stdin.current.readNow(new Uint8Array(buffer.buffer, buffer.byteOffset + offset, length));
  };
  syncBuiltinESMExports();
}
