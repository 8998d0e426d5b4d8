/**
 * npm with variables that come through stdin: `node run.mjs NPM_CLI ARGUMENT...`. Whoever reads this process's
 * environment in /proc does not see them.
 */

import { closeSync, openSync, readFileSync } from 'node:fs';
import { devNull } from 'node:os';
import { pathToFileURL } from 'node:url';

Object.assign(process.env, JSON.parse(readFileSync(0, 'utf8')));
closeSync(0);
openSync(devNull, 'r'); // takes the number that is free now
const [program] = process.argv.splice(1, 1) && process.argv.slice(1);
await import(pathToFileURL(program).href);
