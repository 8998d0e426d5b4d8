/** A client of a polyrepl server, for Node, Deno, Bun and browsers. It depends on nothing but `fetch`. */

export type { ContextOptions, StreamOptions } from './calls.ts';
export { Client, type RunOptions } from './client.ts';
export { ApiError, CodeFailed, ConnectionFailed, DeadlineExceeded, PolyreplError, UnexpectedAnswer } from './errors.ts';
export type { CallOptions, ClientOptions } from './http.ts';
export type { Checkpoints, Contexts, Executions, Files, LanguageOptions, Packages } from './resources.ts';
export { Result } from './result.ts';
export { EventStream } from './stream.ts';
export type * from './types.ts';
