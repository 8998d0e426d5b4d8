/** Active content in two nested frames, one pair for an execution: what its code can reach ends there. */

import { button, element, part } from '../dom.ts';
import { source } from '../output/parts.ts';
import { SANDBOX, type Command, type Report } from './protocol.ts';

export interface Active {
  kind: 'html' | 'javascript' | 'plotly' | 'vega';
  data: unknown;
}

/** Content that is larger waits for a click. */
export const LARGE = 2_000_000; // characters
const MAX_HEIGHT = 1_200; // pixels
const PATIENCE = 2_000; // milliseconds for the first word of a frame that has loaded, or was refused
const LONGEST = 30_000; // milliseconds for it to load
const MOST_STRAY = 50; // messages of user code to the page itself, in a second
const BASIC = new Set(['scatter', 'bar', 'pie', undefined]);

export interface Place {
  base: string;
  /** The address of the outer frame, or `srcdoc`: its text inside the page, which WebRTC can get out of. */
  url: string;
  theme: string;
}

/** Dispatches `polyrepl-frame` events with the reports of its content, and `polyrepl-unavailable` if no frame answers. */
export class Frame {
  readonly element: HTMLElement;
  readonly #place: Place;
  readonly #frame: HTMLIFrameElement;
  readonly #notes: HTMLElement;
  readonly #listen = (event: MessageEvent): void => this.#hear(event);
  readonly #libraries = new Set<string>();
  #ready!: () => void;
  readonly #hello = new Promise<void>((resolve) => (this.#ready = resolve));
  #queue: Promise<void> = this.#hello;
  #isHere = false;
  #patience: ReturnType<typeof setTimeout> | undefined;
  #strays = 0;
  #blocked = new Set<string>();

  constructor(place: Place) {
    this.#place = place;
    this.#frame = element('iframe', { title: 'Interactive output', referrerPolicy: 'no-referrer', allow: '' });
    this.#frame.setAttribute('sandbox', SANDBOX);
    this.#notes = element('div');
    const end = button('Stop', () => this.close('it was stopped here'));
    end.className = 'end';
    end.setAttribute('aria-label', 'Stop this interactive output');
    this.element = part('div', 'frame', this.#frame, end, this.#notes);
    addEventListener('message', this.#listen);
    void this.#open();
  }

  /** Show content in a place of its own, or in place of what is there. */
  show(slot: number, { kind, data }: Active): void {
    this.#queue = this.#queue.then(async () => {
      await this.#library(kind, data);
      this.#send({ type: 'show', slot, kind, data });
    });
    this.#queue.catch((problem) => this.#note('error', `This output cannot be shown: ${String(problem)}`));
  }

  remove(slot: number): void {
    this.#queue = this.#queue.then(() => this.#send({ type: 'remove', slot }));
  }

  /** End the frame and its process, whatever it does. With a reason that stays; without one nothing stays. */
  close(reason?: string): void {
    removeEventListener('message', this.#listen);
    clearTimeout(this.#patience);
    this.#frame.remove();
    this.element.querySelector('.end')?.remove();
    if (reason) this.#note('note', `Interactive output ended: ${reason}.`);
    else this.element.remove();
  }

  async #open(): Promise<void> {
    const { url, base } = this.#place;
    try {
      if (url === 'srcdoc') this.#frame.srcdoc = await source('frame.html', base);
      else this.#frame.src = url;
    } catch {
      return this.#fail(`${base}frame.html did not load`);
    }
    const wait = (time: number): void => {
      clearTimeout(this.#patience);
      if (!this.#isHere) this.#patience = setTimeout(() => this.#fail(''), time);
    };
    this.#frame.addEventListener('load', () => wait(PATIENCE)); // browsers say so of refused ones too
    wait(LONGEST);
  }

  #fail(reason: string): void {
    const { url } = this.#place;
    const origin = url === 'srcdoc' ? '' : new URL(url, location.href).origin;
    const remedy = url === 'srcdoc' ? "the page's Content-Security-Policy forbids inline frames" : `a frame from ${url} did not answer`;
    const what = `${reason || remedy}. ${origin ? `The Content-Security-Policy of this page needs "frame-src ${origin}".` : ''}`;
    this.close();
    this.element.dispatchEvent(new CustomEvent('polyrepl-unavailable', { detail: what.trim() }));
  }

  async #library(kind: Active['kind'], data: unknown): Promise<void> {
    if (kind !== 'plotly' && kind !== 'vega') return;
    const traces = (data as { data?: { type?: string }[] } | null)?.data;
    const isBasic = Array.isArray(traces) && traces.every((trace) => BASIC.has(trace?.type));
    const name = kind === 'vega' ? 'vega' : isBasic && !this.#libraries.has('plotly') ? 'plotly-basic' : 'plotly';
    if (this.#libraries.has(name)) return;
    const text = await source(`parts/${name}.js`, this.#place.base);
    this.#libraries.add(name);
    this.#send({ type: 'library', text });
  }

  #send(command: Command): void {
    this.#frame.contentWindow?.postMessage(command, '*'); // its origin is opaque
  }

  #hear({ source, data }: MessageEvent): void {
    const frame = this.#frame.contentWindow;
    if (!frame || !source || source === window) return;
    if (source !== frame) return this.#stray(source as Window, frame);
    if (data === null || typeof data !== 'object') return;
    const { hello, height, error, blocked, stopped, shown } = data as Report;
    if (hello && !this.#isHere) {
      this.#isHere = true;
      clearTimeout(this.#patience);
      this.#send({ type: 'theme', theme: this.#place.theme });
      this.#ready();
    }
    if (typeof height === 'number') this.#frame.style.height = `${Math.min(Math.max(height, 0), MAX_HEIGHT)}px`;
    if (typeof error === 'string' && !this.#notes.querySelector('.error')) this.#note('error', error.slice(0, 500));
    if (typeof blocked === 'string') this.#block(blocked);
    if (typeof stopped === 'string') this.close(stopped.slice(0, 200));
    if (typeof shown === 'number') this.element.dataset.shown = String(shown);
  }

  /** User code that talks past the outer frame is not heard. Too much of it costs the page time. */
  #stray(from: Window, frame: Window): void {
    let up = from;
    for (let depth = 0; depth < 10 && up !== frame; depth++) {
      if (up.parent === up) return;
      up = up.parent;
    }
    if (up !== frame) return;
    if (++this.#strays > MOST_STRAY) return this.close('it sent too many messages');
    setTimeout(() => this.#strays--, 1000);
  }

  #block(address: string): void {
    const host = /^https?:/.test(address) ? new URL(address).host : '';
    if (!host || this.#blocked.has(host) || this.#blocked.size >= 5) return;
    this.#blocked.add(host);
    this.#note('note', `This output needs the network: ${host} is not loaded.`);
  }

  #note(kind: 'note' | 'error', text: string): void {
    this.#notes.append(part('p', kind, text));
  }
}
