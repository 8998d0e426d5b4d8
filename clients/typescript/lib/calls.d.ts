/** The requests as values: their paths, their defaults, and code to run. */
import type { Call, CallOptions } from './http.js';
/** For what is no execution: a queue, a kernel's start, the way there and back. */
export declare const SLACK_MS = 60000;
/** Of a context that is made; by default as the server has it, which also decides what may be asked for. */
export interface ContextOptions {
    /** What it may take: bytes, seconds, numbers. */
    limits?: Record<string, number>;
    isolation?: 'none' | 'process' | 'landlock' | 'namespaces';
    network?: 'none' | 'open';
}
export interface StreamOptions extends CallOptions, ContextOptions {
    language?: string;
    contextId?: string;
    envVars?: Record<string, string>;
    /** How long the code may run. `deadlineMs` is how long the call may take, by default a minute more. */
    timeoutMs?: number;
    /** Lines for input() and prompt(). */
    stdin?: string[];
    variables?: boolean;
    checkpoint?: boolean;
    /** Code that fails leaves no trace. */
    rollback?: boolean;
    data?: boolean;
    /** Check the types of TypeScript or JavaScript: `diagnostics` of the result. */
    check?: boolean;
    files?: boolean;
    /** How many bytes of the output are kept. */
    maxOutputBytes?: number;
    idempotencyKey?: string;
}
/** With its key (Idempotency-Key) a request may be sent again, and the code runs once. */
export declare function executeCall(code: string, options: StreamOptions, headers?: Record<string, string>): Call;
export declare function rest(options: CallOptions): {
    signal?: AbortSignal;
    deadlineMs: number;
};
/** The path of a context. */
export declare function place(contextId: string, ...parts: string[]): string;
export declare function execution(executionId: string, ...parts: string[]): string;
/** The path of a file; its slashes are the server's, too. */
export declare function file(contextId: string, path: string): string;
