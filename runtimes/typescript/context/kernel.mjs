/** The main thread's half of the kernel: runs what the worker sends and reports how it ended. Main thread. */

import { Cell, CellContext, KeyboardInterrupt } from './cell.mjs';
import { installCellScope } from './scope.mjs';
import { Display } from '../display/display.mjs';
import { installEnvironment } from './process/environment.mjs';
import { ErrorFormatter } from './errors.mjs';
import { Evaluator } from './evaluator.mjs';
import { ProcessExit, installExit } from './process/exit.mjs';
import { Introspection } from '../values/introspection.mjs';
import { guardLastHandlers } from './process/last-handlers.mjs';
import { KeptListeners } from './process/listeners.mjs';
import { Modules } from '../modules/modules.mjs';
import { forgetUnset, globalNames, prepareNames } from './names.mjs';
import { installOutput } from './output.mjs';
import { installProgram, mainModule } from './process/program.mjs';
import { installSignals } from './process/signals.mjs';
import { Stdin, installStdin } from './stdin.mjs';
import { CellTimers } from './timers.mjs';
import { Variables } from '../values/variables.mjs';
import { compileCache } from '../shared/platform.mjs';
import { hasOwn, setImmediate, store } from '../shared/primordials.mjs';
import { CLASSIC_DECORATORS } from '../shared/state.mjs';

const SHORT_LENGTH = 10_000;
/** Says that a file could be loaded faster if its package said that it is a module: no business of who writes a cell. */
const UNTYPED_PACKAGE = 'MODULE_TYPELESS_PACKAGE_JSON';

/**
 * @typedef {{status: 'ok', result: object | null, expressions: object} |
 *   {status: 'error', ename: string, evalue: string, traceback: string[]}} Outcome
 */

export class Kernel {
  #worker;
  #post;
  #context = new CellContext();
  #errors = new ErrorFormatter();
  #listeners = new KeptListeners();
  #display;
  #evaluator;
  #timers;
  #exit;
  #stdin;
  #variables;
  /** Id of a cell whose interrupt arrived before the cell itself. */
  #interruptedEarly = 0;

  /** @param {{worker: import('node:worker_threads').Worker, shared: Int32Array, stdinPort: MessagePort}} options */
  constructor({ worker, shared, stdinPort }) {
    const context = this.#context;
    this.#worker = worker;
    const post = worker.postMessage.bind(worker);
    this.#post = post;
    const modules = new Modules({
      onTransformed: (path, positions) => this.#errors.addPositions(path, positions),
      // Of `reflect-metadata`: the worker compiles, and sees no globals of this thread.
      onLoaded: () => {
        if (hasOwn(Reflect, 'getMetadata')) store(shared, CLASSIC_DECORATORS, 1);
      },
    });
    const scope = installCellScope(modules);
    this.#evaluator = new Evaluator({
      shared, scope, textImports: modules.textImports, listeners: this.#listeners,
      onCallbackInterrupted: (cell, error) => this.#interruptAwait(cell, error),
      onRejected: (error, place) => this.#errors.addAwait(error, place),
    });
    this.#timers = new CellTimers({ context, evaluator: this.#evaluator });
    const output = installOutput({ post, context, shared });
    this.#exit = installExit({
      context, shared, evaluator: this.#evaluator, listeners: this.#listeners, settle: this.#settleError.bind(this),
      report: this.#report.bind(this, output),
    });
    installSignals({ output, listeners: this.#listeners });
    this.#display = new Display({ post: (message) => output.display(message), context });
    this.#stdin = new Stdin({ post, context, shared, port: stdinPort });
    installStdin(this.#stdin, output);
    installProgram();
    modules.install(mainModule());
    this.#display.install();
    this.#timers.install();
    this.#errors.install();
    this.#reportLateErrors(output);
  }

  /** Begin to take work from the worker. */
  start() {
    this.#variables = new Variables();
    const introspection = new Introspection(this.#variables);
    const handlers = {
      execute: (program) => this.#execute(program),
      interrupt: (message) => this.#interrupt(message),
      line: (message) => this.#stdin.receive(message),
      ping: ({ id }) => this.#answer(id, true),
      names: ({ id }) => this.#answer(id, introspection.names()),
      members: ({ id, subject }) => this.#answer(id, introspection.members(subject)),
      describe: ({ id, subject }) => this.#answer(id, introspection.describe(subject)),
      variables: ({ id, request }) => this.#answer(id, this.#variables.list(request)),
      shutdown: () => {
        compileCache.flush();
        this.#exit.leave(0);
      },
    };
    this.#worker.on('message', (message) => handlers[message.type](message));
    this.#post({ type: 'ready', globals: globalNames() });
  }

  #answer(id, value) {
    this.#post({ type: 'answer', id, value });
  }

  #execute(program) {
    const cell = new Cell(program.id, program.file);
    this.#context.begin(cell);
    try {
      this.#begin(cell, program);
    } catch (error) {
      this.#settleError(cell, error);
    }
  }

  #begin(cell, program) {
    if (program.positions) this.#errors.addPositions(cell.file, program.positions);
    if (program.tellsChanges) cell.variablesBefore = this.#variables.look();
    prepareNames(program);
    this.#variables.declare(program.names);
    cell.restoreEnvironment = installEnvironment(program.environment);
    if (this.#interruptedEarly === cell.id) return this.#settleError(cell, new KeyboardInterrupt());
    this.#context.runAs(cell, () => this.#drive(cell, program));
  }

  async #drive(cell, program) {
    try {
      const { value } = await this.#evaluator.evaluate(cell, program);
      const reading = this.#stdin.whenRead(cell);
      if (reading !== null) await this.#evaluator.settle(cell, reading);
      const result = value === undefined || program.isSilent ? null : await this.#bundle(cell, value);
      const expressions = await this.#evaluateExpressions(cell, program.expressions);
      this.#settle(cell, { status: 'ok', result, expressions });
    } catch (error) {
      this.#settleError(cell, error);
    }
  }

  /** Building a bundle runs user code (custom inspection, getters), so it is interruptible like the cell itself. */
  async #bundle(cell, value) {
    // That of a short primitive does not, and the watchdog's thread takes as long to start as many a cell to run.
    if (isShortPrimitive(value)) return this.#display.bundleOf(value);
    const started = this.#evaluator.segment(cell, () => ({ bundle: this.#display.bundleOf(value) }));
    return (await this.#evaluator.settle(cell, started.bundle)).value;
  }

  async #evaluateExpressions(cell, expressions) {
    const results = { __proto__: null };
    for (let i = 0; i < expressions.length; i++) {
      const { name, program, failure } = expressions[i];
      results[name] = failure ?? await this.#evaluateExpression(cell, program);
    }
    return results;
  }

  async #evaluateExpression(cell, program) {
    try {
      prepareNames(program);
      const { value } = await this.#evaluator.evaluate(cell, { ...program, file: cell.file });
      return { status: 'ok', ...await this.#bundle(cell, value) };
    } catch (error) {
      if (KeyboardInterrupt.is(error) || cell.exit) throw error;
      return this.#describeError(cell, error);
    }
  }

  #describeError(cell, error) {
    try {
      return this.#evaluator.segment(cell, () => this.#errors.describe(error));
    } catch (thrown) {
      return this.#errors.describe(KeyboardInterrupt.is(thrown) ? thrown : new Error('an error that cannot be shown'));
    }
  }

  #settleError(cell, error) {
    if (cell.isSettled) return;
    const cause = cell.exit ?? (this.#evaluator.isInterruptedInChild(cell) ? new KeyboardInterrupt() : error);
    // A timer left behind could keep the thread busy for good, with no cell left to interrupt.
    if (KeyboardInterrupt.is(cause)) this.#timers.cancel();
    const isOwn = KeyboardInterrupt.is(cause) || cause === cell.exit;
    this.#settle(cell, isOwn ? this.#errors.describe(cause) : this.#describeError(cell, cause));
  }

  /** Settle once; the outcome leaves after a turn of the event loop, so that output written until then precedes it. */
  #settle(cell, outcome) {
    if (cell.isSettled) return;
    cell.isSettled = true;
    cell.rejectAwait = null;
    cell.outcome = outcome;
    cell.restoreEnvironment();
    forgetUnset();
    this.#stdin.end(cell);
    this.#timers.release();
    setImmediate(() => this.#postOutcome(cell));
  }

  #postOutcome(cell) {
    this.#context.end(cell);
    if (cell.outcome === null) return;
    const { outcome } = cell;
    this.#noteChanges(cell);
    cell.outcome = null;
    this.#post({ type: 'done', id: cell.id, outcome });
  }

  /** An interrupt that cuts this short has the outcome posted without. */
  #noteChanges(cell) {
    const before = cell.variablesBefore;
    cell.variablesBefore = null;
    if (before !== null) cell.outcome.changes = this.#variables.changesSince(before);
  }

  #interrupt({ id, abandon }) {
    this.#post({ type: 'interrupt_seen', id });
    const cell = this.#context.running;
    if (cell?.id !== id) {
      this.#interruptedEarly = id;
      return;
    }
    // A terminated execution may have taken the turn that was to send the outcome.
    if (cell.isSettled) return this.#postOutcome(cell);
    cell.sawInterrupt = true;
    if (abandon) this.#settleError(cell, new KeyboardInterrupt());
    else this.#interruptAwait(cell, new KeyboardInterrupt());
  }

  #interruptAwait(cell, error) {
    this.#timers.cancel();
    if (cell.rejectAwait !== null && cell.exit === null) cell.rejectAwait(error);
    else this.#settleError(cell, error);
  }

  #report(output, label, error) {
    if (ProcessExit.is(error) || KeyboardInterrupt.is(error)) return;
    output.write('stderr', `${label}${this.#errors.format(error)}\n`);
  }

  /** What fails after or beside its cell is told on that cell's stderr; the kernel stays. */
  #reportLateErrors(output) {
    const raise = guardLastHandlers(this.#report.bind(this, output), (action) => {
      const { running } = this.#context;
      return running === null ? action() : this.#context.runAs(running, action);
    });
    this.#listeners.add('uncaughtException', (error) => {
      if (!this.#listeners.hasOthers('uncaughtException')) this.#report(output, 'Uncaught ', error);
    });
    this.#listeners.add('unhandledRejection', (error) => {
      if (this.#listeners.hasOthers('unhandledRejection')) return;
      // As without any listener, where a rejection is an exception.
      if (this.#listeners.hasOthers('uncaughtException')) raise(error, 'unhandledRejection');
      else this.#report(output, 'Unhandled promise rejection: ', error);
    });
    process.removeAllListeners('warning');
    this.#listeners.add('warning', (warning) => {
      if (warning.name === 'ExperimentalWarning' || warning.code === UNTYPED_PACKAGE) return;
      output.write('stderr', `(node) ${warning.name}: ${warning.message}\n`);
    });
  }
}

function isShortPrimitive(value) {
  return typeof value === 'number' || typeof value === 'boolean' || value === null
    || (typeof value === 'string' && value.length <= SHORT_LENGTH);
}
