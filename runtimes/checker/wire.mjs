/** The checker's only way to the world: JSON lines on descriptor 0, one at a time. It waits where it reads. */

import { readSync, writeSync } from 'node:fs';

const SOCKET = 0;
const CHUNK = 64 * 1024;

export class Wire {
  #parts = [];
  #chunk = Buffer.alloc(CHUNK);

  /** @returns {any} the next message; null at the end */
  read() {
    for (;;) {
      const count = retried(() => readSync(SOCKET, this.#chunk, 0, CHUNK, null));
      if (count === 0) return null;
      const got = Buffer.from(this.#chunk.subarray(0, count));
      this.#parts.push(got);
      // One message at a time is on its way, so the end of a line is the end of what was sent.
      if (got[count - 1] === 10) {
        const text = Buffer.concat(this.#parts).toString('utf8');
        this.#parts = [];
        return JSON.parse(text);
      }
    }
  }

  /** @param {object} message */
  write(message) {
    const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
    for (let sent = 0; sent < bytes.length;) sent += retried(() => writeSync(SOCKET, bytes, sent));
  }
}

function retried(call) {
  for (;;) {
    try {
      return call();
    } catch (error) {
      if (error.code !== 'EAGAIN' && error.code !== 'EINTR') throw error;
    }
  }
}
