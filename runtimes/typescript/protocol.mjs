/** Jupyter messages to wire frames and back, signed with HMAC-SHA256 (messaging spec, "The wire protocol"). Pure. */

import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';

export const PROTOCOL_VERSION = '5.3';

const DELIMITER = Buffer.from('<IDS|MSG>');
const NOTHING = Buffer.from('{}');

/**
 * @typedef {object} Message
 * @property {Buffer[]} identities
 * @property {Record<string, any>} header
 * @property {Record<string, any>} parentHeader
 * @property {Record<string, any>} metadata
 * @property {Record<string, any>} content
 * @property {Buffer[]} buffers
 */

/** Packs and unpacks the messages of one kernel session. */
export class Protocol {
  #key;
  #session = randomUUID();
  #sequence = 0;

  /** @param {{key?: string, signature_scheme?: string}} connection */
  constructor({ key = '', signature_scheme: scheme = 'hmac-sha256' }) {
    if (key && scheme !== 'hmac-sha256') throw new Error(`unsupported signature scheme: ${scheme}`);
    this.#key = key;
  }

  /**
   * @param {string} type
   * @param {object} content
   * @param {{identities?: Buffer[], parent?: object, metadata?: object}} [options]
   * @returns {Buffer[]}
   */
  pack(type, content, { identities = [], parent, metadata } = {}) {
    const header = {
      msg_id: `${this.#session}_${this.#sequence++}`, msg_type: type, username: 'kernel', session: this.#session,
      date: new Date().toISOString(), version: PROTOCOL_VERSION,
    };
    const parts = [encode(header), parent ? encode(parent) : NOTHING, metadata ? encode(metadata) : NOTHING,
      encode(content)];
    return [...identities, DELIMITER, this.#sign(parts), ...parts];
  }

  /**
   * @param {Buffer[]} frames
   * @returns {Message}
   * @throws {Error} when the frames are no message or the signature is wrong
   */
  unpack(frames) {
    const at = frames.findIndex((frame) => frame.equals(DELIMITER));
    if (at === -1 || frames.length < at + 6) throw new Error('not a Jupyter message');
    const parts = frames.slice(at + 2, at + 6);
    if (!this.#isSigned(frames[at + 1], parts)) throw new Error('wrong message signature');
    const [header, parentHeader, metadata, content] = parts.map((part) => JSON.parse(part.toString()));
    if (typeof header?.msg_type !== 'string') throw new Error('message without a type');
    return { identities: frames.slice(0, at), header, parentHeader, metadata, content, buffers: frames.slice(at + 6) };
  }

  #sign(parts) {
    if (!this.#key) return Buffer.alloc(0);
    const hmac = createHmac('sha256', this.#key);
    for (const part of parts) hmac.update(part);
    return Buffer.from(hmac.digest('hex'));
  }

  #isSigned(signature, parts) {
    const expected = this.#sign(parts);
    return signature.length === expected.length && timingSafeEqual(signature, expected);
  }
}

function encode(value) {
  return Buffer.from(JSON.stringify(value));
}
