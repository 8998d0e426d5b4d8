/** A table from columns of values. Only the rows in view are in the document, so that a million of them stay smooth. */

import { button, element, part } from '../dom.ts';
import { sorted } from './sorting.ts';

export type Columns = Record<string, unknown[]>;

const ROW = 26; // pixels
const HEIGHT = 340;
const MAX_HEIGHT = 15_000_000; // browsers draw no element that is much higher
const MAX_COLUMNS = 200;

/** Whether it is what a table is made of: lists of one length under names. */
export function isColumns(data: unknown): data is Columns {
  if (data === null || typeof data !== 'object') return false;
  const columns = Object.values(data);
  const length = Array.isArray(columns[0]) ? columns[0].length : -1;
  return length >= 0 && columns.every((each) => Array.isArray(each) && each.length === length);
}

/** A list of objects as columns; undefined for anything else. */
export function columnsOf(value: unknown): Columns | undefined {
  if (!Array.isArray(value) || !value.length) return undefined;
  if (!value.every((row) => row !== null && typeof row === 'object' && !Array.isArray(row))) return undefined;
  const names = [...new Set(value.flatMap((row) => Object.keys(row as object)))];
  return Object.fromEntries(names.map((name) => [name, value.map((row) => (row as Record<string, unknown>)[name] ?? null)]));
}

export function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Comma-separated values, for a download. Text that a spreadsheet would run as a formula gets an apostrophe. */
export function csv(data: Columns): string {
  const quoted = (value: unknown): string => {
    let text = cell(value);
    if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  const names = Object.keys(data);
  const rows = (data[names[0] as string] ?? []).map((_, at) => names.map((name) => quoted(data[name]?.[at])).join(','));
  return `${[names.map(quoted).join(','), ...rows].join('\n')}\n`;
}

export function table(data: Columns): HTMLElement {
  return new Table(data).element;
}

class Table {
  readonly element: HTMLElement;
  readonly #data: Columns;
  readonly #names: string[];
  readonly #numeric: boolean[];
  readonly #count: number;
  readonly #box: HTMLElement;
  readonly #body = element('tbody');
  readonly #head = element('tr');
  #order: Uint32Array;
  #sorting = 0;

  constructor(data: Columns) {
    const names = Object.keys(data);
    this.#data = data;
    this.#names = names.slice(0, MAX_COLUMNS);
    this.#count = data[names[0] as string]?.length ?? 0;
    this.#numeric = this.#names.map((name) => typeof data[name]?.find((value) => value !== null) === 'number');
    this.#order = Uint32Array.from({ length: this.#count }, (_, at) => at);
    this.#head.append(...this.#names.map((name, at) => this.#heading(name, at)));
    const rows = element('table', {}, element('thead', {}, this.#head), this.#body);
    rows.setAttribute('aria-rowcount', String(this.#count + 1));
    const room = element('div', { className: 'room' }, rows); // the table sticks to what is in view of it
    room.style.height = `${Math.min(MAX_HEIGHT, this.#count * ROW) + ROW}px`;
    this.#box = element('div', { className: 'rows', tabIndex: 0 }, room);
    this.#box.style.height = `${Math.min(HEIGHT, (this.#count + 1) * ROW + 2)}px`;
    this.#box.setAttribute('role', 'region');
    const hidden = names.length - this.#names.length;
    const size = `${this.#count.toLocaleString('en')} rows, ${names.length.toLocaleString('en')} columns`;
    this.#box.setAttribute('aria-label', `Table, ${size}`);
    const caption = element('figcaption', { textContent: hidden ? `${size}, of which ${this.#names.length} are shown` : size });
    this.element = part('figure', 'table', this.#box, caption);
    let due = 0;
    this.#box.addEventListener('scroll', () => {
      due ||= requestAnimationFrame(() => {
        due = 0;
        this.#draw();
      });
    });
    this.#draw();
  }

  #heading(name: string, at: number): HTMLElement {
    const heading = element('th', { scope: 'col', className: this.#numeric[at] ? 'number' : '' });
    heading.append(button(name, () => void this.#sort(name, heading)));
    return heading;
  }

  async #sort(name: string, heading: HTMLElement): Promise<void> {
    const isDescending = heading.ariaSort === 'ascending';
    const turn = ++this.#sorting;
    this.#box.setAttribute('aria-busy', 'true');
    const order = await sorted(this.#data[name] ?? [], isDescending);
    if (turn !== this.#sorting) return; // another column was asked for meanwhile
    this.#box.removeAttribute('aria-busy');
    this.#order = order;
    for (const other of this.#head.children) other.removeAttribute('aria-sort');
    heading.ariaSort = isDescending ? 'descending' : 'ascending';
    this.#draw();
  }

  #draw(): void {
    const fit = Math.ceil(HEIGHT / ROW);
    const scale = Math.max(1, (this.#count * ROW) / MAX_HEIGHT);
    const first = Math.max(0, Math.min(this.#count - fit + 1, Math.floor((this.#box.scrollTop * scale) / ROW)));
    const rows = Array.from({ length: Math.min(fit + 1, this.#count - first) }, (_, at) => this.#row(first + at));
    this.#body.replaceChildren(...rows);
  }

  #row(at: number): HTMLElement {
    const from = this.#order[at] ?? 0;
    const cells = this.#names.map((name, column) => {
      const text = cell(this.#data[name]?.[from]).slice(0, 500);
      return element('td', { textContent: text, title: text, className: this.#numeric[column] ? 'number' : '' });
    });
    const row = element('tr', {}, ...cells);
    row.setAttribute('aria-rowindex', String(at + 2));
    return row;
  }
}
