/** What the client calls by what it is about: contexts, executions, checkpoints, packages, files. */

import { type ContextOptions, executeCall, execution, file, place, rest, SLACK_MS, type StreamOptions } from './calls.ts';
import { UnexpectedAnswer } from './errors.ts';
import { type Body, type Call, type CallOptions, type Http, Progress } from './http.ts';
import { Result } from './result.ts';
import { EventStream } from './stream.ts';
import type {
  BranchInfo,
  CheckpointInfo,
  Completeness,
  Completions,
  ContextInfo,
  FileInfo,
  FileList,
  Inspection,
  InstallationEvent,
  InstallationResult,
  ResultFields,
  Status,
  VariableList,
} from './types.ts';

const LONG_MS = 3_600_000;
const INSTALLATION_MS = 300_000;

/** Which of a context's languages is meant, where it has several. */
export interface LanguageOptions extends CallOptions {
  language?: string;
}

class Resource {
  protected readonly http: Http;

  constructor(http: Http) {
    this.http = http;
  }

  protected read<Value>(path: string, options: CallOptions = {}, query: Call['query'] = {}): Promise<Value> {
    return this.http.json<Value>({ method: 'GET', path, query, isRepeatable: true, ...rest(options) });
  }

  protected post<Value>(path: string, options: CallOptions = {}, call: Partial<Call> = {}): Promise<Value> {
    return this.http.json<Value>({ method: 'POST', path, ...call, ...rest(options) });
  }

  protected remove(path: string, options: CallOptions = {}, query: Call['query'] = {}): Promise<void> {
    return this.http.empty({ method: 'DELETE', path, query, ...rest(options) });
  }
}

/** The places where code runs. */
export class Contexts extends Resource {
  /** Make a context, or find the one of that id, and return when its kernel is ready. */
  create(options: LanguageOptions & ContextOptions & { contextId?: string; cwd?: string } = {}): Promise<ContextInfo> {
    const { language, contextId, cwd, limits, isolation, network } = options;
    const json = { language, context_id: contextId, cwd, limits, isolation, network };
    return this.post('/contexts', options, { json, isRepeatable: options.contextId !== undefined });
  }

  async list(options?: CallOptions): Promise<ContextInfo[]> {
    return (await this.read<{ items: ContextInfo[] }>('/contexts', options)).items;
  }

  get(contextId: string, options: LanguageOptions = {}): Promise<ContextInfo> {
    return this.read(place(contextId), options, { language: options.language });
  }

  /** End it, with its processes and its working directory. */
  delete(contextId: string, options: LanguageOptions = {}): Promise<void> {
    return this.remove(place(contextId), options, { language: options.language });
  }

  /** Replace its kernel by a fresh one. */
  restart(contextId: string, options: LanguageOptions = {}): Promise<ContextInfo> {
    return this.post(place(contextId, 'restart'), options, { query: { language: options.language } });
  }

  /** Stop what runs in it, and return the ids of that; the state is kept. */
  async interrupt(contextId: string, options: LanguageOptions = {}): Promise<string[]> {
    const call = { query: { language: options.language } };
    return (await this.post<{ executions: string[] }>(place(contextId, 'interrupt'), options, call)).executions;
  }

  /** Its executions as a notebook, a script, or a page (`kind`). */
  export(
    contextId: string,
    options: LanguageOptions & { kind?: 'ipynb' | 'py' | 'ts' | 'html' } = {},
  ): Promise<Uint8Array> {
    const query = { format: options.kind, language: options.language };
    const limits = rest({ deadlineMs: LONG_MS, ...options });
    return joined(this.http.bytes({ method: 'GET', path: place(contextId, 'export'), query, ...limits }));
  }

  /** Make a new context with the whole live state of this one, or of one of its checkpoints. */
  fork(
    contextId: string,
    options: LanguageOptions & { newId?: string; checkpoint?: string; force?: boolean } = {},
  ): Promise<BranchInfo> {
    const { newId, language, checkpoint, force } = options;
    return this.post(place(contextId, 'fork'), options, { json: { context_id: newId, language, checkpoint, force } });
  }

  /** Have it go on from a checkpoint, which stays usable. */
  restore(contextId: string, checkpoint: string, options?: CallOptions): Promise<ContextInfo> {
    return this.post(place(contextId, 'restore'), options, { json: { checkpoint } });
  }

  /** What its user has named: `limit` names after the name `after` that contain `match`. */
  variables(
    contextId: string,
    options: LanguageOptions & { limit?: number; after?: string; match?: string } = {},
  ): Promise<VariableList> {
    const { language, limit, after, match } = options;
    return this.read(place(contextId, 'variables'), options, { language, limit, after, match });
  }

  /** How code could go on at the cursor (in characters, not UTF-16 units; the end by default). */
  complete(contextId: string, code: string, options: LanguageOptions & { cursor?: number } = {}): Promise<Completions> {
    const json = { code, cursor: options.cursor, language: options.language };
    return this.post(place(contextId, 'complete'), options, { json, isRepeatable: true });
  }

  /** What is known of the name at the cursor; with `detail` also its source. */
  inspect(
    contextId: string,
    code: string,
    options: LanguageOptions & { cursor?: number; detail?: boolean } = {},
  ): Promise<Inspection> {
    const json = { code, cursor: options.cursor, detail: options.detail, language: options.language };
    return this.post(place(contextId, 'inspect'), options, { json, isRepeatable: true });
  }

  /** Whether code can be run as it is, or more lines must follow. */
  isComplete(contextId: string, code: string, options: LanguageOptions = {}): Promise<Completeness> {
    const json = { code, language: options.language };
    return this.post(place(contextId, 'is_complete'), options, { json, isRepeatable: true });
  }
}

/** Code that runs or has run. */
export class Executions extends Resource {
  /** Run code and return at once; `get`, `events` and `wait` tell how it goes on. */
  async start(code: string, options: StreamOptions = {}): Promise<Result> {
    const call = executeCall(code, options, { prefer: 'respond-async' });
    return new Result(await this.http.json<ResultFields>(call));
  }

  /** The execution as it stands now. */
  async get(executionId: string, options?: CallOptions): Promise<Result> {
    return new Result(await this.read<ResultFields>(execution(executionId), options));
  }

  /** Its events numbered above `after`, to its end. */
  events(executionId: string, options: CallOptions & { after?: number } = {}): EventStream {
    const call: Call = { method: 'GET', path: '', isRepeatable: true, ...rest({ deadlineMs: LONG_MS, ...options }) };
    return new EventStream(this.http, call, new Progress(executionId, options.after ?? 0));
  }

  /** The result, when it has ended. */
  async wait(executionId: string, options: CallOptions = {}): Promise<Result> {
    for await (const event of this.events(executionId, options)) void event;
    return this.get(executionId, options);
  }

  /** Stop it, running or waiting; the state of its context is kept. */
  interrupt(executionId: string, options?: CallOptions): Promise<{ execution_id: string; status: Status }> {
    return this.post(execution(executionId, 'interrupt'), options, { isRepeatable: true });
  }

  /** Answer its input(). */
  async input(executionId: string, value: string, options: CallOptions = {}): Promise<void> {
    const path = execution(executionId, 'input');
    await this.http.empty({ method: 'POST', path, json: { value }, ...rest(options) });
  }
}

/** States of contexts that one can return to. */
export class Checkpoints extends Resource {
  create(
    contextId: string,
    options: LanguageOptions & { name?: string; force?: boolean } = {},
  ): Promise<CheckpointInfo> {
    const { name, language, force } = options;
    return this.post(place(contextId, 'checkpoints'), options, { json: { name, language, force } });
  }

  async list(contextId: string, options: LanguageOptions = {}): Promise<CheckpointInfo[]> {
    const path = place(contextId, 'checkpoints');
    return (await this.read<{ items: CheckpointInfo[] }>(path, options, { language: options.language })).items;
  }

  delete(contextId: string, checkpoint: string, options?: CallOptions): Promise<void> {
    return this.remove(place(contextId, 'checkpoints', checkpoint), options);
  }
}

/** Chunks as one. */
async function joined(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  const content = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    content.set(chunk, at);
    at += chunk.length;
  }
  return content;
}

/** Packages of contexts. */
export class Packages extends Resource {
  /** Install packages; how that ended is in the result. `onOutput` gets what pip or npm prints, as it comes. */
  async install(
    contextId: string,
    packages: string[],
    options: LanguageOptions & { timeoutMs?: number; onOutput?: (text: string) => unknown } = {},
  ): Promise<InstallationResult> {
    const { language, timeoutMs, onOutput } = options;
    const path = place(contextId, 'packages');
    const json = { packages, language, timeout_ms: timeoutMs };
    const limits = rest({ deadlineMs: (timeoutMs ?? INSTALLATION_MS) + SLACK_MS, ...options });
    if (!onOutput) return this.http.json({ method: 'POST', path, json, ...limits });
    const call: Call = { method: 'POST', path, json, ...limits };
    for await (const event of this.http.events<InstallationEvent>(call, 'installed', new Progress())) {
      if (event.type === 'stdout' || event.type === 'stderr') await onOutput(event.text);
      else if (event.type === 'installed') return event.result;
    }
    throw new UnexpectedAnswer('The stream had no end');
  }
}

/** The files in contexts' working directories; paths are relative to it. What is on its way may be so for an hour (`deadlineMs`). */
export class Files extends Resource {
  /** What is in a directory: `limit` paths after the path `after`. */
  list(
    contextId: string,
    options: LanguageOptions & { path?: string; recursive?: boolean; limit?: number; after?: string } = {},
  ): Promise<FileList> {
    const { path, recursive, limit, after, language } = options;
    return this.read(place(contextId, 'files'), options, { path, recursive, limit, after, language });
  }

  /** Write a file from bytes, text, a Blob (Node: `fs.openAsBlob(path)`) or a stream. With a `language` the context is made where there is none. */
  upload(contextId: string, path: string, content: Body | string, options: LanguageOptions = {}): Promise<FileInfo> {
    return this.http.json({
      method: 'PUT',
      path: file(contextId, path),
      query: { language: options.language },
      body: typeof content === 'string' ? new TextEncoder().encode(content) : content,
      isRepeatable: true,
      ...rest({ deadlineMs: LONG_MS, ...options }),
    });
  }

  /** A file's content. */
  download(contextId: string, path: string, options: LanguageOptions = {}): Promise<Uint8Array> {
    return joined(this.#read(contextId, path, options));
  }

  /** A file's content as it comes, for what is large. */
  async stream(contextId: string, path: string, options: LanguageOptions = {}): Promise<ReadableStream<Uint8Array>> {
    const stopping = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, stopping.signal]) : stopping.signal;
    const chunks = this.#read(contextId, path, { ...options, signal });
    let next: Promise<IteratorResult<Uint8Array, void>> | undefined = chunks.next();
    await next; // what is wrong with the request is told at once
    return new ReadableStream<Uint8Array>({
      async pull(queue) {
        const { done, value } = await (next ?? chunks.next());
        next = undefined;
        if (done) queue.close();
        else queue.enqueue(value);
      },
      async cancel(reason) {
        stopping.abort(reason);
        await chunks.return();
      },
    });
  }

  delete(contextId: string, path: string, options: LanguageOptions & { recursive?: boolean } = {}): Promise<void> {
    return this.remove(file(contextId, path), options, { recursive: options.recursive, language: options.language });
  }

  #read(contextId: string, path: string, options: LanguageOptions): AsyncGenerator<Uint8Array, void, void> {
    const query = { language: options.language };
    const limits = rest({ deadlineMs: LONG_MS, ...options });
    return this.http.bytes({ method: 'GET', path: file(contextId, path), query, ...limits });
  }
}
