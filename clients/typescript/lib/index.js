/* @ts-self-types="./index.d.ts" */
/** A client of a polyrepl server, for Node, Deno, Bun and browsers. It depends on nothing but `fetch`. */
export { Client } from './client.js';
export { ApiError, CodeFailed, ConnectionFailed, DeadlineExceeded, PolyreplError, UnexpectedAnswer } from './errors.js';
export { Result } from './result.js';
export { EventStream } from './stream.js';
