import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Protocol } from '../transport/protocol.mjs';
import { EchoSocket, FrameParser, RouterSocket, XPubSocket, encodeMessage, greeting, readyCommand } from '../transport/zmtp.mjs';

test('frames are parsed the same however they are cut', () => {
  const wire = Buffer.concat(encodeMessage([Buffer.from('a'), Buffer.alloc(300, 'b'), Buffer.alloc(0), Buffer.alloc(70000, 'c')]));
  for (const size of [1, 2, 7, 255, 4096, wire.length]) {
    const parser = new FrameParser();
    const frames = [];
    for (let at = 0; at < wire.length; at += size) frames.push(...parser.push(wire.subarray(at, at + size)));
    assert.deepEqual(frames.map(({ body }) => body.length), [1, 300, 0, 70000], `cut every ${size}`);
    assert.deepEqual(frames.map(({ more }) => more), [true, true, true, false]);
  }
});

test('commands are told from messages', () => {
  const [frame] = new FrameParser().push(readyCommand('ROUTER'));
  assert.equal(frame.isCommand, true);
  assert.equal(frame.body.toString('latin1', 1, 6), 'READY');
});

/** A peer that has done its side of the handshake. */
async function connect(address, type) {
  const socket = net.connect(address);
  const parser = new FrameParser();
  const received = [];
  let buffered = Buffer.alloc(0);
  let isGreeted = false;
  socket.on('data', (chunk) => {
    buffered = Buffer.concat([buffered, chunk]);
    if (!isGreeted && buffered.length < 64) return;
    received.push(...parser.push(isGreeted ? buffered : buffered.subarray(64)));
    isGreeted = true;
    buffered = Buffer.alloc(0);
    socket.emit('frames');
  });
  await once(socket, 'connect');
  socket.write(Buffer.concat([greeting(), readyCommand(type)]));
  return {
    send: (...frames) => encodeMessage(frames.map((frame) => Buffer.from(frame))).forEach((chunk) => socket.write(chunk)),
    raw: (bytes) => socket.write(bytes),
    closed: once(socket, 'close'),
    destroy: () => socket.destroy(),
    async messages(count) {
      const bodies = () => received.filter(({ isCommand }) => !isCommand).map(({ body }) => body.toString());
      while (bodies().length < count) await once(socket, 'frames');
      return bodies();
    },
  };
}

async function withSocket(socket, action) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'zmtp-'));
  const address = { path: path.join(folder, 'socket') };
  await socket.bind(address);
  try {
    await action(address);
  } finally {
    socket.close();
    rmSync(folder, { recursive: true });
  }
}

const deadline = { timeout: 10_000 };

test('a heartbeat is echoed', deadline, () => withSocket(new EchoSocket(), async (address) => {
  const peer = await connect(address, 'REQ');
  peer.send('', 'ping');
  assert.deepEqual(await peer.messages(2), ['', 'ping']);
  peer.destroy();
}));

test('each request is answered to its own peer', deadline, () => {
  const router = new RouterSocket(([identity, body]) => router.send([identity, Buffer.from(`re: ${body}`)]));
  return withSocket(router, async (address) => {
    const [one, two] = [await connect(address, 'DEALER'), await connect(address, 'DEALER')];
    two.send('second');
    one.send('first');
    assert.deepEqual(await one.messages(1), ['re: first']);
    assert.deepEqual(await two.messages(1), ['re: second']);
    one.destroy();
    two.destroy();
  });
});

test('a subscriber is told of its subscription and gets its topics only', deadline, () => {
  const iopub = new XPubSocket((topic, send) => send([Buffer.from('welcome'), topic]));
  return withSocket(iopub, async (address) => {
    const peer = await connect(address, 'SUB');
    peer.send('\x01str');
    assert.deepEqual(await peer.messages(2), ['welcome', 'str']);
    iopub.publish([Buffer.from('status'), Buffer.from('no')]);
    iopub.publish([Buffer.from('stream'), Buffer.from('yes')]);
    assert.deepEqual((await peer.messages(4)).slice(2), ['stream', 'yes']);
    peer.destroy();
  });
});

test('a peer that does not speak ZMTP 3 is dropped', deadline, () => withSocket(new EchoSocket(), async (address) => {
  const peer = await connect(address, 'REQ');
  const stranger = await connect(address, 'REQ');
  stranger.destroy();
  const web = net.connect(address.path);
  web.resume();
  web.write('GET / HTTP/1.1\r\n'.padEnd(64, 'x'));
  await once(web, 'close');
  peer.destroy();
}));

test('a message is packed and unpacked, and a changed one is refused', () => {
  const protocol = new Protocol({ key: 'secret' });
  const frames = protocol.pack('status', { execution_state: 'idle' }, { identities: [Buffer.from('topic')] });
  const message = protocol.unpack(frames);
  assert.equal(message.header.msg_type, 'status');
  assert.deepEqual(message.content, { execution_state: 'idle' });
  assert.deepEqual(message.identities.map(String), ['topic']);
  assert.throws(() => new Protocol({ key: 'other' }).unpack(frames), /signature/);
  assert.throws(() => protocol.unpack([Buffer.from('x')]), /not a Jupyter message/);
});
