/** What a client rejects with: the server's errors by their code, and what can go wrong on the way to it. */

import type { ErrorInfo, Obstacle } from './types.ts';

/** Base of all. `code`: a name for programs; `remediation`: what to do about it; `cause`: what was below it, if anything. */
export class PolyreplError extends Error {
  readonly code: string;
  readonly remediation: string;

  constructor(message: string, code: string, remediation: string, cause?: unknown) {
    super(message, { cause });
    this.name = code;
    this.code = code;
    this.remediation = remediation;
  }
}

export interface ApiErrorDetails {
  status: number;
  code: string;
  remediation: string;
  retryAfterMs?: number;
  fields: { field: string; error: string }[];
  obstacles: Obstacle[];
}

/** The server answered with an error; `code` is its name there, such as ContextNotFound. */
export class ApiError extends PolyreplError {
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  /** The fields of the request that are wrong. */
  readonly fields: readonly { field: string; error: string }[];
  /** What of a context's state cannot be copied. */
  readonly obstacles: readonly Obstacle[];

  constructor(message: string, details: ApiErrorDetails) {
    super(message, details.code, details.remediation);
    this.status = details.status;
    this.retryAfterMs = details.retryAfterMs;
    this.fields = details.fields;
    this.obstacles = details.obstacles;
  }
}

/** The server could not be reached, or the connection broke and repeating the request was not safe, or not enough. */
export class ConnectionFailed extends PolyreplError {
  constructor(message: string, cause?: unknown) {
    super(message, 'ConnectionFailed', 'Look whether the server runs, and whether the url is right.', cause);
  }
}

/** The client's own deadline passed. What was started on the server may still run. */
export class DeadlineExceeded extends PolyreplError {
  constructor(milliseconds: number) {
    const remediation = 'Give a longer deadlineMs; an execution goes on, and can be read again by its id or interrupted.';
    super(`No answer within ${milliseconds} ms`, 'DeadlineExceeded', remediation);
  }
}

/** What answered is no server of this API. */
export class UnexpectedAnswer extends PolyreplError {
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message, 'UnexpectedAnswer', "Look whether the url leads to a polyrepl server, and not to a proxy's page.");
    this.status = status;
  }
}

/** The code itself failed; thrown only by `Result.orThrow`. */
export class CodeFailed extends PolyreplError {
  readonly error: ErrorInfo;

  constructor(error: ErrorInfo) {
    super(`${error.name}: ${error.value}`, error.name, error.hint ?? '');
    this.error = error;
  }
}

/** The error that an answer tells. */
export async function errorOf(response: Response): Promise<PolyreplError> {
  const { status } = response;
  const text = await response.text();
  try {
    const problem = JSON.parse(text) as Record<string, unknown>;
    if (typeof problem.message !== 'string') throw new TypeError('no message');
    const fields = (problem.errors ?? []) as { field: string; error: string }[];
    const named = fields.map((each) => `${each.field}: ${each.error}`).join('; ');
    const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
    return new ApiError(named ? `${problem.message}: ${named}` : problem.message, {
      status,
      code: typeof problem.code === 'string' ? problem.code : 'ApiError',
      remediation: typeof problem.remediation === 'string' ? problem.remediation : '',
      retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : undefined,
      fields,
      obstacles: (problem.obstacles ?? []) as Obstacle[],
    });
  } catch {
    return new UnexpectedAnswer(`${status} with a body that is not of this API`, status);
  }
}
