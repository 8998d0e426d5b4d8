/** The events of an execution. */

import { execution, rest } from './calls.ts';
import { PolyreplError } from './errors.ts';
import type { Call, CallOptions, Http, Progress } from './http.ts';
import { Result } from './result.ts';
import type { Event } from './types.ts';

/**
 * The events of an execution, to its end. `executionId` is known from the first event on.
 *
 * Leaving the loop, or an abort of the signal, ends the reading; the execution goes on: `interrupt` stops it.
 */
export class EventStream implements AsyncIterable<Event> {
  readonly #progress: Progress;
  readonly #events: AsyncGenerator<Event, void, void>;
  readonly #http: Http;

  constructor(http: Http, call: Call, progress: Progress) {
    this.#progress = progress;
    this.#events = http.events<Event>(call, 'done', progress);
    this.#http = http;
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
  async interrupt(options: CallOptions = {}): Promise<void> {
    const path = execution(this.#id(), 'interrupt');
    await this.#http.json({ method: 'POST', path, isRepeatable: true, ...rest(options) });
  }

  /** Answer an input_request event. */
  async provideInput(value: string, options: CallOptions = {}): Promise<void> {
    const path = execution(this.#id(), 'input');
    await this.#http.empty({ method: 'POST', path, json: { value }, ...rest(options) });
  }

  /** The execution as it stands now. */
  async result(options: CallOptions = {}): Promise<Result> {
    const path = execution(this.#id());
    return new Result(await this.#http.json({ method: 'GET', path, isRepeatable: true, ...rest(options) }));
  }

  #id(): string {
    if (this.executionId === undefined) {
      throw new PolyreplError('The execution has no id before its first event', 'NotStarted', 'Read an event first.');
    }
    return this.executionId;
  }
}
