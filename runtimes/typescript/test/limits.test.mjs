import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StreamLimit, headOf, limitBundle, splitText } from '../worker/limits.mjs';

function limited(bytes, writes) {
  const limit = new StreamLimit(bytes);
  const head = writes.map((text) => limit.push(text)).join('');
  return { head, ...limit.finish() };
}

test('what fits passes as it is, half of it only at the end', () => {
  assert.deepEqual(limited(10, ['12345', '67890']), { head: '12345', text: '67890', omittedBytes: 0 });
});

test('the middle is omitted and counted, however it was written', () => {
  const whole = Array.from({ length: 500 }, (_, i) => `${i},`).join('');
  const missing = whole.length - 101;
  for (const size of [1, 3, 7, 50, 51, 52, 400, whole.length]) {
    const writes = [];
    for (let i = 0; i < whole.length; i += size) writes.push(whole.slice(i, i + size));
    assert.deepEqual(limited(101, writes), { head: whole.slice(0, 50), text: whole.slice(-51), omittedBytes: missing });
  }
});

test('a limit of nothing omits everything', () => {
  assert.deepEqual(limited(0, ['abc', 'd']), { head: '', text: '', omittedBytes: 4 });
});

test('cuts fall between characters', () => {
  assert.equal(headOf('a😀b', 4), 'a');
  assert.equal(headOf('a😀b', 5), 'a😀');
  assert.equal(limited(2, ['-', 'a😀b']).text, 'b');
  assert.equal(limited(10, ['-----', 'a😀b']).text, '😀b');
  const { head, text, omittedBytes } = limited(8, ['€€€€€€']);
  assert.deepEqual([head, text, omittedBytes], ['€', '€', 12]);
});

test('a long text is split into messages without losing a character', () => {
  const parts = splitText('ab€'.repeat(10), 7);
  assert.equal(parts.join(''), 'ab€'.repeat(10));
  assert.ok(parts.every((part) => Buffer.byteLength(part) <= 7));
  assert.deepEqual(splitText('short', 7), ['short']);
});

test('items above the bound are left out, a plain text is cut', () => {
  const data = { 'text/plain': 'abcdefgh', 'text/html': 'abcdefgh', 'application/json': { a: 1 }, 'image/png': 'abc' };
  assert.deepEqual(limitBundle(data, 7), {
    data: { 'text/plain': 'abcdefg', 'application/json': { a: 1 }, 'image/png': 'abc' },
    omitted: { 'text/plain': 1, 'text/html': 8 },
  });
  assert.deepEqual(limitBundle(data, undefined), { data, omitted: null });
});
