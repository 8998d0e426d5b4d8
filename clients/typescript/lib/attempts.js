/* @ts-self-types="./attempts.d.ts" */
/** When a request is sent again, and when it is given up. */
import { ApiError, ConnectionFailed, DeadlineExceeded, UnexpectedAnswer } from './errors.js';
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 8000;
/** The attempts of one call within one deadline. Failures in a row are counted, `retries` are borne. */
export class Attempts {
    signal;
    #deadline;
    #end;
    #total;
    #retries;
    #isRepeatable;
    #failures = 0;
    constructor(deadlineMs, options) {
        this.#total = deadlineMs;
        this.#end = Date.now() + deadlineMs;
        this.#retries = options.retries;
        this.#isRepeatable = options.isRepeatable;
        this.#deadline = AbortSignal.timeout(deadlineMs);
        this.signal = options.signal ? AbortSignal.any([options.signal, this.#deadline]) : this.#deadline;
    }
    /** Something came: what fails next is a new failure. */
    noteProgress() {
        this.#failures = 0;
    }
    /** What a rejection of `fetch` means. Throws the reason where the caller's own signal was the cause. */
    failure(error) {
        if (this.#deadline.aborted)
            return new DeadlineExceeded(this.#total);
        if (this.signal.aborted)
            throw this.signal.reason;
        const below = error.cause?.message;
        return new ConnectionFailed(below ?? error.message ?? 'The connection broke', error);
    }
    /** Wait before the next attempt. Throws the error where there is none, or no time is left for it. */
    async pause(error) {
        if (this.#failures >= this.#retries || !this.#mayRepeat(error))
            throw error;
        const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures);
        this.#failures += 1;
        // A part of it by chance: clients that were refused together do not come back together.
        let milliseconds = longest * (0.5 + Math.random() / 2);
        if (error instanceof ApiError)
            milliseconds += error.retryAfterMs ?? 0;
        if (Date.now() + milliseconds >= this.#end)
            throw error;
        await this.#sleep(milliseconds);
    }
    #sleep(milliseconds) {
        return new Promise((resolve, reject) => {
            const stop = () => {
                clearTimeout(timer);
                reject(this.signal.reason);
            };
            const timer = setTimeout(() => {
                this.signal.removeEventListener('abort', stop);
                resolve();
            }, milliseconds);
            if (this.signal.aborted)
                stop();
            else
                this.signal.addEventListener('abort', stop, { once: true });
        });
    }
    /** A server that refuses (429), or that says itself that it goes down, has done nothing of it. */
    #mayRepeat(error) {
        if (error instanceof ConnectionFailed)
            return this.#isRepeatable;
        if (error instanceof ApiError) {
            return error.status === 429 || error.code === 'ShuttingDown' || (error.status === 503 && this.#isRepeatable);
        }
        // Of a proxy: nobody knows what has become of the request.
        return error instanceof UnexpectedAnswer && [502, 503, 504].includes(error.status ?? 0) && this.#isRepeatable;
    }
}
