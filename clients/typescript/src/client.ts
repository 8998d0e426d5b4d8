/** The client: one method for each thing that the API can do. */

import { executeCall, rest, type StreamOptions } from './calls.ts';
import { type CallOptions, type ClientOptions, Http, Progress } from './http.ts';
import { Checkpoints, Contexts, Executions, Files, Packages } from './resources.ts';
import { Result } from './result.ts';
import { EventStream } from './stream.ts';
import type { Event, Health, InputRequest, Item, LanguageInfo, ResultFields } from './types.ts';

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
    const call = { method: 'GET', path: '/languages', isRepeatable: true, ...rest(options) } as const;
    return (await this.#http.json<{ items: LanguageInfo[] }>(call)).items;
  }

  /** Whether the server lives, and its version. */
  health(options: CallOptions = {}): Promise<Health> {
    return this.#http.json({ method: 'GET', path: '/health', isRepeatable: true, ...rest(options) });
  }
}
