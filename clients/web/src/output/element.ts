/** `<polyrepl-output>`: shows the result of an execution, or follows its events. */

import { element, part } from '../dom.ts';
import type { ErrorInfo, Event, Events, Item, Result } from '../events.ts';
import { Frame, type Active } from '../frame/frame.ts';
import { failure } from './error.ts';
import { Shown, type Stage } from './item.ts';
import { settings } from './parts.ts';
import { prompt } from './prompt.ts';
import { sheet } from './sheet.ts';
import { Text } from './text.ts';

export type { ErrorInfo, Event, Events, Item, Result } from '../events.ts';
export { settings } from './parts.ts';

export interface InputDetail {
  prompt: string;
  password: boolean;
  answer(text: string): void;
}

export class PolyreplOutput extends HTMLElement implements Stage {
  /** Sends an answer to `input()`. A stream that can do it itself needs none. */
  answer: ((text: string) => unknown) | undefined;
  isOpen = true;
  readonly #out = part('div', 'output');
  readonly #status = element('p', { className: 'status' });
  readonly #probe = element('i', { className: 'probe' });
  #items = new Map<number, Shown>();
  #next = 0;
  #stream: { kind: string; text: Text } | undefined;
  #texts: Text[] = [];
  #frame: Frame | undefined;
  #prompt: HTMLElement | undefined;
  #turn = 0;

  constructor() {
    super();
    this.#out.setAttribute('role', 'group');
    this.#out.setAttribute('aria-label', 'Output');
    this.#status.setAttribute('role', 'status');
    const root = this.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [sheet()];
    root.append(this.#out, this.#status, this.#probe);
  }

  get base(): string {
    const given = this.getAttribute('base');
    return given ? new URL(given.replace(/\/?$/, '/'), document.baseURI).href : settings.base;
  }

  disconnectedCallback(): void {
    // An element that is only moved is connected again before this runs.
    queueMicrotask(() => {
      if (!this.isConnected) this.#frame?.close('the output was removed from the page');
    });
  }

  /** What `POST /execute` answers. */
  set result(result: Result) {
    this.clear();
    for (const kind of ['stdout', 'stderr'] as const) {
      const lines = result.logs?.[kind] ?? [];
      if (lines.length) this.#write(kind, lines.join('\n'));
    }
    for (const item of result.items ?? []) this.#show(this.#next, item);
    if (result.error) this.#fail(result.error);
    const cut = Object.keys(result.truncated ?? {});
    if (cut.length) this.#note(`Cut at a limit: ${cut.join(', ')}.`);
    this.#end(result.status ?? 'ok', result.error);
  }

  /** Show events until they end. A second call, or `result`, ends the first. */
  async follow(events: Events): Promise<void> {
    this.clear();
    const turn = this.#turn;
    this.#out.setAttribute('aria-busy', 'true');
    if (events.provideInput) this.answer = (text) => events.provideInput?.(text);
    try {
      for await (const event of events) {
        if (turn !== this.#turn) return;
        this.push(event);
      }
    } catch (problem) {
      if (turn === this.#turn) this.stop(`The connection was lost: ${String(problem)}`);
      throw problem;
    } finally {
      if (turn === this.#turn) this.#out.removeAttribute('aria-busy');
    }
  }

  push(event: Event): void {
    if (event.type !== 'input_request') this.#ask(undefined);
    if (event.type === 'stdout' || event.type === 'stderr') {
      if (event.omitted_bytes) this.#note(`${event.omitted_bytes.toLocaleString('en')} bytes are left out here.`);
      this.#write(event.type, event.text);
    } else if (event.type === 'item' || event.type === 'item_update') this.#show(event.index, event.item);
    else if (event.type === 'clear') this.#clearItems();
    else if (event.type === 'input_request') this.#request(event.prompt, event.password);
    else if (event.type === 'error') this.#fail(event);
    else if (event.type === 'gap') this.#note(`${event.missed.toLocaleString('en')} events are no longer kept.`);
    else if (event.type === 'done') {
      if (event.hint) this.#out.querySelector('.error')?.append(part('p', 'hint', event.hint));
      this.#end(event.status);
    }
    this.dispatchEvent(new CustomEvent('polyrepl-event', { detail: event, bubbles: true, composed: true }));
  }

  /** Show nothing. */
  clear(): void {
    this.#turn++;
    this.#clearItems();
    this.#ask(undefined);
    this.#texts = [];
    this.#out.replaceChildren();
    this.#out.removeAttribute('aria-busy');
    this.#status.textContent = '';
    this.isOpen = true;
  }

  /** Follow no longer. Interactive outputs end too. */
  stop(reason = 'Stopped.'): void {
    this.#turn++;
    this.#ask(undefined);
    this.#stream = undefined;
    this.#frame?.close('it was stopped');
    this.#frame = undefined;
    this.#out.removeAttribute('aria-busy');
    this.#note(reason);
  }

  /** Stage: content that is active goes into the frame of this execution. */
  show(shown: Shown, active: Active): void {
    if (!this.#frame) {
      const url = this.getAttribute('frame-url') ?? new URL('../_output/frame.html', this.base).href;
      const frame = new Frame({ base: this.base, url, theme: this.#theme() });
      frame.element.addEventListener('polyrepl-unavailable', (event) => this.#unavailable((event as CustomEvent<string>).detail));
      this.#frame = frame;
      shown.element.before(frame.element);
    }
    this.#frame.show(shown.slot, active);
  }

  hide(shown: Shown): void {
    this.#frame?.remove(shown.slot);
  }

  #unavailable(reason: string): void {
    this.#frame = undefined;
    this.isOpen = false;
    for (const shown of this.#items.values()) if (shown.isActive) shown.show();
    this.#note(`Interactive output cannot be shown: ${reason}`);
    this.#tell('polyrepl-error', reason);
  }

  #write(kind: 'stdout' | 'stderr', text: string): void {
    if (this.#stream?.kind !== kind) {
      this.#stream = { kind, text: new Text(kind) };
      this.#texts.push(this.#stream.text);
      this.#out.append(this.#stream.text.element);
    }
    this.#stream.text.push(text);
  }

  #show(index: number, item: Item): void {
    const shown = new Shown(item, index, this);
    const before = this.#items.get(index);
    this.#items.set(index, shown);
    this.#next = Math.max(this.#next, index + 1);
    if (before) {
      before.element.replaceWith(shown.element);
      if (before.isActive) this.hide(before);
    } else {
      this.#stream = undefined;
      this.#out.append(shown.element);
    }
    shown.show();
  }

  #clearItems(): void {
    for (const shown of this.#items.values()) shown.element.remove();
    this.#items = new Map();
    this.#next = 0;
    this.#stream = undefined;
    this.#frame?.close();
    this.#frame = undefined;
  }

  #fail(error: ErrorInfo): void {
    this.#stream = undefined;
    this.#out.querySelector(':scope > .error')?.remove(); // a later one replaces it
    this.#out.append(failure(error));
  }

  #note(text: string): void {
    this.#stream = undefined;
    this.#out.append(part('p', 'note', text));
  }

  #end(status: string, error?: ErrorInfo): void {
    for (const text of this.#texts) text.flush();
    this.#stream = undefined;
    this.#out.removeAttribute('aria-busy');
    const failed = error ? `${error.name}: ${error.value}` : (this.#out.querySelector('.error')?.querySelector('summary, p')?.textContent ?? '');
    const count = this.#items.size;
    this.#status.textContent = (status === 'ok' ? `Finished, ${count} output${count === 1 ? '' : 's'}` : `${status}. ${failed}`).slice(0, 300);
    if (status !== 'ok' && !failed) this.#note(status === 'died' ? 'The kernel died.' : `Ended: ${status}.`);
  }

  #request(label: string, password: boolean): void {
    let isOpen = true;
    const answer = (text: string): void => {
      if (!isOpen) return;
      isOpen = false;
      this.#ask(undefined);
      this.#write('stdout', `${label}${password ? '' : text}\n`);
      void this.answer?.(text);
    };
    const detail: InputDetail = { prompt: label, password, answer };
    if (this.#tell('polyrepl-input', detail)) this.#ask(prompt(label, password, answer));
  }

  #ask(form: HTMLElement | undefined): void {
    this.#prompt?.remove();
    this.#prompt = form;
    if (!form) return;
    this.#out.append(form);
    form.querySelector('input')?.focus({ preventScroll: true });
  }

  #tell(name: string, detail: unknown): boolean {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: true }));
  }

  /** Whether the colours around are dark, as the browser sees it: a frame cannot know. */
  #theme(): string {
    return getComputedStyle(this.#probe).color === 'rgb(1, 1, 1)' ? 'light' : 'dark';
  }
}

if (!customElements.get('polyrepl-output')) customElements.define('polyrepl-output', PolyreplOutput);

declare global {
  interface HTMLElementTagNameMap {
    'polyrepl-output': PolyreplOutput;
  }
}
