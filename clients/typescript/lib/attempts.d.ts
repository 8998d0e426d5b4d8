/** When a request is sent again, and when it is given up. */
import { type PolyreplError } from './errors.js';
/** The attempts of one call within one deadline. Failures in a row are counted, `retries` are borne. */
export declare class Attempts {
    #private;
    readonly signal: AbortSignal;
    constructor(deadlineMs: number, options: {
        retries: number;
        isRepeatable: boolean;
        signal?: AbortSignal;
    });
    /** Something came: what fails next is a new failure. */
    noteProgress(): void;
    /** What a rejection of `fetch` means. Throws the reason where the caller's own signal was the cause. */
    failure(error: unknown): PolyreplError;
    /** Wait before the next attempt. Throws the error where there is none, or no time is left for it. */
    pause(error: PolyreplError): Promise<void>;
}
