/**
 * The kernel's side of the messaging protocol: takes requests from the transport, has the main thread run them and
 * sends what comes of it. Worker thread.
 */

import { Interrupter } from './interrupt.mjs';
import { codeOf, expressionsOf, kindOf, shownData, takeEnvironment } from './content.mjs';
import { Executions } from './execution.mjs';
import { Input } from './input.mjs';
import { limitBundle, limitError } from './limits.mjs';
import { MainThread } from './main-thread.mjs';
import { Requests, failure } from './requests.mjs';
import { Streams } from './streams.mjs';
import { Shadows } from '../compile/shadows.mjs';
import { compileCache } from '../shared/platform.mjs';
import { lineOf } from '../shared/positions.mjs';
import { OUTPUT_TAKEN } from '../shared/state.mjs';

const KILL_DELAY_MS = 500;

// Loaded with the first cell rather than before the first kernel_info_reply: the parser is the largest module.
let transform = null;
const loadTransform = () => (transform ??= import('../compile/transform.mjs'));

export class Dispatcher {
  #shared;
  #stdinPort;
  #transport;
  #main;
  #requests;
  #input;
  #streams;
  #interrupter;
  #executions = new Executions();
  #shadows = new Shadows();
  /** @type {import('./execution.mjs').Execution | null} */
  #current = null;
  /** @type {import('../transport/messages.mjs').Message[]} */
  #queue = [];
  #isWorking = false;
  #count = 0;
  /** A request whose cell is to be interrupted as soon as it begins. @type {import('../transport/messages.mjs').Message | null} */
  #interrupted = null;
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
      flush: ({ sent }) => this.#flush(sent),
      display: (message) => this.#display(message),
      clear_output: (message) => this.#clearOutput(message),
      input: (question) => this.#input.ask(this.#current, question),
    });
    this.#main.globals().then((names) => this.#shadows.setGlobals(names));
    this.#requests = new Requests(this.#main);
    this.#input = new Input({
      shared: this.#shared, port: this.#stdinPort, main: this.#main,
      send: ({ request }, { prompt, password }) => {
        this.#streams.flush();
        this.#transport.send('stdin', 'input_request', { prompt, password }, request);
      },
    });
    this.#streams = new Streams(
      (execution, content, metadata) => this.#publishFor(execution, 'stream', content, { metadata }));
    this.#interrupter = new Interrupter({ shared: this.#shared, main: this.#main, isCurrent: (e) => e === this.#current });
  }

  opened() {
    this.#transport.publish('status', { execution_state: 'starting' });
  }

  /** @param {import('../transport/transport.mjs').Channel} channel @param {import('../transport/messages.mjs').Message} message */
  receive(channel, message) {
    if (channel === 'stdin') return message.header.msg_type === 'input_reply' && this.#input.answer(message.content.value);
    if (channel === 'control') return this.#answer('control', message).catch((error) => this.#refuse('control', message, error));
    this.#queue.push(message);
    this.#work();
  }

  /** Take the shell's requests one after the other. */
  async #work() {
    if (this.#isWorking) return;
    this.#isWorking = true;
    while (this.#queue.length > 0) {
      const message = this.#queue.shift();
      try {
        if (message.header.msg_type === 'execute_request') await this.#execute(message);
        else await this.#answer('shell', message);
      } catch (error) {
        this.#current = null;
        this.#refuse('shell', message, error);
      }
    }
    this.#isWorking = false;
  }

  /** Answer a request that is malformed, or at which the kernel failed: without an answer the client would wait for ever. */
  #refuse(channel, message, error) {
    const { msg_type: type } = message.header;
    const content = failure(error.name, error.message);
    this.#status('busy', message);
    if (type === 'execute_request' && channel === 'shell') {
      const { ename, evalue, traceback } = content;
      const { silent } = message.content;
      if (!silent) this.#transport.publish('error', { ename, evalue, traceback }, { parent: message.parent });
      Object.assign(content, { execution_count: this.#count, user_expressions: {} });
    }
    if (isRequest(type)) this.#transport.send(channel, replyTo(type), content, message);
    this.#status('idle', message);
  }

  // ---- requests other than execute_request

  async #answer(channel, message) {
    const type = message.header.msg_type;
    this.#status('busy', message);
    let content = null;
    try {
      content = await this.#contentOfReply(type, message);
    } catch (error) {
      content = isRequest(type) ? failure(error.name, error.message) : null;
    }
    if (content !== null) this.#transport.send(channel, replyTo(type), content, message);
    // There are no comms: the client must not wait for one.
    const { comm_id: commId } = message.content;
    if (type === 'comm_open' && typeof commId === 'string') {
      this.#transport.publish('comm_close', { comm_id: commId, data: {} }, { parent: message.parent });
    }
    if (type === 'shutdown_request' && content.status === 'ok') this.#shutdown(content, message);
    else this.#status('idle', message);
  }

  /** @returns {Promise<object | null>} null for a message that takes no reply */
  async #contentOfReply(type, { content, problem }) {
    if (problem !== null) throw new TypeError(problem);
    switch (type) {
      case 'interrupt_request': this.#interrupt(); return { status: 'ok' };
      case 'shutdown_request': return { status: 'ok', restart: Boolean(content.restart) };
      default: return this.#requests.answer(type, content);
    }
  }

  /** A cell that waits behind another request is what the client sees running, if nothing else runs. */
  #interrupt() {
    if (this.#current !== null) return this.#interrupter.interrupt(this.#current);
    this.#interrupted = this.#queue.find(({ header }) => header.msg_type === 'execute_request') ?? null;
  }

  #shutdown(content, message) {
    this.#transport.publish('shutdown_reply', content, { parent: message.parent });
    this.#status('idle', message);
    this.#transport.close();
    compileCache.flush();
    this.#main.post({ type: 'shutdown' });
    // User code may keep the main thread from ever reading that.
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), KILL_DELAY_MS);
  }

  // ---- execute_request

  async #execute(message) {
    const environment = takeEnvironment(message);
    if (message.problem !== null) throw new TypeError(message.problem);
    const { silent, store_history: storeHistory = true } = message.content;
    const code = codeOf(message.content);
    const expressions = expressionsOf(message.content);
    const isCounted = !silent && storeHistory;
    if (isCounted) this.#count++;
    const execution = this.#executions.begin({ request: message, count: this.#count, isCounted });
    this.#current = execution;
    const isInterrupted = this.#interrupted === message;
    this.#interrupted = null;
    // Worth a write of their own only to a client that waits for them before it interrupts.
    const canWait = !execution.isAnnounced;
    this.#status('busy', message, { canWait });
    this.#publishFor(execution, 'execute_input', { code, execution_count: execution.count }, { canWait });
    const running = this.#run(execution, { code, expressions, environment });
    if (isInterrupted) this.#interrupter.interrupt(execution);
    const outcome = await running;
    this.#current = null;
    this.#streams.finish(execution);
    this.#input.finish(execution);
    try {
      this.#reply(execution, message, outcome);
    } finally {
      execution.finish();
    }
    this.#status('idle', message);
    if (outcome.status === 'error' && execution.stopsOnError) this.#abortQueued();
  }

  /** @returns {Promise<object>} the outcome of a cell, whatever happens */
  async #run(execution, { code, expressions, environment }) {
    try {
      // Of the cells before this one: an interrupt of this one settles only after it has been posted.
      const { settled } = this.#interrupter;
      const { transformCell } = await loadTransform();
      await settled;
      await this.#main.globals();
      let program;
      try {
        program = transformCell(code, this.#shadows);
      } catch (error) {
        const payload = await this.#requests.help(code);
        return payload === null ? syntaxError(error, execution.file, code) : { status: 'ok', payload };
      }
      this.#requests.noteCell(code);
      this.#shadows.declare(program.shadows);
      // Awaited here, so that what goes wrong is caught here.
      return await this.#main.execute({
        id: execution.id, file: execution.file, environment, ...program, isSilent: execution.isSilent,
        tellsChanges: execution.tellsChanges,
        expressions: await compileExpressions(expressions, execution.file, this.#shadows),
      });
    } catch (error) {
      return failure(error.name, error.message);
    }
  }

  #reply(execution, message, outcome) {
    const { status, result, expressions, payload = [], changes } = outcome;
    const metadata = changes === undefined ? undefined : { changes };
    const base = { status, execution_count: execution.count };
    if (status === 'ok') {
      if (result) this.#publishBundle(execution, 'execute_result', result, { execution_count: execution.count });
      const answers = limitExpressions(expressions ?? {}, execution);
      this.#transport.send('shell', 'execute_reply', { ...base, payload, user_expressions: answers }, message, metadata);
      return;
    }
    const error = limitError(outcome);
    this.#publishFor(execution, 'error', error);
    this.#transport.send('shell', 'execute_reply', { ...base, ...error, user_expressions: {} }, message, metadata);
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
    this.#take(sent);
  }

  #flush(sent) {
    this.#streams.flush();
    this.#take(sent);
  }

  #display({ cell, data, metadata, displayId, update, sent }) {
    this.#take(sent);
    this.#streams.flush();
    const extra = { transient: displayId === undefined ? {} : { display_id: displayId } };
    const type = update ? 'update_display_data' : 'display_data';
    this.#publishBundle(this.#executions.get(cell), type, { data, metadata }, extra);
  }

  #clearOutput({ cell, wait, sent }) {
    this.#take(sent);
    this.#streams.flush();
    this.#publishFor(this.#executions.get(cell), 'clear_output', { wait });
  }

  #publishBundle(execution, type, { data, metadata: own = {} }, extra) {
    const limited = limitBundle(shownData(data, execution), execution?.limits.item_bytes);
    const noted = limited.omitted ? { ...own, omitted: limited.omitted } : own;
    const metadata = limited.omitted ? { omitted: limited.omitted } : undefined;
    try {
      this.#publishFor(execution, type, { data: limited.data, metadata: noted, ...extra }, { metadata });
    } catch (error) {
      // A client that sets no limits may ask for more than one message, or one string, can hold.
      this.#publishFor(execution, 'stream', { name: 'stderr', text: `[polyrepl: ${type} left out: ${error.message}]\n` });
    }
  }

  #publishFor(execution, type, content, options) {
    if (!execution?.isSilent) this.#transport.publish(type, content, { parent: execution?.parent, ...options });
  }

  #take(sent) {
    this.#taken = sent;
    this.#acknowledgement ??= setImmediate(() => this.#acknowledge());
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

  #status(state, { parent }, options) {
    this.#transport.publish('status', { execution_state: state }, { parent, ...options });
  }
}

function isRequest(type) {
  return type.endsWith('_request');
}

function replyTo(type) {
  return type.replace(/_request$/, '_reply');
}

async function compileExpressions(expressions, file, shadows) {
  const names = Object.keys(expressions);
  if (names.length === 0) return [];
  const { transformExpression } = await loadTransform();
  return names.map((name) => {
    if (typeof expressions[name] !== 'string') {
      return { name, failure: failure('TypeError', `an expression must be a string, not ${kindOf(expressions[name])}`) };
    }
    try {
      const program = transformExpression(expressions[name], shadows);
      shadows.declare(program.shadows);
      return { name, program };
    } catch (error) {
      return { name, failure: syntaxError(error, file, expressions[name]) };
    }
  });
}

function limitExpressions(expressions, execution) {
  return Object.fromEntries(Object.entries(expressions).map(([name, value]) => {
    if (value.status !== 'ok') return [name, value];
    const { data, omitted } = limitBundle(shownData(value.data, execution), execution.limits.item_bytes);
    return [name, { ...value, data, metadata: omitted ? { ...value.metadata, omitted } : value.metadata }];
  }));
}

function syntaxError(error, file, code) {
  if (error.line === undefined) return failure(error.name, error.message, [String(error.stack)]);
  const line = lineOf(code, error.line);
  const caret = `${line.slice(0, error.column - 1).replace(/[^\t]/g, ' ')}^`;
  const traceback = [`${file}:${error.line}:${error.column}`, line, caret, '', `SyntaxError: ${error.message}`];
  return failure('SyntaxError', error.message, traceback);
}
