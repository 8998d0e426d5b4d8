/** Calls over `fetch`: one answer, or a stream of events or of a file's bytes that survives its connections. */
/** What every call takes besides. `deadlineMs`: for all of it, with what is sent again. */
export interface CallOptions {
    signal?: AbortSignal;
    deadlineMs?: number;
}
export interface ClientOptions {
    url?: string;
    token?: string;
    /** How often in a row a request is sent again that was refused for now, or whose connection broke, where that does no harm. */
    retries?: number;
    fetch?: typeof fetch;
}
export type Body = Uint8Array | Blob | ReadableStream<Uint8Array>;
export interface Call {
    method: 'GET' | 'POST' | 'PUT' | 'DELETE';
    path: string;
    query?: Record<string, string | number | boolean | undefined>;
    headers?: Record<string, string>;
    json?: unknown;
    body?: Body;
    isRepeatable?: boolean;
    deadlineMs: number;
    signal?: AbortSignal;
}
/** An event as far as the transport looks at it. */
interface Numbered {
    id: number;
    type: string;
    execution_id?: string;
}
export declare class Http {
    #private;
    readonly url: string;
    constructor(options: ClientOptions);
    /** Send a call, again where that is safe, and return what `read` finds in the answer. Rejects with a PolyreplError, or the signal's reason. */
    send<Value>(call: Call, read: (response: Response) => Promise<Value>): Promise<Value>;
    /** Send a call and return what the JSON of its answer holds. */
    json<Value>(call: Call): Promise<Value>;
    /** Send a call whose answer says nothing. */
    empty(call: Call): Promise<void>;
    /**
     * The events of a call up to the one of type `last`. An execution is a resource of the server: after a break its events are
     * asked for from the last number on, and none is lost. A call that is not repeatable breaks with its connection.
     */
    events<Event extends Numbered>(call: Call, last: string, progress: Progress): AsyncGenerator<Event, void, void>;
    /**
     * The bytes of a file. After a break the rest is asked for; that fails where the file is another by then. `signal` ends it.
     */
    bytes(call: Call): AsyncGenerator<Uint8Array, void, void>;
}
/** How far a stream has been read. */
export declare class Progress {
    executionId: string | undefined;
    lastEventId: number;
    constructor(executionId?: string, lastEventId?: number);
}
export {};
