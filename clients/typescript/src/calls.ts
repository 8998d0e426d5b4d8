/** The requests as values: their paths, their defaults, and code to run. */

import type { Call, CallOptions } from './http.ts';

/** For what is no execution: a queue, a kernel's start, the way there and back. */
export const SLACK_MS = 60_000;
const EXECUTION_MS = 30_000;

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
export function executeCall(code: string, options: StreamOptions, headers: Record<string, string> = {}): Call {
  return {
    method: 'POST',
    path: '/execute',
    headers: { 'idempotency-key': options.idempotencyKey ?? newKey(), ...headers },
    json: {
      code,
      language: options.language,
      context_id: options.contextId,
      env_vars: options.envVars,
      timeout_ms: options.timeoutMs,
      stdin: options.stdin,
      variables: options.variables,
      checkpoint: options.checkpoint,
      on_error: options.rollback ? 'rollback' : undefined,
      data: options.data,
      check: options.check,
      files: options.files,
      max_output_bytes: options.maxOutputBytes,
      limits: options.limits,
      isolation: options.isolation,
      network: options.network,
    },
    isRepeatable: true,
    deadlineMs: options.deadlineMs ?? (options.timeoutMs ?? EXECUTION_MS) + SLACK_MS,
    signal: options.signal,
  };
}

/** `crypto.randomUUID` is only there on pages with https. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (each) => each.toString(16).padStart(2, '0')).join('');
}

export function rest(options: CallOptions): { signal?: AbortSignal; deadlineMs: number } {
  return { signal: options.signal, deadlineMs: options.deadlineMs ?? SLACK_MS };
}

/** The path of a context. */
export function place(contextId: string, ...parts: string[]): string {
  return ['/contexts', ...[contextId, ...parts].map(encodeURIComponent)].join('/');
}

export function execution(executionId: string, ...parts: string[]): string {
  return ['/executions', ...[executionId, ...parts].map(encodeURIComponent)].join('/');
}

/** The path of a file; its slashes are the server's, too. */
export function file(contextId: string, path: string): string {
  return `${place(contextId, 'files')}/${path.split('/').map(encodeURIComponent).join('/')}`;
}
