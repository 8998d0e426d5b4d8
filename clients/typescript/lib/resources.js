/* @ts-self-types="./resources.d.ts" */
/** What the client calls by what it is about: contexts, executions, checkpoints, packages, files. */
import { executeCall, execution, file, place, rest, SLACK_MS } from './calls.js';
import { UnexpectedAnswer } from './errors.js';
import { Progress } from './http.js';
import { Result } from './result.js';
import { EventStream } from './stream.js';
const LONG_MS = 3_600_000;
const INSTALLATION_MS = 300_000;
class Resource {
    http;
    constructor(http) {
        this.http = http;
    }
    read(path, options = {}, query = {}) {
        return this.http.json({ method: 'GET', path, query, isRepeatable: true, ...rest(options) });
    }
    post(path, options = {}, call = {}) {
        return this.http.json({ method: 'POST', path, ...call, ...rest(options) });
    }
    remove(path, options = {}, query = {}) {
        return this.http.empty({ method: 'DELETE', path, query, ...rest(options) });
    }
}
/** The places where code runs. */
export class Contexts extends Resource {
    /** Make a context, or find the one of that id, and return when its kernel is ready. */
    create(options = {}) {
        const { language, contextId, cwd, limits, isolation, network } = options;
        const json = { language, context_id: contextId, cwd, limits, isolation, network };
        return this.post('/contexts', options, { json, isRepeatable: options.contextId !== undefined });
    }
    async list(options) {
        return (await this.read('/contexts', options)).items;
    }
    get(contextId, options = {}) {
        return this.read(place(contextId), options, { language: options.language });
    }
    /** End it, with its processes and its working directory. */
    delete(contextId, options = {}) {
        return this.remove(place(contextId), options, { language: options.language });
    }
    /** Replace its kernel by a fresh one. */
    restart(contextId, options = {}) {
        return this.post(place(contextId, 'restart'), options, { query: { language: options.language } });
    }
    /** Stop what runs in it, and return the ids of that; the state is kept. */
    async interrupt(contextId, options = {}) {
        const call = { query: { language: options.language } };
        return (await this.post(place(contextId, 'interrupt'), options, call)).executions;
    }
    /** Its executions as a notebook, a script, or a page (`kind`). */
    export(contextId, options = {}) {
        const query = { format: options.kind, language: options.language };
        const limits = rest({ deadlineMs: LONG_MS, ...options });
        return joined(this.http.bytes({ method: 'GET', path: place(contextId, 'export'), query, ...limits }));
    }
    /** Make a new context with the whole live state of this one, or of one of its checkpoints. */
    fork(contextId, options = {}) {
        const { newId, language, checkpoint, force } = options;
        return this.post(place(contextId, 'fork'), options, { json: { context_id: newId, language, checkpoint, force } });
    }
    /** Have it go on from a checkpoint, which stays usable. */
    restore(contextId, checkpoint, options) {
        return this.post(place(contextId, 'restore'), options, { json: { checkpoint } });
    }
    /** What its user has named: `limit` names after the name `after` that contain `match`. */
    variables(contextId, options = {}) {
        const { language, limit, after, match } = options;
        return this.read(place(contextId, 'variables'), options, { language, limit, after, match });
    }
    /** How code could go on at the cursor (in characters, not UTF-16 units; the end by default). */
    complete(contextId, code, options = {}) {
        const json = { code, cursor: options.cursor, language: options.language };
        return this.post(place(contextId, 'complete'), options, { json, isRepeatable: true });
    }
    /** What is known of the name at the cursor; with `detail` also its source. */
    inspect(contextId, code, options = {}) {
        const json = { code, cursor: options.cursor, detail: options.detail, language: options.language };
        return this.post(place(contextId, 'inspect'), options, { json, isRepeatable: true });
    }
    /** Whether code can be run as it is, or more lines must follow. */
    isComplete(contextId, code, options = {}) {
        const json = { code, language: options.language };
        return this.post(place(contextId, 'is_complete'), options, { json, isRepeatable: true });
    }
}
/** Code that runs or has run. */
export class Executions extends Resource {
    /** Run code and return at once; `get`, `events` and `wait` tell how it goes on. */
    async start(code, options = {}) {
        const call = executeCall(code, options, { prefer: 'respond-async' });
        return new Result(await this.http.json(call));
    }
    /** The execution as it stands now. */
    async get(executionId, options) {
        return new Result(await this.read(execution(executionId), options));
    }
    /** Its events numbered above `after`, to its end. */
    events(executionId, options = {}) {
        const call = { method: 'GET', path: '', isRepeatable: true, ...rest({ deadlineMs: LONG_MS, ...options }) };
        return new EventStream(this.http, call, new Progress(executionId, options.after ?? 0));
    }
    /** The result, when it has ended. */
    async wait(executionId, options = {}) {
        for await (const event of this.events(executionId, options))
            void event;
        return this.get(executionId, options);
    }
    /** Stop it, running or waiting; the state of its context is kept. */
    interrupt(executionId, options) {
        return this.post(execution(executionId, 'interrupt'), options, { isRepeatable: true });
    }
    /** Answer its input(). */
    async input(executionId, value, options = {}) {
        const path = execution(executionId, 'input');
        await this.http.empty({ method: 'POST', path, json: { value }, ...rest(options) });
    }
}
/** States of contexts that one can return to. */
export class Checkpoints extends Resource {
    create(contextId, options = {}) {
        const { name, language, force } = options;
        return this.post(place(contextId, 'checkpoints'), options, { json: { name, language, force } });
    }
    async list(contextId, options = {}) {
        const path = place(contextId, 'checkpoints');
        return (await this.read(path, options, { language: options.language })).items;
    }
    delete(contextId, checkpoint, options) {
        return this.remove(place(contextId, 'checkpoints', checkpoint), options);
    }
}
/** Chunks as one. */
async function joined(source) {
    const chunks = [];
    for await (const chunk of source)
        chunks.push(chunk);
    const content = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0));
    let at = 0;
    for (const chunk of chunks) {
        content.set(chunk, at);
        at += chunk.length;
    }
    return content;
}
/** Packages of contexts. */
export class Packages extends Resource {
    /** Install packages; how that ended is in the result. `onOutput` gets what pip or npm prints, as it comes. */
    async install(contextId, packages, options = {}) {
        const { language, timeoutMs, onOutput } = options;
        const path = place(contextId, 'packages');
        const json = { packages, language, timeout_ms: timeoutMs };
        const limits = rest({ deadlineMs: (timeoutMs ?? INSTALLATION_MS) + SLACK_MS, ...options });
        if (!onOutput)
            return this.http.json({ method: 'POST', path, json, ...limits });
        const call = { method: 'POST', path, json, ...limits };
        for await (const event of this.http.events(call, 'installed', new Progress())) {
            if (event.type === 'stdout' || event.type === 'stderr')
                await onOutput(event.text);
            else if (event.type === 'installed')
                return event.result;
        }
        throw new UnexpectedAnswer('The stream had no end');
    }
}
/** The files in contexts' working directories; paths are relative to it. What is on its way may be so for an hour (`deadlineMs`). */
export class Files extends Resource {
    /** What is in a directory: `limit` paths after the path `after`. */
    list(contextId, options = {}) {
        const { path, recursive, limit, after, language } = options;
        return this.read(place(contextId, 'files'), options, { path, recursive, limit, after, language });
    }
    /** Write a file from bytes, text, a Blob (Node: `fs.openAsBlob(path)`) or a stream. With a `language` the context is made where there is none. */
    upload(contextId, path, content, options = {}) {
        return this.http.json({
            method: 'PUT',
            path: file(contextId, path),
            query: { language: options.language },
            body: typeof content === 'string' ? new TextEncoder().encode(content) : content,
            isRepeatable: true,
            ...rest({ deadlineMs: LONG_MS, ...options }),
        });
    }
    /** A file's content. */
    download(contextId, path, options = {}) {
        return joined(this.#read(contextId, path, options));
    }
    /** A file's content as it comes, for what is large. */
    async stream(contextId, path, options = {}) {
        const stopping = new AbortController();
        const signal = options.signal ? AbortSignal.any([options.signal, stopping.signal]) : stopping.signal;
        const chunks = this.#read(contextId, path, { ...options, signal });
        let next = chunks.next();
        await next; // what is wrong with the request is told at once
        return new ReadableStream({
            async pull(queue) {
                const { done, value } = await (next ?? chunks.next());
                next = undefined;
                if (done)
                    queue.close();
                else
                    queue.enqueue(value);
            },
            async cancel(reason) {
                stopping.abort(reason);
                await chunks.return();
            },
        });
    }
    delete(contextId, path, options = {}) {
        return this.remove(file(contextId, path), options, { recursive: options.recursive, language: options.language });
    }
    #read(contextId, path, options) {
        const query = { language: options.language };
        const limits = rest({ deadlineMs: LONG_MS, ...options });
        return this.http.bytes({ method: 'GET', path: file(contextId, path), query, ...limits });
    }
}
