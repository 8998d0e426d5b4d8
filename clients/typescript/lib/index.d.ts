/** A client of a polyrepl server, for Node, Deno, Bun and browsers. It depends on nothing but `fetch`. */
export type { ContextOptions, StreamOptions } from './calls.js';
export { Client, type RunOptions } from './client.js';
export { ApiError, CodeFailed, ConnectionFailed, DeadlineExceeded, PolyreplError, UnexpectedAnswer } from './errors.js';
export type { CallOptions, ClientOptions } from './http.js';
export type { Checkpoints, Contexts, Executions, Files, LanguageOptions, Packages } from './resources.js';
export { Result } from './result.js';
export { EventStream } from './stream.js';
export type * from './types.js';
