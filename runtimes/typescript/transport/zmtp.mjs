/**
 * The server side of ZMTP 3.0 (https://rfc.zeromq.org/spec/23/) with the NULL mechanism, for the three socket types a
 * kernel binds: ROUTER, XPUB and REP. Worker thread; knows nothing of Jupyter.
 */

import { randomBytes } from 'node:crypto';
import net from 'node:net';

const MORE = 1;
const LONG = 2;
const COMMAND = 4;
const GREETING_LENGTH = 64;
const SMALL_MESSAGE = 64 * 1024;
/** A connection with more unsent bytes than this asks the kernel to pause its output. */
const SEND_HIGH_WATER = 1024 * 1024;

/** @returns {Buffer} */
export function greeting() {
  const bytes = Buffer.alloc(GREETING_LENGTH);
  bytes.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0]);
  bytes.write('NULL', 12, 'latin1');
  return bytes;
}

/** @returns {Buffer} */
export function readyCommand(socketType) {
  const value = Buffer.from(socketType);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(value.length);
  return command('READY', Buffer.concat([shortString('Socket-Type'), length, value]));
}

function command(name, data) {
  const body = Buffer.concat([shortString(name), data]);
  return Buffer.concat([frameHeader(body.length, COMMAND), body]);
}

function shortString(text) {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')]);
}

function frameHeader(length, flags) {
  if (length < 256) return Buffer.from([flags, length]);
  const header = Buffer.alloc(9);
  header[0] = flags | LONG;
  header.writeBigUInt64BE(BigInt(length), 1);
  return header;
}

/**
 * Encode a multipart message; large frames are not copied.
 * @param {Buffer[]} frames
 * @returns {Buffer[]} what to write, in order
 */
export function encodeMessage(frames) {
  const chunks = frames.flatMap((frame, index) => [frameHeader(frame.length, index < frames.length - 1 ? MORE : 0), frame]);
  const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return size <= SMALL_MESSAGE ? [Buffer.concat(chunks, size)] : chunks;
}

/** Splits what arrives into frames. Chunks are joined only once a whole frame is there. */
export class FrameParser {
  #chunks = [];
  #length = 0;
  #needed = 2;

  /**
   * @param {Buffer} chunk
   * @returns {{isCommand: boolean, more: boolean, body: Buffer}[]}
   */
  push(chunk) {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#needed) return [];
    let data = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#length);
    const frames = [];
    for (;;) {
      const headerLength = data.length > 0 && data[0] & LONG ? 9 : 2;
      this.#needed = headerLength;
      if (data.length < headerLength) break;
      const bodyLength = headerLength === 9 ? Number(data.readBigUInt64BE(1)) : data[1];
      this.#needed = headerLength + bodyLength;
      if (data.length < this.#needed) break;
      const body = data.subarray(headerLength, this.#needed);
      frames.push({ isCommand: Boolean(data[0] & COMMAND), more: Boolean(data[0] & MORE), body });
      data = data.subarray(this.#needed);
    }
    this.#chunks = data.length > 0 ? [data] : [];
    this.#length = data.length;
    return frames;
  }
}

/** One peer: its handshake, its identity, its subscriptions. */
class Connection {
  identity = null;
  isReady = false;
  /** @type {Buffer[]} */
  subscriptions = [];
  #socket;
  #owner;
  #parser = new FrameParser();
  #greeting = Buffer.alloc(0);
  #frames = [];

  constructor(socket, owner) {
    this.#socket = socket;
    this.#owner = owner;
    socket.setNoDelay?.(true);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => owner.remove(this));
    socket.on('drain', () => owner.drained());
    socket.write(greeting());
  }

  get isCongested() {
    return this.#socket.writableLength > SEND_HIGH_WATER;
  }

  subscribesTo(topic) {
    return this.subscriptions.some((prefix) => topic.subarray(0, prefix.length).equals(prefix));
  }

  /** @param {Buffer[]} frames */
  send(frames) {
    if (this.#socket.destroyed) return;
    this.#socket.cork();
    for (const chunk of encodeMessage(frames)) this.#socket.write(chunk);
    this.#socket.uncork();
  }

  destroy() {
    this.#socket.destroy();
  }

  #receive(chunk) {
    const data = this.#greeting === null ? chunk : this.#afterGreeting(chunk);
    if (data === null) return;
    for (const { isCommand, more, body } of this.#parser.push(data)) {
      if (isCommand) this.#command(body);
      else this.#frame(body, more);
    }
  }

  #afterGreeting(chunk) {
    this.#greeting = Buffer.concat([this.#greeting, chunk]);
    if (this.#greeting.length < GREETING_LENGTH) return null;
    const [signature, version] = [this.#greeting[0], this.#greeting[10]];
    if (signature !== 0xff || version < 3) {
      this.destroy();
      return null;
    }
    this.#socket.write(readyCommand(this.#owner.type));
    const rest = this.#greeting.subarray(GREETING_LENGTH);
    this.#greeting = null;
    return rest;
  }

  #frame(body, more) {
    this.#frames.push(body);
    if (more) return;
    const frames = this.#frames;
    this.#frames = [];
    this.#owner.received(this, frames);
  }

  #command(body) {
    const nameEnd = 1 + body[0];
    const name = body.toString('latin1', 1, nameEnd);
    const data = body.subarray(nameEnd);
    if (name === 'READY') this.#becomeReady(data);
    else if (name === 'SUBSCRIBE') this.#owner.subscribe(this, data);
    else if (name === 'CANCEL') this.#owner.unsubscribe(this, data);
    else if (name === 'PING') this.#socket.write(command('PONG', data.subarray(2)));
  }

  #becomeReady(data) {
    const identity = readProperties(data).get('identity');
    this.identity = identity?.length ? identity : Buffer.concat([Buffer.from([0]), randomBytes(4)]);
    this.isReady = true;
    this.#owner.add(this);
  }
}

function readProperties(data) {
  const properties = new Map();
  for (let at = 0; at < data.length;) {
    const nameEnd = at + 1 + data[at];
    const valueEnd = nameEnd + 4 + data.readUInt32BE(nameEnd);
    const name = data.toString('latin1', at + 1, nameEnd).toLowerCase();
    properties.set(name, Buffer.from(data.subarray(nameEnd + 4, valueEnd)));
    at = valueEnd;
  }
  return properties;
}

/** A bound socket. Subclasses say what its type does with a message. */
class Socket {
  /** @type {Set<Connection>} */
  connections = new Set();
  #server = null;

  constructor(type) {
    this.type = type;
  }

  /** @param {{path: string} | {host: string, port: number}} address */
  bind(address) {
    const { promise, resolve, reject } = Promise.withResolvers();
    this.#server = net.createServer((socket) => new Connection(socket, this));
    this.#server.once('error', reject);
    this.#server.listen(address, () => resolve(undefined));
    return promise;
  }

  close() {
    for (const connection of this.connections) connection.destroy();
    this.#server?.close();
  }

  add(connection) {
    this.connections.add(connection);
  }

  remove(connection) {
    this.connections.delete(connection);
    this.drained();
  }

  drained() {}
  subscribe() {}
  unsubscribe() {}
  received() {}
}

/** Receives requests of many peers and answers each by its identity. */
export class RouterSocket extends Socket {
  #peers = new Map();
  #onMessage;

  /** @param {(frames: Buffer[]) => void} onMessage - the first frame is the peer's identity */
  constructor(onMessage) {
    super('ROUTER');
    this.#onMessage = onMessage;
  }

  add(connection) {
    super.add(connection);
    this.#peers.set(connection.identity.toString('latin1'), connection);
  }

  remove(connection) {
    super.remove(connection);
    const key = connection.identity?.toString('latin1');
    if (this.#peers.get(key) === connection) this.#peers.delete(key);
  }

  received(connection, frames) {
    if (connection.isReady) this.#onMessage([connection.identity, ...frames]);
  }

  /** Send to the peer that the first frame names; a peer that is gone gets nothing, as the spec of ROUTER says. */
  send([identity, ...frames]) {
    this.#peers.get(identity.toString('latin1'))?.send(frames);
  }
}

/** Publishes to whoever subscribed to the topic, the first frame. */
export class XPubSocket extends Socket {
  #onSubscribe;
  #waiting = [];

  /** @param {(topic: Buffer, send: (frames: Buffer[]) => void) => void} onSubscribe */
  constructor(onSubscribe) {
    super('XPUB');
    this.#onSubscribe = onSubscribe;
  }

  received(connection, [first]) {
    if (first[0] === 1) this.subscribe(connection, first.subarray(1));
    else if (first[0] === 0) this.unsubscribe(connection, first.subarray(1));
  }

  subscribe(connection, topic) {
    connection.subscriptions.push(Buffer.from(topic));
    this.#onSubscribe(topic, (frames) => connection.send(frames));
  }

  unsubscribe(connection, topic) {
    const at = connection.subscriptions.findIndex((prefix) => prefix.equals(topic));
    if (at !== -1) connection.subscriptions.splice(at, 1);
  }

  publish(frames) {
    for (const connection of this.connections) if (connection.subscribesTo(frames[0])) connection.send(frames);
  }

  get isCongested() {
    for (const connection of this.connections) if (connection.isCongested) return true;
    return false;
  }

  /** Call back once no subscriber is far behind. */
  whenDrained(callback) {
    if (this.isCongested) this.#waiting.push(callback);
    else callback();
  }

  drained() {
    if (this.isCongested) return;
    for (const callback of this.#waiting.splice(0)) callback();
  }
}

/** Echoes: Jupyter's heartbeat. */
export class EchoSocket extends Socket {
  constructor() {
    super('REP');
  }

  received(connection, frames) {
    connection.send(frames);
  }
}
