/** The forms that an item can be shown in, the best first. */

import { element, part } from '../dom.ts';
import type { Item } from '../events.ts';
import type { Active } from '../frame/frame.ts';
import { chart } from './chart.ts';
import { load } from './parts.ts';
import { isLight } from './svg.ts';
import { columnsOf, csv, isColumns, table } from './table.ts';
import { textOf } from './text.ts';
import { tree } from './tree.ts';

/** One way to show an item: elements of ours, or content that only a frame may hold. */
export interface Form {
  name: string;
  show?: () => Element;
  active?: Active;
  /** What "copy" copies. */
  text?: () => string;
  /** What "download" saves. */
  file?: () => [name: string, type: string, content: string | Uint8Array<ArrayBuffer>];
}

const MAX_MARKDOWN = 200_000; // characters; longer ones are shown as text
const MAX_LATEX = 10_000;
const IMAGE = /^image\/(png|jpeg|gif|webp|avif|bmp)$/;

/** What the forms need from their element. */
export interface Surroundings {
  base: string;
}

export function forms(item: Item, { base }: Surroundings): Form[] {
  const extra = item.extra ?? {};
  const found: (Form | undefined)[] = [charted(item), ...specified(extra), tabled(item), drawn(item, extra)];
  if (item.svg !== undefined && isLight(item.svg)) found.push(svg(item.svg, item.text));
  found.push(...pictures(item, extra));
  if (item.latex !== undefined) found.push(latex(item.latex, base));
  if (item.html !== undefined) found.push(active('html', item.html, 'output.html', 'text/html'));
  if (item.svg !== undefined && !isLight(item.svg)) found.push(active('html', item.svg, 'output.svg', 'image/svg+xml'));
  if (item.javascript !== undefined) found.push(active('javascript', item.javascript, 'output.js', 'text/javascript'));
  if (item.markdown !== undefined) found.push(markdown(item.markdown, base));
  if (item.json !== undefined) found.push(json(item.json));
  if (item.pdf !== undefined) found.push(saved('PDF', 'output.pdf', 'application/pdf', item.pdf));
  if (item.text !== undefined) found.push(plain(item.text));
  const known = found.filter((form) => form !== undefined);
  return known.length ? known : others(extra);
}

function drawn(item: Item, extra: Record<string, unknown>): Form | undefined {
  // Rich JSON (records) reads better as a table; the tree is the next form.
  const columns = item.data === undefined && !Object.keys(extra).length ? columnsOf(item.json) : undefined;
  return columns && rows(columns);
}

function charted(item: Item): Form | undefined {
  const made = item.chart && chart(item.chart);
  return made && { name: 'chart', show: () => made, text: () => JSON.stringify(item.chart) };
}

function specified(extra: Record<string, unknown>): Form[] {
  return Object.entries(extra).flatMap(([type, data]) => {
    const kind = /^application\/vnd\.plotly\.v1/.test(type)
      ? 'plotly'
      : /^application\/vnd\.vega(lite)?\.v\d/.test(type)
        ? 'vega'
        : undefined;
    return kind ? [active(kind, data, `${kind}.json`, 'application/json')] : [];
  });
}

function tabled(item: Item): Form | undefined {
  return isColumns(item.data) ? rows(item.data) : undefined;
}

function rows(data: Record<string, unknown[]>): Form {
  return {
    name: 'table',
    show: () => table(data),
    text: () => csv(data),
    file: () => ['table.csv', 'text/csv', csv(data)],
  };
}

function active(kind: Active['kind'], data: unknown, name: string, type: string): Form {
  const text = (): string => (typeof data === 'string' ? data : JSON.stringify(data));
  return { name: kind, active: { kind, data }, text, file: () => [name, type, text()] };
}

function svg(source: string, about: string | undefined): Form {
  const url = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(source)}`;
  return {
    name: 'svg',
    show: () => image(url, about),
    text: () => source,
    file: () => ['image.svg', 'image/svg+xml', source],
  };
}

function pictures(item: Item, extra: Record<string, unknown>): Form[] {
  const all: Record<string, unknown> = { 'image/png': item.png, 'image/jpeg': item.jpeg, ...extra };
  return Object.entries(all).flatMap(([type, data]) => {
    if (!IMAGE.test(type) || typeof data !== 'string') return [];
    const base64 = data.replace(/\s/g, '');
    const name = type.slice('image/'.length);
    const show = (): Element => sized(image(`data:${type};base64,${base64}`, item.text), item.metadata?.[type] ?? item.metadata);
    return [{ name, show, file: () => [`image.${name}`, type, bytes(base64)] } satisfies Form];
  });
}

/** The width and height that a bundle's metadata give, in CSS pixels: half of what a picture for dense screens has. */
function sized(picture: HTMLImageElement, metadata: unknown): HTMLImageElement {
  const { width } = (metadata ?? {}) as { width?: unknown };
  if (typeof width === 'number' && width > 0) picture.style.width = `${Math.min(width, 10_000)}px`;
  return picture;
}

function image(source: string, about = ''): HTMLImageElement {
  const alt = about.slice(0, 300) || 'Picture';
  return element('img', { src: source, alt, decoding: 'async' });
}

function latex(source: string, base: string): Form {
  return {
    name: 'latex',
    text: () => source,
    show: () => {
      const box = part('div', 'latex');
      if (source.length > MAX_LATEX) return textOf(source).element;
      box.textContent = source; // until it is set, and for good if it cannot be
      void load<{ render(box: HTMLElement, source: string): void }>('katex', base)
        .then(({ render }) => render(box, source))
        .catch(() => box.replaceChildren(textOf(source).element));
      return box;
    },
  };
}

function markdown(source: string, base: string): Form {
  return {
    name: 'markdown',
    text: () => source,
    show: () => {
      const box = part('div', 'markdown');
      const asText = (): void => box.replaceChildren(textOf(source).element);
      asText();
      if (source.length > MAX_MARKDOWN) return box;
      const math = (place: HTMLElement, formula: string): void => place.replaceChildren(latex(formula, base).show?.() ?? formula);
      void load<{ render(box: HTMLElement, source: string, math: (place: HTMLElement, formula: string) => void): void }>(
        'markdown',
        base,
      )
        .then(({ render }) => render(box, source, math))
        .catch(asText);
      return box;
    },
  };
}

function json(value: unknown): Form {
  const text = (): string => JSON.stringify(value, null, 2);
  return { name: 'json', show: () => tree(value), text, file: () => ['output.json', 'application/json', text()] };
}

function plain(text: string): Form {
  return { name: 'text', show: () => textOf(text).element, text: () => text };
}

function saved(name: string, file: string, type: string, base64: string): Form {
  const show = (): Element => part('p', 'note', `${name}, ${size(base64.length * 0.75)}`);
  return { name, show, file: () => [file, type, bytes(base64)] };
}

/** What nothing here can show is named, and can be downloaded. */
function others(extra: Record<string, unknown>): Form[] {
  return Object.entries(extra).map(([type, data]) => {
    const content = typeof data === 'string' ? data : JSON.stringify(data);
    const show = (): Element => part('p', 'note', `${type}, ${size(content.length)}`);
    return { name: type, show, file: () => ['output.bin', 'application/octet-stream', decoded(content)] };
  });
}

export function size(count: number): string {
  return count < 1000 ? `${count} bytes` : count < 1e6 ? `${(count / 1e3).toFixed(0)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

function bytes(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
}

function decoded(content: string): string | Uint8Array<ArrayBuffer> {
  try {
    return bytes(content);
  } catch {
    return content;
  }
}
