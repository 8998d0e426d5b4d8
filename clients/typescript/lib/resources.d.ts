/** What the client calls by what it is about: contexts, executions, checkpoints, packages, files. */
import { type ContextOptions, type StreamOptions } from './calls.js';
import { type Body, type Call, type CallOptions, type Http } from './http.js';
import { Result } from './result.js';
import { EventStream } from './stream.js';
import type { BranchInfo, CheckpointInfo, Completeness, Completions, ContextInfo, FileInfo, FileList, Inspection, InstallationResult, Status, VariableList } from './types.js';
/** Which of a context's languages is meant, where it has several. */
export interface LanguageOptions extends CallOptions {
    language?: string;
}
declare class Resource {
    protected readonly http: Http;
    constructor(http: Http);
    protected read<Value>(path: string, options?: CallOptions, query?: Call['query']): Promise<Value>;
    protected post<Value>(path: string, options?: CallOptions, call?: Partial<Call>): Promise<Value>;
    protected remove(path: string, options?: CallOptions, query?: Call['query']): Promise<void>;
}
/** The places where code runs. */
export declare class Contexts extends Resource {
    /** Make a context, or find the one of that id, and return when its kernel is ready. */
    create(options?: LanguageOptions & ContextOptions & {
        contextId?: string;
        cwd?: string;
    }): Promise<ContextInfo>;
    list(options?: CallOptions): Promise<ContextInfo[]>;
    get(contextId: string, options?: LanguageOptions): Promise<ContextInfo>;
    /** End it, with its processes and its working directory. */
    delete(contextId: string, options?: LanguageOptions): Promise<void>;
    /** Replace its kernel by a fresh one. */
    restart(contextId: string, options?: LanguageOptions): Promise<ContextInfo>;
    /** Stop what runs in it, and return the ids of that; the state is kept. */
    interrupt(contextId: string, options?: LanguageOptions): Promise<string[]>;
    /** Its executions as a notebook, a script, or a page (`kind`). */
    export(contextId: string, options?: LanguageOptions & {
        kind?: 'ipynb' | 'py' | 'ts' | 'html';
    }): Promise<Uint8Array>;
    /** Make a new context with the whole live state of this one, or of one of its checkpoints. */
    fork(contextId: string, options?: LanguageOptions & {
        newId?: string;
        checkpoint?: string;
        force?: boolean;
    }): Promise<BranchInfo>;
    /** Have it go on from a checkpoint, which stays usable. */
    restore(contextId: string, checkpoint: string, options?: CallOptions): Promise<ContextInfo>;
    /** What its user has named: `limit` names after the name `after` that contain `match`. */
    variables(contextId: string, options?: LanguageOptions & {
        limit?: number;
        after?: string;
        match?: string;
    }): Promise<VariableList>;
    /** How code could go on at the cursor (in characters, not UTF-16 units; the end by default). */
    complete(contextId: string, code: string, options?: LanguageOptions & {
        cursor?: number;
    }): Promise<Completions>;
    /** What is known of the name at the cursor; with `detail` also its source. */
    inspect(contextId: string, code: string, options?: LanguageOptions & {
        cursor?: number;
        detail?: boolean;
    }): Promise<Inspection>;
    /** Whether code can be run as it is, or more lines must follow. */
    isComplete(contextId: string, code: string, options?: LanguageOptions): Promise<Completeness>;
}
/** Code that runs or has run. */
export declare class Executions extends Resource {
    /** Run code and return at once; `get`, `events` and `wait` tell how it goes on. */
    start(code: string, options?: StreamOptions): Promise<Result>;
    /** The execution as it stands now. */
    get(executionId: string, options?: CallOptions): Promise<Result>;
    /** Its events numbered above `after`, to its end. */
    events(executionId: string, options?: CallOptions & {
        after?: number;
    }): EventStream;
    /** The result, when it has ended. */
    wait(executionId: string, options?: CallOptions): Promise<Result>;
    /** Stop it, running or waiting; the state of its context is kept. */
    interrupt(executionId: string, options?: CallOptions): Promise<{
        execution_id: string;
        status: Status;
    }>;
    /** Answer its input(). */
    input(executionId: string, value: string, options?: CallOptions): Promise<void>;
}
/** States of contexts that one can return to. */
export declare class Checkpoints extends Resource {
    create(contextId: string, options?: LanguageOptions & {
        name?: string;
        force?: boolean;
    }): Promise<CheckpointInfo>;
    list(contextId: string, options?: LanguageOptions): Promise<CheckpointInfo[]>;
    delete(contextId: string, checkpoint: string, options?: CallOptions): Promise<void>;
}
/** Packages of contexts. */
export declare class Packages extends Resource {
    /** Install packages; how that ended is in the result. `onOutput` gets what pip or npm prints, as it comes. */
    install(contextId: string, packages: string[], options?: LanguageOptions & {
        timeoutMs?: number;
        onOutput?: (text: string) => unknown;
    }): Promise<InstallationResult>;
}
/** The files in contexts' working directories; paths are relative to it. What is on its way may be so for an hour (`deadlineMs`). */
export declare class Files extends Resource {
    #private;
    /** What is in a directory: `limit` paths after the path `after`. */
    list(contextId: string, options?: LanguageOptions & {
        path?: string;
        recursive?: boolean;
        limit?: number;
        after?: string;
    }): Promise<FileList>;
    /** Write a file from bytes, text, a Blob (Node: `fs.openAsBlob(path)`) or a stream. With a `language` the context is made where there is none. */
    upload(contextId: string, path: string, content: Body | string, options?: LanguageOptions): Promise<FileInfo>;
    /** A file's content. */
    download(contextId: string, path: string, options?: LanguageOptions): Promise<Uint8Array>;
    /** A file's content as it comes, for what is large. */
    stream(contextId: string, path: string, options?: LanguageOptions): Promise<ReadableStream<Uint8Array>>;
    delete(contextId: string, path: string, options?: LanguageOptions & {
        recursive?: boolean;
    }): Promise<void>;
}
export {};
