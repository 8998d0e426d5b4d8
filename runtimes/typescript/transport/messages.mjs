/** Jupyter messages as the four JSON parts that every transport carries. Worker thread; pure. */

export const PROTOCOL_VERSION = '5.4';

const NOTHING = '{}';

/**
 * @typedef {object} Message
 * @property {Buffer[]} identities - whom to answer, where the transport has several peers
 * @property {Record<string, any>} header
 * @property {string} parent - the header as it came, JSON: what answers carry as their `parent_header`
 * @property {Record<string, any>} metadata
 * @property {Record<string, any>} content
 * @property {string | null} problem - why metadata or content cannot be read; they are empty then
 */

/** Builds the messages of one kernel. */
export class MessageBuilder {
  #session;
  #sequence = 0;

  /** @param {string} session - an id of this kernel, part of the id of each message */
  constructor(session) {
    this.#session = session;
  }

  /**
   * @param {string} type
   * @param {object} content
   * @param {{parent?: string, metadata?: object}} [options] - `parent`: of a `Message`
   * @returns {Buffer[]} header, parent header, metadata and content
   */
  build(type, content, { parent = NOTHING, metadata } = {}) {
    const header = {
      msg_id: `${this.#session}_${this.#sequence++}`, msg_type: type, username: 'kernel', session: this.#session,
      date: new Date().toISOString(), version: PROTOCOL_VERSION,
    };
    const texts = [JSON.stringify(header), parent, metadata ? JSON.stringify(metadata) : NOTHING, JSON.stringify(content)];
    return texts.map((text) => Buffer.from(text));
  }
}

/**
 * @param {Buffer[]} parts - header, parent header, metadata, content; buffers are not used
 * @param {Buffer[]} [identities]
 * @returns {Message}
 * @throws {Error} when they have no header to answer to
 */
export function parseMessage(parts, identities = []) {
  const parent = String(parts[0]);
  const header = parseObject(parent, 'header');
  if (typeof header.msg_type !== 'string') throw new Error('message without a type');
  const message = { identities, header, parent, metadata: {}, content: {}, problem: null };
  try {
    message.metadata = parseObject(String(parts[2]), 'metadata');
    message.content = parseObject(String(parts[3]), 'content');
  } catch (error) {
    message.problem = error.message;
  }
  return message;
}

function parseObject(text, name) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`the ${name} is no JSON`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`the ${name} is no JSON object`);
  return value;
}
