/** Text with ANSI sequences as elements: drawn in blocks of lines, only what changed, and folded when long. */

import { button, element, part } from '../dom.ts';
import type { Style } from './style.ts';
import { Terminal, type Line } from './terminal.ts';

const BLOCK = 200; // lines
const FOLDED = 24; // lines that are visible at once
const WAIT = 40; // milliseconds between two drawings

export class Text {
  readonly element: HTMLElement;
  readonly #terminal: Terminal;
  readonly #pre: HTMLElement;
  readonly #more: HTMLButtonElement;
  readonly #earlier: HTMLElement;
  readonly #drawn: { line: Line; version: number; element: HTMLElement }[] = [];
  #due: ReturnType<typeof setTimeout> | undefined;

  constructor(kind: string, keep?: number) {
    this.#terminal = new Terminal(keep);
    this.#pre = part('pre', kind);
    this.#pre.tabIndex = 0;
    this.#pre.setAttribute('role', 'region');
    this.#pre.setAttribute('aria-label', LABELS[kind] ?? kind);
    this.#more = button('', () => this.#unfold(this.#pre.classList.contains('folded')));
    this.#more.hidden = true;
    this.#more.className = 'more';
    this.#earlier = part('p', 'note');
    this.#earlier.hidden = true;
    this.element = element('div', { className: 'log' }, this.#earlier, this.#pre, this.#more);
  }

  push(text: string): void {
    this.#terminal.write(text);
    this.#due ??= setTimeout(() => this.flush(), WAIT);
  }

  text(): string {
    return this.#terminal.text();
  }

  flush(): void {
    clearTimeout(this.#due);
    this.#due = undefined;
    const pre = this.#pre;
    const isAtEnd = pre.scrollHeight - pre.scrollTop - pre.clientHeight < 40;
    this.#draw();
    const { length } = this.#terminal.lines;
    if (length > FOLDED && this.#more.hidden) this.#unfold(false);
    this.#more.hidden = length <= FOLDED;
    if (pre.classList.contains('folded')) {
      this.#more.textContent = `Show all ${length.toLocaleString('en')} lines`;
      if (isAtEnd) pre.scrollTop = pre.scrollHeight;
    }
    const { dropped } = this.#terminal;
    this.#earlier.hidden = !dropped;
    if (dropped) this.#earlier.textContent = `${dropped.toLocaleString('en')} earlier lines are not shown.`;
  }

  #unfold(isOpen: boolean): void {
    this.#pre.classList.toggle('folded', !isOpen);
    this.#more.setAttribute('aria-expanded', String(isOpen));
    this.#more.textContent = isOpen ? 'Show less' : `Show all ${this.#terminal.lines.length.toLocaleString('en')} lines`;
  }

  #draw(): void {
    const { lines } = this.#terminal;
    const first = lines[0];
    const gone = this.#drawn.findIndex((each) => each.line === first);
    for (const each of this.#drawn.splice(0, gone < 0 ? this.#drawn.length : gone)) {
      const block = each.element.parentElement;
      each.element.remove();
      if (block && !block.firstChild) block.remove();
    }
    // Everything behind the last line that cannot change any more.
    for (let at = Math.max(0, this.#drawn.length - BLOCK - 1); at < lines.length; at++) {
      const line = lines[at] as Line;
      const known = this.#drawn[at];
      if (known?.version === line.version) continue;
      const span = known?.element ?? this.#append();
      span.replaceChildren(...content(line), '\n');
      this.#drawn[at] = { line, version: line.version, element: span };
    }
  }

  #append(): HTMLElement {
    let block = this.#pre.lastElementChild;
    if (!block || block.childElementCount >= BLOCK) {
      block = element('div', { className: 'block' });
      this.#pre.append(block);
    }
    const span = element('span');
    block.append(span);
    return span;
  }
}

const LABELS: Record<string, string> = { stdout: 'Output', stderr: 'Errors and warnings', traceback: 'Traceback' };

/** Text that is all there. */
export function textOf(text: string, kind = 'text'): Text {
  const made = new Text(kind);
  made.push(text.endsWith('\n') ? text.slice(0, -1) : text);
  made.flush();
  return made;
}

function content(line: Line): (Node | string)[] {
  const nodes = line.runs().map(({ text, style }) => dressed(text, style));
  return line.isCut ? [...nodes, element('i', { textContent: ' … the rest of this line is not shown' })] : nodes;
}

function dressed(text: string, style: Style): Node | string {
  let { color, background } = style;
  if (style.reverse) [color, background] = [background ?? 'back', color ?? 'fore'];
  const names = (['bold', 'dim', 'italic', 'underline', 'strike'] as const).filter((name) => style[name]);
  if (!names.length && !color && !background) return text;
  const span = element('span', { textContent: text, className: names.map((name) => `ansi-${name}`).join(' ') });
  if (color) span.style.color = css(color);
  if (background) {
    span.style.background = css(background);
    // Text in the usual colour on a background that does not know it must stay readable.
    if (!color) span.style.color = isDark(background) ? '#fff' : '#000';
  }
  return span;
}

/** `7` to the colour of the theme; `rgb()` as it is. */
function css(color: string): string {
  return /^r/.test(color) ? color : `var(--ansi-${color})`;
}

function isDark(color: string): boolean {
  const found = /(\d+),(\d+),(\d+)/.exec(color);
  if (!found) return !/^(3|6|7|9|1[0-5]|fore)$/.test(color);
  return Number(found[1]) * 299 + Number(found[2]) * 587 + Number(found[3]) * 114 < 128_000;
}
