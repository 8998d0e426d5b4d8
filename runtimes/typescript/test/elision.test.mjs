import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { withoutTypeImports } from '../compile/elision.mjs';
import { exportsType } from '../modules/type-exports.mjs';

const withoutTypes = (code, types = []) => withoutTypeImports(code, (_, name) => types.includes(name));

test('an import that the code never mentions goes, and leaves blanks', () => {
  const code = "import { A, b, C as D } from './m'\nuse(b)";
  const left = withoutTypes(code);
  assert.match(left, /^import \{ +b, +\} from '\.\/m'\nuse\(b\)$/);
  assert.equal(left.length, code.length);
});

test('a statement goes when nothing is left of it, and keeps its lines', () => {
  assert.equal(withoutTypes("import A, {\n  B,\n} from './m'\nf()").trim(), 'f()');
  assert.equal(withoutTypes("import A, {\n  B,\n} from './m'\nf()").split('\n').length, 4);
  assert.equal(withoutTypes("import {  } from './m'\nf()").trim(), 'f()');
  assert.equal(withoutTypes("import './m'\nf()"), "import './m'\nf()");
});

test('a name of an inner scope is not the imported one', () => {
  assert.equal(withoutTypes("import { a } from './m'\nconst f = (a) => a").trim(), 'const f = (a) => a');
  assert.match(withoutTypes("import { a } from './m'\nconst f = (b = a) => b"), /import \{ a \}/);
});

test('what is exported again is kept unless it is a type', () => {
  assert.match(withoutTypes("import { A } from './m'\nexport { A }"), /import \{ A \}.*\nexport \{ A \}/);
  assert.match(withoutTypes("import { A } from './m'\nexport { A, b }\nconst b = 1", ['A']).trim(), /^export \{ +b \}/);
  assert.equal(withoutTypes('export { A, b }\nconst b = 1').replace(/ +/g, ' '), 'export { b }\nconst b = 1');
  assert.match(withoutTypes("export { A, b } from './m'", ['A']), /^export \{ +b \} from '\.\/m'$/);
});

test('a default import beside named ones', () => {
  assert.match(withoutTypes("import React, { FC } from 'react'\nReact"), /^import React, \{ +\} from 'react'\nReact$/);
  assert.match(withoutTypes("import React, { memo } from 'react'\nmemo"), /^import +\{ memo \} from 'react'\nmemo$/);
});

test('a file says which of its exports are types, also by way of others', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'polyrepl-'));
  const files = {
    types: 'export interface A {}\nexport type B = 1\ntype C = 2\nexport type { C }\nexport const d = 1\nexport declare class E {}\n',
    list: "export { A, d } from './types'\nexport { B as Renamed } from './types'\nexport * from './more'\n",
    more: "import { C } from './types'\nexport { C }\nexport const enum F { x }\nexport { type B } from './types'\n",
    shape: 'export default interface Shape {}\n',
    named: 'interface Named {}\nexport default Named\n',
    value: 'const value = 1\nexport default value\n',
    expression: 'export default interfaces.of(1)\n',
    circle: "export { Z } from './circle'\n",
  };
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
    const find = (specifier, from) => path.join(path.dirname(from), specifier);
    const types = (name, candidates) => candidates.filter((one) => exportsType(path.join(folder, name), one, find));
    assert.deepEqual(types('types', ['A', 'B', 'C', 'd', 'E', 'AB', 'nothing']), ['A', 'B', 'C']);
    assert.deepEqual(types('list', ['A', 'd', 'Renamed', 'C', 'F', 'B']), ['A', 'Renamed', 'C', 'B']);
    assert.deepEqual(types('circle', ['Z']), []);
    const defaults = ['shape', 'named', 'value', 'expression'].filter((name) => types(name, ['default']).length > 0);
    assert.deepEqual(defaults, ['shape', 'named']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
