/** The channels of a kernel behind one small interface; the connection file says what carries them. Worker thread. */

/**
 * @typedef {'shell' | 'control' | 'stdin'} Channel
 *
 * @typedef {object} Callbacks
 * @property {(channel: Channel, message: import('./messages.mjs').Message) => void} onRequest
 * @property {(reason: string) => void} onInvalid - told of what came and is no message
 * @property {(reason: string | null) => void} onEnd - the client is gone, or what it sends makes no sense any more
 *
 * @typedef {object} Transport
 * @property {() => Promise<void>} open - resolved once requests arrive
 * @property {(channel: Channel, type: string, content: object, request: import('./messages.mjs').Message,
 *   metadata?: object) => void} send - to whoever sent `request`
 * @property {(type: string, content: object,
 *   options?: {parent?: string, metadata?: object, canWait?: boolean}) => void} publish - `parent`: of the message that
 *   this belongs to; `canWait`: the message is worth no write of its own
 * @property {(callback: () => void) => void} whenDrained - call back once the client has taken most of what was sent
 * @property {() => void} close
 */

/**
 * Make the transport that the connection file asks for. Only its modules are loaded: the start waits for them.
 * @param {Record<string, any>} connection - content of the connection file
 * @param {Callbacks} callbacks
 * @returns {Promise<Transport>}
 */
export async function makeTransport(connection, callbacks) {
  if (connection.transport === 'stream') {
    const { StreamTransport } = await import('./stream.mjs');
    return new StreamTransport(connection, callbacks);
  }
  const { ZmqTransport } = await import('./zmq.mjs');
  return new ZmqTransport(connection, callbacks);
}
