/** The events of an execution. */
import type { Call, CallOptions, Http, Progress } from './http.js';
import { Result } from './result.js';
import type { Event } from './types.js';
/**
 * The events of an execution, to its end. `executionId` is known from the first event on.
 *
 * Leaving the loop, or an abort of the signal, ends the reading; the execution goes on: `interrupt` stops it.
 */
export declare class EventStream implements AsyncIterable<Event> {
    #private;
    constructor(http: Http, call: Call, progress: Progress);
    get executionId(): string | undefined;
    get lastEventId(): number;
    [Symbol.asyncIterator](): AsyncGenerator<Event, void, void>;
    /** Stop the execution; the state of its context is kept. */
    interrupt(options?: CallOptions): Promise<void>;
    /** Answer an input_request event. */
    provideInput(value: string, options?: CallOptions): Promise<void>;
    /** The execution as it stands now. */
    result(options?: CallOptions): Promise<Result>;
}
