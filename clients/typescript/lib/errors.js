/* @ts-self-types="./errors.d.ts" */
/** What a client rejects with: the server's errors by their code, and what can go wrong on the way to it. */
/** Base of all. `code`: a name for programs; `remediation`: what to do about it; `cause`: what was below it, if anything. */
export class PolyreplError extends Error {
    code;
    remediation;
    constructor(message, code, remediation, cause) {
        super(message, { cause });
        this.name = code;
        this.code = code;
        this.remediation = remediation;
    }
}
/** The server answered with an error; `code` is its name there, such as ContextNotFound. */
export class ApiError extends PolyreplError {
    status;
    retryAfterMs;
    /** The fields of the request that are wrong. */
    fields;
    /** What of a context's state cannot be copied. */
    obstacles;
    constructor(message, details) {
        super(message, details.code, details.remediation);
        this.status = details.status;
        this.retryAfterMs = details.retryAfterMs;
        this.fields = details.fields;
        this.obstacles = details.obstacles;
    }
}
/** The server could not be reached, or the connection broke and repeating the request was not safe, or not enough. */
export class ConnectionFailed extends PolyreplError {
    constructor(message, cause) {
        super(message, 'ConnectionFailed', 'Look whether the server runs, and whether the url is right.', cause);
    }
}
/** The client's own deadline passed. What was started on the server may still run. */
export class DeadlineExceeded extends PolyreplError {
    constructor(milliseconds) {
        const remediation = 'Give a longer deadlineMs; an execution goes on, and can be read again by its id or interrupted.';
        super(`No answer within ${milliseconds} ms`, 'DeadlineExceeded', remediation);
    }
}
/** What answered is no server of this API. */
export class UnexpectedAnswer extends PolyreplError {
    status;
    constructor(message, status) {
        super(message, 'UnexpectedAnswer', "Look whether the url leads to a polyrepl server, and not to a proxy's page.");
        this.status = status;
    }
}
/** The code itself failed; thrown only by `Result.orThrow`. */
export class CodeFailed extends PolyreplError {
    error;
    constructor(error) {
        super(`${error.name}: ${error.value}`, error.name, error.hint ?? '');
        this.error = error;
    }
}
/** The error that an answer tells. */
export async function errorOf(response) {
    const { status } = response;
    const text = await response.text();
    try {
        const problem = JSON.parse(text);
        if (typeof problem.message !== 'string')
            throw new TypeError('no message');
        const fields = (problem.errors ?? []);
        const named = fields.map((each) => `${each.field}: ${each.error}`).join('; ');
        const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
        return new ApiError(named ? `${problem.message}: ${named}` : problem.message, {
            status,
            code: typeof problem.code === 'string' ? problem.code : 'ApiError',
            remediation: typeof problem.remediation === 'string' ? problem.remediation : '',
            retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : undefined,
            fields,
            obstacles: (problem.obstacles ?? []),
        });
    }
    catch {
        return new UnexpectedAnswer(`${status} with a body that is not of this API`, status);
    }
}
