/* @ts-self-types="./http.d.ts" */
/** Calls over `fetch`: one answer, or a stream of numbered events that survives its connections. */
import { Attempts } from './attempts.js';
import { ConnectionFailed, errorOf, UnexpectedAnswer } from './errors.js';
import { Decoder } from './sse.js';
const DEFAULT_URL = 'http://127.0.0.1:8000';
const STREAM = 'text/event-stream';
/** A server sends something every 5 s. */
const SILENCE_MS = 20_000;
export class Http {
    url;
    #headers;
    #retries;
    #fetch;
    constructor(options) {
        this.url = (options.url ?? variable('POLYREPL_URL') ?? DEFAULT_URL).replace(/\/+$/, '');
        const token = options.token ?? variable('POLYREPL_TOKEN');
        this.#headers = token ? { authorization: `Bearer ${token}` } : {};
        this.#retries = options.retries ?? 4;
        this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    }
    /** Send a call, again where that is safe, and return the answer. Rejects with a PolyreplError, or the signal's reason. */
    async send(call) {
        const attempts = this.#attempts(call, (call.isRepeatable ?? false) && !(call.body instanceof ReadableStream));
        for (;;) {
            const response = await this.#answer(call, attempts);
            if (response instanceof Response)
                return response;
            if (call.body instanceof ReadableStream)
                throw response; // it is used up
            await attempts.pause(response);
        }
    }
    /** Send a call and return what the JSON of its answer holds. */
    async json(call) {
        const response = await this.send(call);
        try {
            return (await response.json());
        }
        catch (error) {
            if (error instanceof SyntaxError)
                throw new UnexpectedAnswer('The answer is no JSON', response.status);
            throw error;
        }
    }
    /**
     * The events of a call up to the one of type `last`. An execution is a resource of the server: after a break its events are
     * asked for from the last number on, and none is lost. A call that is not repeatable breaks with its connection.
     */
    async *events(call, last, progress) {
        const attempts = this.#attempts(call, call.isRepeatable ?? false);
        for (;;) {
            const response = await this.#answer(this.#next(call, progress), attempts);
            if (!(response instanceof Response)) {
                await attempts.pause(response);
                continue;
            }
            const place = response.headers.get('location');
            if (place?.includes('/executions/'))
                progress.executionId = place.slice(place.lastIndexOf('/') + 1);
            const decoder = new Decoder();
            let problem = new ConnectionFailed('The stream ended before the execution did');
            const chunks = read(response, attempts.signal);
            try {
                for await (const chunk of guarded(chunks, (error) => (problem = attempts.failure(error)))) {
                    attempts.noteProgress();
                    for (const event of decoder.feed(chunk)) {
                        if (event.id <= progress.lastEventId)
                            continue;
                        progress.lastEventId = event.id;
                        if (event.type === 'started' && event.execution_id)
                            progress.executionId = event.execution_id;
                        yield event;
                        if (event.type === last)
                            return;
                    }
                }
            }
            finally {
                await chunks.return();
            }
            await attempts.pause(problem);
        }
    }
    #next(call, progress) {
        const headers = { accept: STREAM };
        if (call.isRepeatable)
            headers['last-event-id'] = String(progress.lastEventId);
        if (call.isRepeatable && progress.executionId !== undefined) {
            return { ...call, method: 'GET', path: `/executions/${progress.executionId}/events`, headers, json: undefined };
        }
        return { ...call, headers: { ...call.headers, ...headers } };
    }
    #attempts(call, isRepeatable) {
        return new Attempts(call.deadlineMs, { retries: this.#retries, isRepeatable, signal: call.signal });
    }
    /** One attempt: the answer, or what is wrong with it. */
    async #answer(call, attempts) {
        const headers = { ...this.#headers, ...call.headers };
        const init = { method: call.method, headers, signal: attempts.signal };
        if (call.json !== undefined) {
            headers['content-type'] = 'application/json';
            init.body = JSON.stringify(call.json);
        }
        else if (call.body !== undefined) {
            headers['content-type'] = 'application/octet-stream';
            init.body = call.body;
            if (call.body instanceof ReadableStream)
                init.duplex = 'half';
        }
        try {
            const response = await this.#fetch(this.url + call.path + query(call.query), init);
            return response.ok || (await isExecution(response)) ? response : await errorOf(response);
        }
        catch (error) {
            return attempts.failure(error);
        }
    }
}
/** How far a stream has been read. */
export class Progress {
    executionId;
    lastEventId;
    constructor(executionId, lastEventId = 0) {
        this.executionId = executionId;
        this.lastEventId = lastEventId;
    }
}
/** A kernel that could not be started is told by a 500 whose body is the execution. */
async function isExecution(response) {
    return response.status === 500 && (await response.clone().text()).includes('"execution_id"');
}
/** The chunks of a body; one that is silent for too long breaks. */
async function* read(response, signal) {
    const reader = response.body.getReader();
    const stop = () => void reader.cancel(signal.reason).catch(() => undefined);
    signal.addEventListener('abort', stop, { once: true });
    try {
        for (;;) {
            let timer;
            const silence = new Promise((_, reject) => {
                timer = setTimeout(() => reject(new Error(`The server was silent for ${SILENCE_MS} ms`)), SILENCE_MS);
            });
            const { done, value } = await Promise.race([reader.read(), silence]).finally(() => clearTimeout(timer));
            signal.throwIfAborted();
            if (done)
                return;
            yield value;
        }
    }
    finally {
        signal.removeEventListener('abort', stop);
        await reader.cancel().catch(() => undefined);
    }
}
/** The same chunks; an error of theirs is told, and ends them. */
async function* guarded(chunks, onError) {
    for (;;) {
        let next;
        try {
            next = await chunks.next();
        }
        catch (error) {
            onError(error);
            return;
        }
        if (next.done)
            return;
        yield next.value;
    }
}
function query(fields) {
    const given = Object.entries(fields ?? {}).filter(([, value]) => value !== undefined && value !== '');
    return given.length > 0 ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : '';
}
/** Of the environment, where there is one and it may be read. */
function variable(name) {
    try {
        return globalThis.process?.env?.[name] || undefined;
    }
    catch {
        return undefined;
    }
}
