/** What a program finds out about how it was started: cells are a script `cell.ts` without arguments. Main thread. */

import module from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { defineProperty } from '../../shared/primordials.mjs';

const SCRIPT = 'cell.ts';
const { Module } = module;
const cwd = process.cwd.bind(process);
const { execPath } = process;

/** Put the arguments of the kernel's own process out of sight. */
export function installProgram() {
  defineProperty(process, 'execArgv', { value: [], writable: true, enumerable: true, configurable: true });
  let script = path.join(cwd(), SCRIPT);
  // The same list: what the runtime itself reads arguments from.
  let argv = process.argv;
  argv.length = 0;
  argv.push(execPath, script);
  defineProperty(process, 'argv', {
    // The script is in the current directory, as `import.meta` has it.
    get() {
      const current = path.join(cwd(), SCRIPT);
      if (argv?.[1] === script) argv[1] = current;
      script = current;
      return argv;
    },
    set(value) {
      argv = value;
    },
    enumerable: true, configurable: true,
  });
  if (globalThis.Bun !== undefined) globalThis.Bun.argv = [execPath, script];
  if (globalThis.Deno !== undefined) {
    defineProperty(globalThis.Deno, 'args', { value: [], writable: true, enumerable: true, configurable: true });
  }
}

/** @returns {object} the `module` of cells, which is the main one for every `require` */
export function mainModule() {
  const directory = cwd();
  const main = new Module(path.join(directory, SCRIPT));
  main.id = '.';
  main.filename = path.join(directory, SCRIPT);
  main.paths = Module._nodeModulePaths(directory);
  defineProperty(process, 'mainModule', { value: main, writable: true, enumerable: true, configurable: true });
  return main;
}
