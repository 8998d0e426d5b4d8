/** Collects declaration files of a package into one JSON file, path to text, without comments: `node collect.mjs OUT PREFIX DIRECTORY [PATTERN]`. */

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const ts = createRequire(import.meta.url)('../../typescript/vendor/typescript/typescript.cjs');
const { SyntaxKind } = ts;

/** Comments say nothing to the checker, but for those that are directives, and most of the text is comments. */
function withoutComments(text) {
  const scanner = ts.createScanner(ts.ScriptTarget.ESNext, false, ts.LanguageVariant.Standard, text);
  const directives = (text.match(/^\/\/\/ *<.*$/gm) ?? []).filter((line) => !/no-default-lib|lib="(?:deno|node)/.test(line));
  let code = '';
  for (let kind = scanner.scan(); kind !== SyntaxKind.EndOfFileToken; kind = scanner.scan()) {
    if (kind === SyntaxKind.SingleLineCommentTrivia) continue;
    if (kind === SyntaxKind.MultiLineCommentTrivia) code += ' ';
    else if (kind === SyntaxKind.NewLineTrivia) code = code.endsWith('\n') ? code : `${code.trimEnd()}\n`;
    else if (kind === SyntaxKind.WhitespaceTrivia) code += code.endsWith('\n') ? '' : ' ';
    // Only a parser knows where a template goes on after `}`; in declarations it does where a template was begun.
    else if (kind === SyntaxKind.CloseBraceToken && depths.at(-1) === depth) code += rest(scanner);
    else code += opened(kind, scanner.getTokenText());
  }
  depths.length = depth = 0;
  return [...directives, code.trim(), ''].join('\n');
}

let depth = 0;
const depths = [];

function opened(kind, token) {
  if (kind === SyntaxKind.OpenBraceToken) depth += 1;
  if (kind === SyntaxKind.CloseBraceToken) depth -= 1;
  if (kind === SyntaxKind.TemplateHead) depths.push(depth);
  return token;
}

function rest(scanner) {
  if (scanner.reScanTemplateToken(false) === SyntaxKind.TemplateTail) depths.pop();
  return scanner.getTokenText();
}

const [out, prefix, directory, pattern = ''] = process.argv.slice(2);
const files = {};
for (const name of readdirSync(directory, { recursive: true }).sort()) {
  if (!name.endsWith('.d.ts') || !new RegExp(pattern).test(name)) continue;
  const text = readFileSync(join(directory, name), 'utf8');
  const short = withoutComments(text);
  const problems = ts.createSourceFile(name, short, ts.ScriptTarget.ESNext).parseDiagnostics;
  if (problems.length > 0) throw new Error(`${name}: ${problems[0].messageText}`);
  files[`${prefix}/${name}`] = short;
}
writeFileSync(out, `${JSON.stringify(files, null, 0)}\n`);
console.log(out, Object.keys(files).length, 'files');
