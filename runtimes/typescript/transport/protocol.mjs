/** Jupyter messages to the frames of ZMTP and back, signed with HMAC-SHA256 (messaging spec, "The wire protocol"). Pure. */

import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { MessageBuilder, parseMessage } from './messages.mjs';

const DELIMITER = Buffer.from('<IDS|MSG>');

/** Packs and unpacks the messages of one kernel. */
export class Protocol {
  #key;
  #messages = new MessageBuilder(randomUUID());

  /** @param {{key?: string, signature_scheme?: string}} connection */
  constructor({ key = '', signature_scheme: scheme = 'hmac-sha256' }) {
    if (key && scheme !== 'hmac-sha256') throw new Error(`unsupported signature scheme: ${scheme}`);
    this.#key = key;
  }

  /**
   * @param {string} type
   * @param {object} content
   * @param {{identities?: Buffer[], parent?: string, metadata?: object}} [options]
   * @returns {Buffer[]}
   */
  pack(type, content, { identities = [], ...options } = {}) {
    const parts = this.#messages.build(type, content, options);
    return [...identities, DELIMITER, this.#sign(parts), ...parts];
  }

  /**
   * @param {Buffer[]} frames
   * @returns {import('./messages.mjs').Message}
   * @throws {Error} when the frames are no message or the signature is wrong
   */
  unpack(frames) {
    const at = frames.findIndex((frame) => frame.equals(DELIMITER));
    if (at === -1 || frames.length < at + 6) throw new Error('not a Jupyter message');
    const parts = frames.slice(at + 2, at + 6);
    if (!this.#isSigned(frames[at + 1], parts)) throw new Error('wrong message signature');
    return parseMessage(parts, frames.slice(0, at));
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
