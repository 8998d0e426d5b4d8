/** The client: one method for each thing that the API can do. */
import { type StreamOptions } from './calls.js';
import { type CallOptions, type ClientOptions } from './http.js';
import { Checkpoints, Contexts, Executions, Files, Packages } from './resources.js';
import { Result } from './result.js';
import { EventStream } from './stream.js';
import type { Event, Health, InputRequest, Item, LanguageInfo } from './types.js';
/** Callbacks get output as it comes; `onInput` answers input(). */
export interface RunOptions extends StreamOptions {
    onStdout?: (text: string) => unknown;
    onStderr?: (text: string) => unknown;
    onItem?: (item: Item) => unknown;
    onInput?: (request: InputRequest) => string | Promise<string>;
    onEvent?: (event: Event) => unknown;
}
/** Talks to a server. `url` and `token` come from POLYREPL_URL and POLYREPL_TOKEN where there is an environment. */
export declare class Client {
    #private;
    readonly contexts: Contexts;
    readonly executions: Executions;
    readonly checkpoints: Checkpoints;
    readonly packages: Packages;
    readonly files: Files;
    constructor(options?: ClientOptions);
    get url(): string;
    /** Run code and return its result, also when the code failed: see `Result.error` and `Result.orThrow`. */
    runCode(code: string, options?: RunOptions): Promise<Result>;
    /** Run code and iterate over its events as they happen. A connection that breaks is made anew, and no event is lost. */
    stream(code: string, options?: StreamOptions): EventStream;
    languages(options?: CallOptions): Promise<LanguageInfo[]>;
    /** Whether the server lives, and its version. */
    health(options?: CallOptions): Promise<Health>;
}
