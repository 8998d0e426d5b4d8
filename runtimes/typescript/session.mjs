/**
 * The kernel's side of the messaging protocol: takes requests from the transport, has the main thread run them and
 * sends what comes of it. Worker thread.
 */

import { Interrupter } from './interrupt.mjs';
import { Executions } from './execution.mjs';
import { limitBundle } from './limits.mjs';
import { MainThread } from './main-thread.mjs';
import { PROTOCOL_VERSION } from './protocol.mjs';
import { Streams } from './streams.mjs';
import { OUTPUT_TAKEN, STDIN, STDIN_ANSWERED, STDIN_REFUSED, STDIN_WAITING } from './shared-state.mjs';

const VERSION = '0.1.0';
const KILL_DELAY_MS = 500;

// Loaded with the first cell rather than before the first kernel_info_reply: the parser is the largest module.
let transform = null;
const loadTransform = () => (transform ??= import('./transform.mjs'));
const loadCompletion = () => import('./completion.mjs');

export class Session {
  #shared;
  #stdinPort;
  #transport;
  #main;
  #streams;
  #interrupter;
  #executions = new Executions();
  /** @type {import('./execution.mjs').Execution | null} */
  #current = null;
  /** @type {import('./protocol.mjs').Message[]} */
  #queue = [];
  #isWorking = false;
  #count = 0;
  #inputRequest = null;
  /** The `sent` of the last write that came from the main thread. */
  #taken = 0;
  #acknowledgement = null;

  /** @param {{shared: Int32Array, stdinPort: MessagePort}} options */
  constructor({ shared, stdinPort }) {
    this.#shared = shared;
    this.#stdinPort = stdinPort;
  }

  /** @param {{transport: object, main: import('node:worker_threads').MessagePort}} ends */
  attach({ transport, main }) {
    this.#transport = transport;
    this.#main = new MainThread(main, {
      stream: (write) => this.#write(write),
      display: (message) => this.#display(message),
      clear_output: ({ cell, wait }) => this.#clearOutput(cell, wait),
      input: (message) => this.#askInput(message),
    });
    this.#streams = new Streams(
      (execution, content, metadata) => this.#publishFor(execution, 'stream', content, metadata));
    this.#interrupter = new Interrupter({ shared: this.#shared, main: this.#main, isCurrent: (e) => e === this.#current });
  }

  opened() {
    this.#transport.publish('status', { execution_state: 'starting' });
  }

  /** @param {import('./transport.mjs').Channel} channel @param {import('./protocol.mjs').Message} message */
  receive(channel, message) {
    if (channel === 'stdin') return this.#inputReply(message);
    if (channel === 'control') return this.#answer('control', message);
    this.#queue.push(message);
    this.#work();
  }

  /** Take the shell's requests one after the other. */
  async #work() {
    if (this.#isWorking) return;
    this.#isWorking = true;
    while (this.#queue.length > 0) {
      const message = this.#queue.shift();
      if (message.header.msg_type === 'execute_request') await this.#execute(message);
      else await this.#answer('shell', message);
    }
    this.#isWorking = false;
  }

  // ---- requests other than execute_request

  async #answer(channel, message) {
    const type = message.header.msg_type;
    this.#status('busy', message);
    let content = null;
    try {
      content = await this.#contentOfReply(type, message);
    } catch (error) {
      content = failure(error.name, error.message);
    }
    if (content !== null) this.#transport.send(channel, type.replace(/_request$/, '_reply'), content, message);
    if (type === 'shutdown_request') this.#shutdown(content, message);
    else this.#status('idle', message);
  }

  /** @returns {Promise<object | null>} null for a message that takes no reply */
  async #contentOfReply(type, { content }) {
    switch (type) {
      case 'kernel_info_request': return kernelInfo();
      case 'interrupt_request': this.#interrupter.interrupt(this.#current); return { status: 'ok' };
      case 'shutdown_request': return { status: 'ok', restart: Boolean(content.restart) };
      case 'is_complete_request': return isComplete(content.code);
      case 'complete_request': return (await loadCompletion()).complete(content, this.#main);
      case 'inspect_request': return (await loadCompletion()).inspect(content, this.#main);
      case 'history_request': return { status: 'ok', history: [] };
      case 'comm_info_request': return { status: 'ok', comms: {} };
      default: return type.endsWith('_request') ? failure('NotImplementedError', `${type} is not supported`) : null;
    }
  }

  #shutdown(content, message) {
    this.#transport.publish('shutdown_reply', content, message.header);
    this.#status('idle', message);
    this.#transport.close();
    this.#main.post({ type: 'shutdown' });
    // User code may keep the main thread from ever reading that.
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), KILL_DELAY_MS);
  }

  // ---- execute_request

  async #execute(message) {
    const { code = '', silent, store_history: storeHistory = true } = message.content;
    const environment = takeEnvironment(message);
    const isCounted = !silent && storeHistory;
    if (isCounted) this.#count++;
    const execution = this.#executions.begin({ request: message, count: this.#count, isCounted });
    this.#current = execution;
    this.#status('busy', message);
    this.#publishFor(execution, 'execute_input', { code, execution_count: execution.count });
    const outcome = await this.#run(execution, code, environment);
    this.#current = null;
    this.#streams.finish(execution);
    this.#reply(execution, message, outcome);
    execution.finish();
    this.#status('idle', message);
    if (outcome.status === 'error' && execution.stopsOnError) this.#abortQueued();
  }

  async #run(execution, code, environment) {
    // Of the cells before this one: an interrupt of this one settles only after it has been posted.
    const { settled } = this.#interrupter;
    const { transformCell } = await loadTransform();
    await settled;
    let program;
    try {
      program = transformCell(code);
    } catch (error) {
      return syntaxError(error, execution.file, code);
    }
    const { user_expressions: expressions } = execution.request.content;
    return this.#main.execute({
      id: execution.id, file: execution.file, environment, ...program, isSilent: execution.isSilent,
      expressions: await compileExpressions(expressions ?? {}, execution.file),
    });
  }

  #reply(execution, message, outcome) {
    const { status, result, expressions } = outcome;
    const base = { status, execution_count: execution.count };
    if (status === 'ok') {
      if (result) this.#publishBundle(execution, 'execute_result', result, { execution_count: execution.count });
      this.#transport.send('shell', 'execute_reply',
        { ...base, payload: [], user_expressions: limitExpressions(expressions ?? {}, execution.limits) }, message);
      return;
    }
    const { ename, evalue, traceback } = outcome;
    this.#publishFor(execution, 'error', { ename, evalue, traceback });
    this.#transport.send('shell', 'execute_reply', { ...base, ename, evalue, traceback, user_expressions: {} }, message);
  }

  #abortQueued() {
    const requests = this.#queue.filter(({ header }) => header.msg_type === 'execute_request');
    this.#queue = this.#queue.filter((message) => !requests.includes(message));
    for (const message of requests) {
      this.#status('busy', message);
      this.#transport.send('shell', 'execute_reply', { status: 'aborted', execution_count: this.#count }, message);
      this.#status('idle', message);
    }
  }

  // ---- output

  #write({ cell, name, text, sent }) {
    const execution = this.#executions.get(cell);
    if (execution) this.#streams.write(execution, { name, text });
    else this.#transport.publish('stream', { name, text });
    this.#taken = sent;
    this.#acknowledgement ??= setImmediate(() => this.#acknowledge());
  }

  #display({ cell, data, metadata, displayId, update }) {
    this.#streams.flush();
    const extra = { transient: displayId === undefined ? {} : { display_id: displayId } };
    const type = update ? 'update_display_data' : 'display_data';
    this.#publishBundle(this.#executions.get(cell), type, { data, metadata }, extra);
  }

  #clearOutput(cell, wait) {
    this.#streams.flush();
    this.#publishFor(this.#executions.get(cell), 'clear_output', { wait });
  }

  #publishBundle(execution, type, { data, metadata = {} }, extra) {
    const limited = limitBundle(data, execution?.limits.item_bytes);
    const noted = limited.omitted ? { ...metadata, omitted: limited.omitted } : metadata;
    this.#publishFor(execution, type, { data: limited.data, metadata: noted, ...extra },
      limited.omitted ? { omitted: limited.omitted } : undefined);
  }

  #publishFor(execution, type, content, metadata) {
    if (!execution?.isSilent) this.#transport.publish(type, content, execution?.header, metadata);
  }

  /** Let the main thread write on, once the subscribers keep up. After each burst of writes, not after each write. */
  #acknowledge() {
    this.#acknowledgement = null;
    const taken = this.#taken;
    this.#transport.whenDrained(() => {
      Atomics.store(this.#shared, OUTPUT_TAKEN, taken);
      Atomics.notify(this.#shared, OUTPUT_TAKEN);
    });
  }

  #status(state, message) {
    this.#transport.publish('status', { execution_state: state }, message.header);
  }

  // ---- stdin

  #askInput({ prompt, password }) {
    const execution = this.#current;
    if (!execution?.allowsStdin) return this.#endInput(STDIN_REFUSED);
    this.#streams.flush();
    this.#inputRequest = execution;
    this.#transport.send('stdin', 'input_request', { prompt, password }, execution.request);
  }

  #inputReply({ header, content }) {
    const isExpected = header.msg_type === 'input_reply' && this.#inputRequest === this.#current && this.#current !== null;
    if (!isExpected || Atomics.load(this.#shared, STDIN) !== STDIN_WAITING) return;
    this.#inputRequest = null;
    this.#stdinPort.postMessage(String(content.value ?? ''));
    this.#endInput(STDIN_ANSWERED);
  }

  #endInput(state) {
    Atomics.compareExchange(this.#shared, STDIN, STDIN_WAITING, state);
    Atomics.notify(this.#shared, STDIN);
  }
}

/** Take the cell's environment out of the request, so that nothing after this can show it. */
function takeEnvironment(message) {
  const environment = message.metadata?.env_vars ?? null;
  if (environment !== null) delete message.metadata.env_vars;
  return environment;
}

async function compileExpressions(expressions, file) {
  const names = Object.keys(expressions);
  if (names.length === 0) return [];
  const { transformExpression } = await loadTransform();
  return names.map((name) => {
    try {
      return { name, program: transformExpression(expressions[name]) };
    } catch (error) {
      return { name, failure: syntaxError(error, file, expressions[name]) };
    }
  });
}

function limitExpressions(expressions, { item_bytes: itemBytes }) {
  return Object.fromEntries(Object.entries(expressions).map(([name, value]) => {
    if (value.status !== 'ok') return [name, value];
    const { data, omitted } = limitBundle(value.data, itemBytes);
    return [name, { ...value, data, metadata: omitted ? { ...value.metadata, omitted } : value.metadata }];
  }));
}

function syntaxError(error, file, code) {
  if (error.line === undefined) return failure(error.name, error.message, [String(error.stack)]);
  const line = code.split('\n')[error.line - 1] ?? '';
  const caret = `${line.slice(0, error.column - 1).replace(/[^\t]/g, ' ')}^`;
  const traceback = [`${file}:${error.line}:${error.column}`, line, caret, '', `SyntaxError: ${error.message}`];
  return failure('SyntaxError', error.message, traceback);
}

function failure(ename, evalue, traceback = [`${ename}: ${evalue}`]) {
  return { status: 'error', ename, evalue, traceback };
}

async function isComplete(code) {
  const { completeness } = await loadTransform();
  const status = completeness(code);
  return status === 'incomplete' ? { status, indent: '  ' } : { status };
}

function kernelInfo() {
  return {
    status: 'ok',
    protocol_version: PROTOCOL_VERSION,
    implementation: 'polyrepl-typescript',
    implementation_version: VERSION,
    language_info: {
      name: 'typescript', version: process.versions.node, mimetype: 'text/x-typescript', file_extension: '.ts',
      codemirror_mode: { name: 'javascript', typescript: true }, pygments_lexer: 'typescript',
    },
    banner: `TypeScript on Node.js ${process.version}`,
    help_links: [],
    supported_features: [],
  };
}
