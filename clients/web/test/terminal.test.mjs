import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compare, sorted } from '../src/output/sorting.ts';
import { Terminal } from '../src/output/terminal.ts';

const shown = (...pieces) => {
  const terminal = new Terminal(100);
  for (const piece of pieces) terminal.write(piece);
  return terminal.text();
};
const styles = (text) => {
  const terminal = new Terminal();
  terminal.write(text);
  return terminal.lines[0].runs().map((run) => [run.text, run.style]);
};

test('a carriage return writes over the line, and a backspace over a character', () => {
  assert.equal(shown('10%\r20%\r100%'), '100%');
  assert.equal(shown('hello\rj'), 'jello');
  assert.equal(shown('ab\bc'), 'ac');
  assert.equal(shown('a\r\nb'), 'a\nb');
});

test('lines are erased as a terminal does it', () => {
  assert.equal(shown('hello\r\x1b[K'), '');
  assert.equal(shown('hello\x1b[3D\x1b[K'), 'he');
  assert.equal(shown('hello\x1b[1K'), '     ');
});

test('bars on several lines are drawn over each other', () => {
  assert.equal(shown('a 1\nb 1\n', '\x1b[2Aa 2\n\x1b[1Bc'), 'a 2\nb 1\nc');
});

test('a sequence in two pieces is one sequence', () => {
  assert.equal(shown('a\x1b', '[31mb\x1b[', '0mc'), 'abc');
  assert.equal(shown('\x1b]8;;http://x', '\x1b', '\\link\x1b]8;;\x07'), 'link');
});

test('unknown and unfinished sequences leave no trace in the text', () => {
  assert.equal(shown('\x1b[?25l\x1b[>4;1ma\x1b(Bb\x1b=\x07'), 'ab');
});

test('colours of 16, 256 and 16 million', () => {
  assert.deepEqual(styles('\x1b[1;31ma\x1b[0mb'), [['a', { bold: true, color: '1' }], ['b', {}]]);
  assert.deepEqual(styles('\x1b[38;5;196ma\x1b[48;2;1;2;3mb'), [
    ['a', { color: 'rgb(255,0,0)' }],
    ['b', { color: 'rgb(255,0,0)', background: 'rgb(1,2,3)' }],
  ]);
  assert.deepEqual(styles('\x1b[94ma\x1b[39mb'), [['a', { color: '12' }], ['b', {}]]);
});

test('characters outside the first plane are one column', () => {
  assert.equal(shown('😀b\rx'), 'xb');
});

test('the newest lines are kept, and the others counted', () => {
  const terminal = new Terminal(100);
  terminal.write(Array.from({ length: 1001 }, (_, at) => `line ${at}`).join('\n'));
  assert.equal(terminal.lines.length, 100);
  assert.equal(terminal.dropped, 901);
  assert.equal(terminal.lines.at(-1).text(), 'line 1000');
});

test('a line has an end, however long it gets', () => {
  const terminal = new Terminal();
  for (let at = 0; at < 100; at++) terminal.write('x'.repeat(1000));
  assert.equal(terminal.lines[0].length, 20_000);
  assert.ok(terminal.lines[0].isCut);
});

test('values are sorted with what is missing last, in both directions', async () => {
  const values = [3, null, 'b', 1, 'a', undefined, 2];
  const order = async (isDescending) => [...(await sorted(values, isDescending))].map((at) => values[at]);
  assert.deepEqual(await order(false), [1, 2, 3, 'a', 'b', null, undefined]);
  assert.deepEqual(await order(true), ['b', 'a', 3, 2, 1, null, undefined]);
  assert.ok(compare(2, 10) < 0);
});

test('many values are sorted in pieces to the same order', async () => {
  const values = Array.from({ length: 70_001 }, (_, at) => (at * 7919) % 70_001);
  const order = await sorted(values, false);
  assert.ok(order.every((at, place) => values[at] === place));
});
