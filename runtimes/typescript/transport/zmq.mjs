/** The channels of a kernel over ZMTP, for any Jupyter client. Worker thread. */

import { Protocol } from './protocol.mjs';
import { EchoSocket, RouterSocket, XPubSocket } from './zmtp.mjs';

/** @typedef {import('./transport.mjs').Transport} Transport */

/** @implements {Transport} */
export class ZmqTransport {
  #connection;
  #protocol;
  #routers;
  #iopub;
  #heartbeat = new EchoSocket();

  /**
   * @param {Record<string, any>} connection - content of the connection file
   * @param {import('./transport.mjs').Callbacks} callbacks
   */
  constructor(connection, { onRequest, onInvalid }) {
    this.#connection = connection;
    this.#protocol = new Protocol(connection);
    const router = (channel) => new RouterSocket((frames) => {
      let message;
      try {
        message = this.#protocol.unpack(frames);
      } catch (error) {
        return onInvalid(error.message);
      }
      onRequest(channel, message);
    });
    this.#routers = { shell: router('shell'), control: router('control'), stdin: router('stdin') };
    this.#iopub = new XPubSocket((topic, send) => this.#welcome(topic, send));
  }

  async open() {
    const bind = (socket, name) => socket.bind(this.#address(this.#connection[`${name}_port`]));
    const bound = Object.entries(this.#routers).map(([name, socket]) => bind(socket, name));
    await Promise.all([...bound, bind(this.#iopub, 'iopub'), bind(this.#heartbeat, 'hb')]);
  }

  send(channel, type, content, request, metadata) {
    const options = { identities: request.identities, parent: request.parent, metadata };
    this.#routers[channel].send(this.#protocol.pack(type, content, options));
  }

  /** Each message leaves at once: subscribers are told nothing that they could not have on its own. */
  publish(type, content, { parent, metadata } = {}) {
    this.#iopub.publish(this.#protocol.pack(type, content, { identities: [Buffer.from(type)], parent, metadata }));
  }

  whenDrained(callback) {
    this.#iopub.whenDrained(callback);
  }

  close() {
    for (const socket of [...Object.values(this.#routers), this.#iopub, this.#heartbeat]) socket.close();
  }

  /** Tell a new subscriber that it misses nothing from here on (Jupyter enhancement proposal 65). */
  #welcome(topic, send) {
    const content = { subscription: topic.toString() };
    send(this.#protocol.pack('iopub_welcome', content, { identities: [Buffer.from(topic)] }));
  }

  #address(port) {
    const { transport, ip } = this.#connection;
    return transport === 'ipc' ? { path: `${ip}-${port}` } : { host: ip === '*' ? '0.0.0.0' : ip, port };
  }
}
