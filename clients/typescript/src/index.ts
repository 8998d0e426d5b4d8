/** A client of a polyrepl server, for Node, Deno, Bun and browsers. It depends on nothing but `fetch`. */

export { Client, EventStream, type RunOptions, type StreamOptions } from './client.ts';
export { ApiError, CodeFailed, ConnectionFailed, DeadlineExceeded, PolyreplError, UnexpectedAnswer } from './errors.ts';
export type { CallOptions, ClientOptions } from './http.ts';
export { Result } from './result.ts';
export type * from './types.ts';
