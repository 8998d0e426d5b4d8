/* @ts-self-types="./calls.d.ts" */
/** The requests as values: their paths, their defaults, and code to run. */
/** For what is no execution: a queue, a kernel's start, the way there and back. */
export const SLACK_MS = 60_000;
const EXECUTION_MS = 30_000;
/** With its key (Idempotency-Key) a request may be sent again, and the code runs once. */
export function executeCall(code, options, headers = {}) {
    return {
        method: 'POST',
        path: '/execute',
        headers: { 'idempotency-key': options.idempotencyKey ?? newKey(), ...headers },
        json: {
            code,
            language: options.language,
            context_id: options.contextId,
            env_vars: options.envVars,
            timeout_ms: options.timeoutMs,
            stdin: options.stdin,
            variables: options.variables,
            checkpoint: options.checkpoint,
            on_error: options.rollback ? 'rollback' : undefined,
            data: options.data,
            check: options.check,
            files: options.files,
            max_output_bytes: options.maxOutputBytes,
            limits: options.limits,
            isolation: options.isolation,
            network: options.network,
        },
        isRepeatable: true,
        deadlineMs: options.deadlineMs ?? (options.timeoutMs ?? EXECUTION_MS) + SLACK_MS,
        signal: options.signal,
    };
}
/** `crypto.randomUUID` is only there on pages with https. */
function newKey() {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), (each) => each.toString(16).padStart(2, '0')).join('');
}
export function rest(options) {
    return { signal: options.signal, deadlineMs: options.deadlineMs ?? SLACK_MS };
}
/** The path of a context. */
export function place(contextId, ...parts) {
    return ['/contexts', ...[contextId, ...parts].map(encodeURIComponent)].join('/');
}
export function execution(executionId, ...parts) {
    return ['/executions', ...[executionId, ...parts].map(encodeURIComponent)].join('/');
}
/** The path of a file; its slashes are the server's, too. */
export function file(contextId, path) {
    return `${place(contextId, 'files')}/${path.split('/').map(encodeURIComponent).join('/')}`;
}
