/** Cells as modules: what is known of them, and where their own text begins. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { analyse, modulesOf } from '../cells.mjs';

const namesOf = (code) => Object.fromEntries(analyse(code).names);

function lastOf(...codes) {
  return modulesOf(codes.map(analyse)).at(-1);
}

test('every kind of declaration is a name', () => {
  assert.deepEqual(namesOf('const a = 1, { b, c: [d, ...e] } = x; let f; var g'), {
    a: 'constant', b: 'constant', d: 'constant', e: 'constant', f: 'variable', g: 'variable',
  });
  assert.deepEqual(Object.keys(namesOf('function a() {} class B {} enum C {} interface D {} type E = 1; namespace F {}; import G = F')),
    ['a', 'B', 'C', 'D', 'E', 'F', 'G']);
  assert.deepEqual(Object.keys(namesOf('import a, * as b from "x"; import { c, d as e } from "y"; import type { F } from "z"; import "w"')),
    ['a', 'b', 'c', 'e', 'F']);
  assert.deepEqual(namesOf('using a = x; await using b = y'), { a: 'constant', b: 'constant' });
});

test('var in blocks is a name, and what is in functions is none', () => {
  assert.deepEqual(namesOf('if (x) { var a = 1; let b } for (var c of []) ; function f() { var d } class K { m() { var e } }'), {
    f: 'other', K: 'other', a: 'variable', c: 'variable',
  });
});

test('what is both a value and a type is known by an import', () => {
  assert.deepEqual(namesOf('type A = 1; const A = 1'), { A: 'other' });
});

test('globals that an assignment makes are known, and nothing of their types', () => {
  const { globals } = analyse('a = 1; globalThis.b = 2; global["c"] = 3; globalThis[d] = 4; const e = 5; e = 6; o.f = 7; Object.assign(globalThis, { g: 8, h })');
  assert.deepEqual([...globals], ['a', 'b', 'c', 'g', 'h']);
  assert.match(lastOf('globalThis.b = 2', 'b + 1').text, /declare let b: any;/);
});

test('the text of a cell stands unchanged, on lines of its own', () => {
  const code = '\nconst a = 1\n  a // no newline';
  const { text, start } = lastOf('let b = 1', code);
  assert.equal(text.slice(start, start + code.length), code);
  assert.equal(text[start - 1], '\n');
});

test('only names that the cell mentions are declared for it, as the last cell left them', () => {
  const { text } = lastOf('let a = 1', 'let b = a', 'a = 2', 'let b = 3', 'a + b');
  assert.match(text, /let a: typeof import\("\.\/__cell_1"\)\.a = null! as PolyreplVariable<.*, typeof import\("\.\/__cell_3"\)\.__end_a>;/);
  assert.match(text, /let b: typeof import\("\.\/__cell_4"\)\.b/);
  assert.doesNotMatch(lastOf('let a = 1', '2').text, /typeof import/);
});

test('a name that is declared again is that of the cell alone', () => {
  assert.doesNotMatch(lastOf('const a = 1', 'const a = "x"; a').text, /import\("/);
});

test('a cell with errors of syntax declares nothing', () => {
  assert.equal(modulesOf(['const a = ;', 'a'].map(analyse)).length, 1);
  assert.doesNotMatch(lastOf('const a = ;', 'a').text, /import\("/);
});

test('a brace at the start is an object where it can be one', () => {
  assert.equal(analyse('{ a: 1, b: 2 }').isObject, true);
  assert.equal(analyse('// comment\n{ a: 1 }').isObject, true);
  assert.equal(analyse('{ let a = 1; a }').isObject, false);
  assert.equal(analyse('{ a: 1 };').isObject, false);
});

test('JSX is recognised where it is no type', () => {
  assert.deepEqual(['<b>x</b>', '<T,>(x: T) => x', 'const f = <T>(x: T) => x', '<any>x', 'a < b'].map((code) => analyse(code).isJsx),
    [true, false, false, false, false]);
});

test('what others see without an import is noted', () => {
  assert.deepEqual(['import "a"', 'declare global { var x: 1 }', 'declare module "m" {}', 'import a from "a"'].map((code) => analyse(code).augments),
    [true, true, true, false]);
});
