/** The client: one method for each thing that the API can do. */

import { PolyreplError } from './errors.ts';
import { type Call, type CallOptions, type ClientOptions, Http, Progress } from './http.ts';
import { Checkpoints, Contexts, Executions, Files, Packages } from './resources.ts';
import { Result } from './result.ts';
import type { Event, Health, InputRequest, Item, LanguageInfo, ResultFields } from './types.ts';

export const SLACK_MS = 60_000;
const EXECUTION_MS = 30_000;

export interface StreamOptions extends CallOptions {
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
  files?: boolean;
  idempotencyKey?: string;
}

/** Callbacks get output as it comes; `onInput` answers input(). */
export interface RunOptions extends StreamOptions {
  onStdout?: (text: string) => unknown;
  onStderr?: (text: string) => unknown;
  onItem?: (item: Item) => unknown;
  onInput?: (request: InputRequest) => string | Promise<string>;
  onEvent?: (event: Event) => unknown;
}

/** Talks to a server. `url` and `token` come from POLYREPL_URL and POLYREPL_TOKEN where there is an environment. */
export class Client {
  readonly contexts: Contexts;
  readonly executions: Executions;
  readonly checkpoints: Checkpoints;
  readonly packages: Packages;
  readonly files: Files;
  readonly #http: Http;

  constructor(options: ClientOptions = {}) {
    this.#http = new Http(options);
    this.contexts = new Contexts(this.#http);
    this.executions = new Executions(this.#http);
    this.checkpoints = new Checkpoints(this.#http);
    this.packages = new Packages(this.#http);
    this.files = new Files(this.#http);
  }

  get url(): string {
    return this.#http.url;
  }

  /** Run code and return its result, also when the code failed: see `Result.error` and `Result.orThrow`. */
  async runCode(code: string, options: RunOptions = {}): Promise<Result> {
    const { onStdout, onStderr, onItem, onInput, onEvent, ...wishes } = options;
    if (!(onStdout ?? onStderr ?? onItem ?? onInput ?? onEvent)) {
      return new Result(await this.#http.json<ResultFields>(executeCall(code, wishes)));
    }
    // Where nobody answers, input() is told so at once.
    const stream = this.stream(code, onInput ? wishes : { stdin: [], ...wishes });
    for await (const event of stream) {
      await onEvent?.(event);
      if (event.type === 'stdout') await onStdout?.(event.text);
      else if (event.type === 'stderr') await onStderr?.(event.text);
      else if (event.type === 'item' || event.type === 'item_update') await onItem?.(event.item);
      else if (event.type === 'input_request' && onInput) await stream.provideInput(await onInput(event));
    }
    return stream.result();
  }

  /** Run code and iterate over its events as they happen. A connection that breaks is made anew, and no event is lost. */
  stream(code: string, options: StreamOptions = {}): EventStream {
    return new EventStream(this.#http, executeCall(code, options), new Progress());
  }

  async languages(options: CallOptions = {}): Promise<LanguageInfo[]> {
    const call: Call = { method: 'GET', path: '/languages', isRepeatable: true, deadlineMs: SLACK_MS, ...options };
    return (await this.#http.json<{ items: LanguageInfo[] }>(call)).items;
  }

  /** Whether the server lives, and its version. */
  health(options: CallOptions = {}): Promise<Health> {
    return this.#http.json({ method: 'GET', path: '/health', isRepeatable: true, deadlineMs: SLACK_MS, ...options });
  }
}

/**
 * The events of an execution, to its end. `executionId` is known from the first event on.
 *
 * Leaving the loop, or an abort of the signal, ends the reading; the execution goes on: `interrupt` stops it.
 */
export class EventStream implements AsyncIterable<Event> {
  readonly #progress: Progress;
  readonly #events: AsyncGenerator<Event, void, void>;
  readonly #executions: Executions;

  constructor(http: Http, call: Call, progress: Progress) {
    this.#progress = progress;
    this.#events = http.events<Event>(call, 'done', progress);
    this.#executions = new Executions(http);
  }

  get executionId(): string | undefined {
    return this.#progress.executionId;
  }

  get lastEventId(): number {
    return this.#progress.lastEventId;
  }

  [Symbol.asyncIterator](): AsyncGenerator<Event, void, void> {
    return this.#events;
  }

  /** Stop the execution; the state of its context is kept. */
  async interrupt(options?: CallOptions): Promise<void> {
    await this.#executions.interrupt(this.#id(), options);
  }

  /** Answer an input_request event. */
  async provideInput(value: string, options?: CallOptions): Promise<void> {
    await this.#executions.input(this.#id(), value, options);
  }

  /** The execution as it stands now. */
  async result(options?: CallOptions): Promise<Result> {
    return this.#executions.get(this.#id(), options);
  }

  #id(): string {
    if (this.executionId === undefined) {
      throw new PolyreplError('The execution has no id before its first event', 'NotStarted', 'Read an event first.');
    }
    return this.executionId;
  }
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
      files: options.files,
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
