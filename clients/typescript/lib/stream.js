/* @ts-self-types="./stream.d.ts" */
/** The events of an execution. */
import { execution, rest } from './calls.js';
import { PolyreplError } from './errors.js';
import { Result } from './result.js';
/**
 * The events of an execution, to its end. `executionId` is known from the first event on.
 *
 * Leaving the loop, or an abort of the signal, ends the reading; the execution goes on: `interrupt` stops it.
 */
export class EventStream {
    #progress;
    #events;
    #http;
    constructor(http, call, progress) {
        this.#progress = progress;
        this.#events = http.events(call, 'done', progress);
        this.#http = http;
    }
    get executionId() {
        return this.#progress.executionId;
    }
    get lastEventId() {
        return this.#progress.lastEventId;
    }
    [Symbol.asyncIterator]() {
        return this.#events;
    }
    /** Stop the execution; the state of its context is kept. */
    async interrupt(options = {}) {
        const path = execution(this.#id(), 'interrupt');
        await this.#http.json({ method: 'POST', path, isRepeatable: true, ...rest(options) });
    }
    /** Answer an input_request event. */
    async provideInput(value, options = {}) {
        const path = execution(this.#id(), 'input');
        await this.#http.empty({ method: 'POST', path, json: { value }, ...rest(options) });
    }
    /** The execution as it stands now. */
    async result(options = {}) {
        const path = execution(this.#id());
        return new Result(await this.#http.json({ method: 'GET', path, isRepeatable: true, ...rest(options) }));
    }
    #id() {
        if (this.executionId === undefined) {
            throw new PolyreplError('The execution has no id before its first event', 'NotStarted', 'Read an event first.');
        }
        return this.executionId;
    }
}
