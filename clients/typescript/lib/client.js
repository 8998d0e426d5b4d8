/* @ts-self-types="./client.d.ts" */
/** The client: one method for each thing that the API can do. */
import { executeCall, rest } from './calls.js';
import { Http, Progress } from './http.js';
import { Checkpoints, Contexts, Executions, Files, Packages } from './resources.js';
import { Result } from './result.js';
import { EventStream } from './stream.js';
/** Talks to a server. `url` and `token` come from POLYREPL_URL and POLYREPL_TOKEN where there is an environment. */
export class Client {
    contexts;
    executions;
    checkpoints;
    packages;
    files;
    #http;
    constructor(options = {}) {
        this.#http = new Http(options);
        this.contexts = new Contexts(this.#http);
        this.executions = new Executions(this.#http);
        this.checkpoints = new Checkpoints(this.#http);
        this.packages = new Packages(this.#http);
        this.files = new Files(this.#http);
    }
    get url() {
        return this.#http.url;
    }
    /** Run code and return its result, also when the code failed: see `Result.error` and `Result.orThrow`. */
    async runCode(code, options = {}) {
        const { onStdout, onStderr, onItem, onInput, onEvent, ...wishes } = options;
        if (!(onStdout ?? onStderr ?? onItem ?? onInput ?? onEvent)) {
            return new Result(await this.#http.json(executeCall(code, wishes)));
        }
        // Where nobody answers, input() is told so at once.
        const stream = this.stream(code, onInput ? wishes : { stdin: [], ...wishes });
        for await (const event of stream) {
            await onEvent?.(event);
            if (event.type === 'stdout')
                await onStdout?.(event.text);
            else if (event.type === 'stderr')
                await onStderr?.(event.text);
            else if (event.type === 'item' || event.type === 'item_update')
                await onItem?.(event.item);
            else if (event.type === 'input_request' && onInput)
                await stream.provideInput(await onInput(event));
        }
        return stream.result();
    }
    /** Run code and iterate over its events as they happen. A connection that breaks is made anew, and no event is lost. */
    stream(code, options = {}) {
        return new EventStream(this.#http, executeCall(code, options), new Progress());
    }
    async languages(options = {}) {
        const call = { method: 'GET', path: '/languages', isRepeatable: true, ...rest(options) };
        return (await this.#http.json(call)).items;
    }
    /** Whether the server lives, and its version. */
    health(options = {}) {
        return this.#http.json({ method: 'GET', path: '/health', isRepeatable: true, ...rest(options) });
    }
}
