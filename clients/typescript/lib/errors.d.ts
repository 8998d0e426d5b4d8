/** What a client rejects with: the server's errors by their code, and what can go wrong on the way to it. */
import type { ErrorInfo, Obstacle } from './types.js';
/** Base of all. `code`: a name for programs; `remediation`: what to do about it; `cause`: what was below it, if anything. */
export declare class PolyreplError extends Error {
    readonly code: string;
    readonly remediation: string;
    constructor(message: string, code: string, remediation: string, cause?: unknown);
}
export interface ApiErrorDetails {
    status: number;
    code: string;
    remediation: string;
    retryAfterMs?: number;
    fields: {
        field: string;
        error: string;
    }[];
    obstacles: Obstacle[];
}
/** The server answered with an error; `code` is its name there, such as ContextNotFound. */
export declare class ApiError extends PolyreplError {
    readonly status: number;
    readonly retryAfterMs: number | undefined;
    /** The fields of the request that are wrong. */
    readonly fields: readonly {
        field: string;
        error: string;
    }[];
    /** What of a context's state cannot be copied. */
    readonly obstacles: readonly Obstacle[];
    constructor(message: string, details: ApiErrorDetails);
}
/** The server could not be reached, or the connection broke and repeating the request was not safe, or not enough. */
export declare class ConnectionFailed extends PolyreplError {
    constructor(message: string, cause?: unknown);
}
/** The client's own deadline passed. What was started on the server may still run. */
export declare class DeadlineExceeded extends PolyreplError {
    constructor(milliseconds: number);
}
/** What answered is no server of this API. */
export declare class UnexpectedAnswer extends PolyreplError {
    readonly status: number | undefined;
    constructor(message: string, status?: number);
}
/** The code itself failed; thrown only by `Result.orThrow`. */
export declare class CodeFailed extends PolyreplError {
    readonly error: ErrorInfo;
    constructor(error: ErrorInfo);
}
/** The error that an answer tells. */
export declare function errorOf(response: Response): Promise<PolyreplError>;
