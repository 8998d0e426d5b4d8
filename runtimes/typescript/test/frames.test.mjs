import assert from 'node:assert/strict';
import test from 'node:test';
import { FrameDecoder, MAX_FRAME, frameHead } from '../transport/frames.mjs';

const PARTS = ['{"msg_type":"x"}', '{}', '{}', '{"code":"é"}'].map((text) => Buffer.from(text));
const join = (channel, parts) => Buffer.concat([frameHead(channel, parts), ...parts]);
const read = (frames) => frames.map(({ channel, parts }) => [channel, ...parts.map(String)]);
const EXPECTED = ['shell', ...PARTS.map(String)];

/** The head of a frame with one field other than it should be. */
function headWith(change) {
  const frame = join('shell', PARTS);
  change(frame);
  return frame;
}

test('a frame has the layout that the server expects', () => {
  const frame = join('stdin', [Buffer.from('a'), Buffer.from(''), Buffer.from('bc'), Buffer.from('d')]);
  assert.equal(frame.toString('hex'), '18000000' + '01' + '03' + '0400' + '01000000' + '00000000' + '02000000' + '01000000'
    + Buffer.from('abcd').toString('hex'));
});

test('frames are found however the bytes were cut', () => {
  const stream = Buffer.concat([join('shell', PARTS), join('control', PARTS), join('shell', PARTS)]);
  for (const size of [1, 2, 3, 7, 8, 9, 50, stream.length]) {
    const decoder = new FrameDecoder();
    const found = [];
    for (let at = 0; at < stream.length; at += size) found.push(...read(decoder.push(stream.subarray(at, at + size))));
    assert.deepEqual(found, [EXPECTED, ['control', ...EXPECTED.slice(1)], EXPECTED], `pieces of ${size}`);
  }
});

test('what is no frame is refused before its bytes are waited for', () => {
  const wrong = {
    'version 2': (frame) => frame.writeUInt8(2, 4),
    'channel 4': (frame) => frame.writeUInt8(4, 5),
    '3 parts': (frame) => frame.writeUInt16LE(3, 6),
    '1025 parts': (frame) => frame.writeUInt16LE(1025, 6),
    'more than': (frame) => frame.writeUInt32LE(MAX_FRAME + 1, 0),
    '19 bytes for 4 parts': (frame) => frame.writeUInt32LE(19, 0),
  };
  for (const [message, change] of Object.entries(wrong)) {
    assert.throws(() => new FrameDecoder().push(headWith(change).subarray(0, 8)), new RegExp(message));
  }
  assert.throws(() => new FrameDecoder().push(headWith((frame) => frame.writeUInt32LE(1, 8))), /parts of a frame end/);
});

test('a message that is larger than a frame may be is refused', () => {
  const parts = [...PARTS.slice(0, 3), { length: MAX_FRAME }];
  assert.throws(() => frameHead('iopub', parts), RangeError);
});
