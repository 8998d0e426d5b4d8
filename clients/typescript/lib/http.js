/* @ts-self-types="./http.d.ts" */
/** Calls over `fetch`: one answer, or a stream of events or of a file's bytes that survives its connections. */
import { Attempts } from './attempts.js';
import { ConnectionFailed, errorOf, PolyreplError, UnexpectedAnswer } from './errors.js';
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
    /** Send a call, again where that is safe, and return what `read` finds in the answer. Rejects with a PolyreplError, or the signal's reason. */
    async send(call, read) {
        if (call.body instanceof ReadableStream)
            return this.#sendOnce({ ...call, body: call.body }, read);
        const attempts = this.#attempts(call, call.isRepeatable ?? false);
        for (;;) {
            const answer = await this.#answer(call, attempts, read);
            if (!(answer instanceof PolyreplError))
                return answer;
            await attempts.pause(answer);
        }
    }
    /** A stream is used up by the first attempt. Not every `fetch` lets go of one that it has begun to read when it fails: so we do. */
    async #sendOnce(call, read) {
        const source = call.body.getReader();
        const body = new ReadableStream({
            async pull(queue) {
                const { done, value } = await source.read();
                if (done)
                    queue.close();
                else
                    queue.enqueue(value);
            },
        });
        try {
            const answer = await this.#answer({ ...call, body }, this.#attempts(call, false), read);
            if (answer instanceof PolyreplError)
                throw answer;
            return answer;
        }
        catch (error) {
            source.cancel(error).catch(() => undefined);
            throw error;
        }
    }
    /** Send a call and return what the JSON of its answer holds. */
    json(call) {
        return this.send(call, (response) => jsonOf(response));
    }
    /** Send a call whose answer says nothing. */
    empty(call) {
        return this.send(call, async (response) => void (await response.body?.cancel()));
    }
    /**
     * The events of a call up to the one of type `last`. An execution is a resource of the server: after a break its events are
     * asked for from the last number on, and none is lost. A call that is not repeatable breaks with its connection.
     */
    async *events(call, last, progress) {
        const attempts = this.#attempts(call, call.isRepeatable ?? false);
        for (;;) {
            const response = await this.#answer(this.#next(call, progress), attempts, asItIs);
            if (response instanceof PolyreplError) {
                await attempts.pause(response);
                continue;
            }
            if (response.status === 204)
                return; // all was read before
            if (!response.headers.get('content-type')?.startsWith(STREAM)) {
                throw new UnexpectedAnswer('The answer is no stream of events', response.status);
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
    /**
     * The bytes of a file. After a break the rest is asked for; that fails where the file is another by then. `signal` ends it.
     */
    async *bytes(call) {
        const attempts = this.#attempts(call, true);
        const headers = {};
        let received = 0;
        for (;;) {
            const response = await this.#answer({ ...call, headers }, attempts, asItIs);
            if (response instanceof PolyreplError) {
                await attempts.pause(response);
                continue;
            }
            if (received > 0 && response.status !== 206) {
                await response.body?.cancel();
                throw new PolyreplError('The file was changed while it was read', 'FileChanged', 'Read it again.');
            }
            // Compressed by a proxy, it has no length that says anything, and no parts.
            const isPlain = response.headers.get('content-encoding') === null;
            const length = isPlain ? response.headers.get('content-length') : null;
            const end = length === null ? undefined : received + Number(length);
            const etag = isPlain ? response.headers.get('etag') : null;
            let problem;
            const chunks = read(response, attempts.signal);
            try {
                for await (const chunk of guarded(chunks, (error) => (problem = attempts.failure(error)))) {
                    attempts.noteProgress();
                    received += chunk.length;
                    yield chunk;
                }
            }
            finally {
                await chunks.return();
            }
            if (end !== undefined && received < end)
                problem ??= new ConnectionFailed('The answer ended before the file did');
            if (!problem)
                return;
            if (received > 0 && etag === null)
                throw problem;
            if (received > 0)
                Object.assign(headers, { range: `bytes=${received}-`, 'if-range': etag });
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
    /** One attempt: what `read` finds in the answer, or what is wrong with it. */
    async #answer(call, attempts, read) {
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
            return response.ok || (await isExecution(response)) ? await read(response) : await errorOf(response);
        }
        catch (error) {
            return error instanceof PolyreplError ? error : attempts.failure(error);
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
async function asItIs(response) {
    return response;
}
async function jsonOf(response) {
    const text = await response.text();
    try {
        return JSON.parse(text);
    }
    catch {
        throw new UnexpectedAnswer('The answer is no JSON', response.status);
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
