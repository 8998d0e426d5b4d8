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
 * @throws {Error} when they are no message
 */
export function parseMessage(parts, identities = []) {
  const texts = [parts[0], parts[2], parts[3]].map(String);
  const [header, metadata, content] = texts.map(parseObject);
  if (typeof header.msg_type !== 'string') throw new Error('message without a type');
  return { identities, header, parent: texts[0], metadata, content };
}

function parseObject(text) {
  const value = JSON.parse(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('a part is no JSON object');
  return value;
}
