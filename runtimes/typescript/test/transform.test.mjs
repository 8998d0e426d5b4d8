import assert from 'node:assert/strict';
import { test } from 'node:test';
import vm from 'node:vm';
import { PositionMap, PositionMaps, decodeMappings } from '../shared/positions.mjs';
import { Shadows } from '../compile/shadows.mjs';
import { completeness, transformCell, transformExpression } from '../compile/transform.mjs';

/** The position in the user's text of a marker's occurrence in the generated code. */
function trace(source, marker) {
  const program = transformCell(source);
  const before = program.code.slice(0, program.code.indexOf(marker)).split('\n');
  const position = { line: before.length, column: before.at(-1).length + 1 };
  return program.positions ? new PositionMap(program.positions).original(position.line, position.column) : position;
}

function expected(source, marker) {
  const before = source.slice(0, source.indexOf(marker)).split('\n');
  return { line: before.length, column: before.at(-1).length + 1 };
}

const TRACED = [
  'const a: number = 1; MARK()',
  'let x = 1\nclass K { m() { MARK() } }',
  'await first\nlet { a, b } = await second; MARK()',
  'function f() {\n  MARK()\n}\nawait f()',
  'import a, { b } from "x"; import * as c from "y"; MARK()',
  'await (async () => { MARK() })()',
  'outer: for await (const x of y) { MARK() }',
  '{ a: MARK(), b: 2 }',
  'export const q = await MARK()',
  'let n = 1 as number, m = <T,>(t: T) => MARK(t)',
  'const e: any = <p a="1">{x}</p>\nlet f: number; MARK()',
  '@d class A { @d m(x: number) {\n  return MARK(x) } }',
  'const a: number = 1\nawait using x: X = f(), y = MARK()',
  '{ await using x = f()\nlet b = 1; MARK() }',
  'await 1; ({ a: MARK() })',
  'f(later, MARK())\nconst later: number = 1',
  'MARK(a)\nimport { a } from "x"',
];

for (const source of TRACED) {
  test(`generated positions lead back to the user's text: ${source.slice(0, 40)}`, () => {
    assert.deepEqual(trace(source, 'MARK'), expected(source, 'MARK'));
  });
}

test('positions lead back through the source map of transformed TypeScript', () => {
  const source = 'enum E { A }\n\nfunction broken(x: number) {\n  throw new Error(x)\n}';
  assert.deepEqual(trace(source, 'new Error'), { line: 4, column: 9 });
});

test('every generated program is a valid script', () => {
  for (const source of TRACED) new vm.Script(transformCell(source).code);
});

test('a cell without declarations, imports or awaits is left as it is', () => {
  const program = transformCell('f(1)\nif (x) y()');
  assert.equal(program.code, 'f(1)\nif (x) y()');
  assert.equal(program.positions, null);
  assert.equal(program.kind, 'script');
});

test('what the compiler adds is no name of the cell and no value', () => {
  const { code, names, hasValue } = transformCell('@d class A { constructor(@e private x: number) {} }');
  assert.deepEqual(names, ['A']);
  assert.equal(hasValue, false);
  assert.match(code, /__polyrepl\.helpers\.__decorate\(/);
  assert.equal(transformCell('export const a = <b/>; a').hasValue, true);
});

test('a comparison is not taken for JSX, nor an e-mail address for a decorator', () => {
  assert.equal(transformCell('a <b && c> (d)').code, 'a <b && c> (d)');
  assert.equal(transformCell('const mail: string = "a@b"').positions.mappings, null);
});

test('an implied semicolon in front of an await becomes explicit', () => {
  const { code } = transformCell('const a = 1\nawait f()\ng()');
  assert.match(code, /a = 1;\n\(yield __polyrepl\.here\( f\(\)\)\)/);
});

test('declared names are reported whatever declares them', () => {
  const { names } = transformCell('const {a, b: [c, ...d], e = 1} = o; class F {}; function g() {}; for (var h of x) { var i }');
  assert.deepEqual([...names].sort(), ['F', 'a', 'c', 'd', 'e', 'g', 'h', 'i']);
  const imported = transformCell('import j, { k as l } from "m"; import * as n from "o"');
  assert.deepEqual(imported.names, ['j', 'l', 'n']);
});

test('an await inside a function does not make a cell asynchronous', () => {
  assert.equal(transformCell('async function f() { await 1; for await (const x of y) z }').kind, 'script');
  assert.equal(transformCell('class A { async m() { await 1 } }').kind, 'script');
  assert.equal(transformCell('class A extends (await b) {}').kind, 'generator');
});

test('only a cell that ends in an expression has a value', () => {
  for (const source of ['1', 'a; b', 'export default 3', '"use strict"', 'await x', 'namespace N { export const a = 1 }; N.a']) {
    assert.equal(transformCell(source).hasValue, true, source);
  }
  for (const source of ['', 'let a = 1', '1; let b', 'if (x) y', 'function f() {}', 'import "x"']) {
    assert.equal(transformCell(source).hasValue, false, source);
  }
});

test('braces at the start are an object where they can be one', () => {
  assert.equal(vm.runInThisContext(transformCell('{ a: 1 }').code).a, 1);
  assert.equal(transformCell('{ a: 1 };').hasValue, false);
  assert.equal(transformCell('{ let a = 1 }').hasValue, false);
  assert.equal(vm.runInThisContext(transformExpression('{ k: 2 }').code).k, 2);
});

test('syntax errors carry the position and the reason', () => {
  const errorOf = (source) => {
    try {
      return void transformCell(source);
    } catch ({ name, message, line, column, incomplete }) {
      return { name, message, line, column, incomplete };
    }
  };
  assert.deepEqual(errorOf('const a = 1\nlet a'), {
    name: 'SyntaxError', message: "Identifier 'a' has already been declared", line: 2, column: 5, incomplete: false,
  });
  assert.deepEqual(errorOf('let x ='), {
    name: 'SyntaxError', message: 'Unexpected end of input', line: 1, column: 8, incomplete: true,
  });
  assert.deepEqual(errorOf('let e\nlet d = <a><b/></c>'), {
    name: 'SyntaxError', message: "Expected corresponding JSX closing tag for 'a'.", line: 2, column: 18, incomplete: false,
  });
});

test('a position counts characters as JavaScript does, however wide they are drawn', () => {
  const lines = ['\tlet e: number = ;', 'let 变量: number = ;', '"😀"; let x: number = ;', '"e\u0301"; let x: number = ;', '/*\t*/\tlet x: X = ;'];
  for (const line of lines) {
    assert.throws(() => transformCell(line), { line: 1, column: line.lastIndexOf(';') + 1 }, line);
  }
});

test('unfinished text is told from wrong text', () => {
  for (const source of ['f(', '{', '`a', '/* a', 'class A {', 'x +', 'type T = {', '<p>\n<b/>', '@d']) assert.equal(completeness(source), 'incomplete', source);
  for (const source of [')', 'let let', '"a', 'a b']) assert.equal(completeness(source), 'invalid', source);
  for (const source of ['', 'f()', 'await x']) assert.equal(completeness(source), 'complete', source);
});

test('source map fields are decoded with their signs and continuations', () => {
  assert.deepEqual(decodeMappings('AAAA;AACA,GAAK;;gBADgB'), [
    [0, 0, 0], [0, 1, 0, 3, 1, 5], [], [16, 0, 21],
  ]);
});

test('position maps of old cells are dropped once all together are too large', () => {
  const maps = new PositionMaps(1000);
  const data = { generated: ' '.repeat(150), code: ' '.repeat(150), pieces: [0, 5, 100], mappings: null, prefix: 0 };
  for (let i = 0; i < 10; i++) maps.add(`cell_${i}.ts`, data);
  assert.deepEqual(maps.original('cell_0.ts', 1, 1), { line: 1, column: 1 });
  assert.deepEqual(maps.original('cell_9.ts', 1, 1), { line: 1, column: 6 });
});

/** @returns {string[]} the names that generated code looks at before it uses them */
function checked(source) {
  const { code } = transformCell(source);
  return [...new Set(Array.from(code.matchAll(/__polyrepl\.(?:check\("|early\.)([\w$]+)/g), ([, name]) => name))];
}

test('only names that can be reached before their declaration are checked', () => {
  for (const source of [
    'const a = 1; a', 'let a; a', 'const f = (n) => f(n - 1)', 'const o = { get a() { return o }, b: [() => o] }',
    'class A { m() { return b } } const b = 1; new A()', 'function f() { return a } const a = 1; f()', 'var a = a',
    'const f = () => g(), g = () => 1; f()', 'const { a, b = a } = c', 'const [a, b = a] = c', '(a) => a; const b = 1',
    '{ const a = 1; a } const a = 2', 'enum E { A } E', 'x.a; ({ a: 1 }); a: for (;;) break a; const a = 1',
  ]) assert.deepEqual(checked(source), [], source);
  for (const source of [
    'a; const a = 1', 'const a = a', 'const { a } = a', 'a = 1; let a', 'a++; let a', '({ a } = b); let a', 'new a; class a {}',
    'class B extends a {} class a {}', 'f(); function f() { return a } const a = 1', 'g(); function g() { f() } function f() { return a } const a = 1',
    'const f = () => a; f(); const a = 1', 'const b = c(() => a); const a = 1', 'const a = b(() => a)', '({ a }); const a = 1',
    'const o = { m() { return a } }; o.m(); let a', 'using b = a; using a = c', 'typeof a; let a', 'export const b = a; export const a = 1',
  ]) assert.deepEqual(checked(source), ['a'], source);
});

test('names of globals are kept apart, in the cell that declares them and in later ones', () => {
  const shadows = new Shadows();
  shadows.setGlobals(['URL', 'fetch', 'h']);
  assert.equal(transformCell('new URL(fetch)', shadows).code, 'new URL(fetch)');
  const program = transformCell('const URL = 1, a = (fetch) => ({ URL, fetch, h })', shadows);
  assert.deepEqual([program.names, program.shadows], [['URL', 'a'], ['URL']]);
  assert.match(program.code, /__polyrepl_URL = 1, a = \(fetch\) => \(\{ URL:__polyrepl_URL, fetch, h \}\)/);
  shadows.declare(program.shadows);
  assert.equal(transformCell('o.URL = URL', shadows).code, 'o.URL = __polyrepl_URL');
  assert.equal(transformExpression('URL', shadows).code, '(__polyrepl_URL\n)');
  assert.deepEqual(transformCell('const h = 1', shadows).shadows, []);
});

test('an import that is written below other code comes first, and again where it stands', () => {
  const { code, names } = transformCell('const b = a\nimport { a } from "m"');
  assert.match(code, /load\("m".*"mayFollow":true\}\)\);b = a;\n.*load\("m".*"mayFollow":false/);
  assert.deepEqual(names.sort(), ['a', 'b']);
  assert.equal(transformCell('import "m"\nb').code.match(/load/g).length, 1);
});

test('an imported name that may be a type does not have to be there', () => {
  const optional = (source) => Array.from(
    transformCell(source).code.matchAll(/"optional":(.*?),"isNeeded"/g), ([, list]) => JSON.parse(list).flat(),
  );
  assert.deepEqual(optional('import { Type, value } from "m"'), [['Type', 'Type']]);
  assert.deepEqual(optional('import D, { T as U, v } from "m"; import * as N from "n"\nlet a: U, b: v, c: N.A, d: D'), [
    ['default', 'D', 'T', 'U', 'v', 'v'], ['*', 'N'],
  ]);
  assert.deepEqual(optional('import { Type } from "m"\nnew Type()'), [[]]);
  assert.doesNotMatch(transformCell('import { type A, type B } from "m"').code, /load/);
});

test('a typed cell imports where RegExp.escape is missing, as in Node 22', () => {
  const { escape } = RegExp;
  delete RegExp.escape;
  try {
    const program = transformCell("import { $a, b } from 'm'\nconst x: $a = b");
    assert.deepEqual(program.names, ['b', 'x']);
  } finally {
    if (escape) RegExp.escape = escape;
  }
});
