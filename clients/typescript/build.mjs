/** src/*.ts to lib/*.js and lib/*.d.ts, with the TypeScript that the TypeScript kernel ships: nothing is downloaded. */

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const ts = createRequire(import.meta.url)('../../runtimes/typescript/vendor/typescript/typescript.cjs');
const source = new URL('src/', import.meta.url);
const target = process.argv[2] ? new URL(`file://${process.argv[2]}/`) : new URL('lib/', import.meta.url);
const options = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  strict: true,
};
const declaring = { ...options, declaration: true, isolatedDeclarations: true };

function transpiled(transpile, compilerOptions, text, fileName) {
  const { outputText, diagnostics } = transpile(text, { fileName, compilerOptions, reportDiagnostics: true });
  for (const problem of diagnostics ?? []) {
    throw new Error(`${fileName}: ${ts.flattenDiagnosticMessageText(problem.messageText, '\n')}`);
  }
  // Without the types of the library a method with such a name is declared twice; once as a property.
  const once = outputText.replace(/^ *\[Symbol\.asyncIterator\]: .*\n/gm, '');
  return once.replace(/(from '\.\/[^']+)\.ts'/g, "$1.js'");
}

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
for (const name of (await readdir(source)).filter((each) => each.endsWith('.ts'))) {
  const text = await readFile(new URL(name, source), 'utf8');
  const stem = name.slice(0, -'.ts'.length);
  const types = `/* @ts-self-types="./${stem}.d.ts" */\n`; // Deno's way to find them
  await writeFile(new URL(`${stem}.js`, target), types + transpiled(ts.transpileModule, options, text, name));
  await writeFile(new URL(`${stem}.d.ts`, target), transpiled(ts.transpileDeclaration, declaring, text, name));
}
