/** JSON as a tree that opens on demand. */

import { button, element } from '../dom.ts';

const PAGE = 100; // children at once
const LONGEST = 2_000; // characters of one string

export function tree(value: unknown, isOpen = true): HTMLElement {
  const box = element('div', { className: 'tree' });
  box.append(node(value, null, isOpen));
  return box;
}

function node(value: unknown, key: string | null, isOpen = false): HTMLElement {
  const name = key === null ? [] : [element('span', { className: 'key', textContent: `${key}: ` })];
  if (value === null || typeof value !== 'object') {
    return element('div', { className: 'leaf' }, ...name, element('span', { className: typeof value, textContent: leaf(value) }));
  }
  const isList = Array.isArray(value);
  const keys = Object.keys(value);
  const size = isList ? `[${keys.length}]` : `{${keys.length}}`;
  const details = element('details', {}, element('summary', {}, ...name, element('span', { className: 'size', textContent: size })));
  const fill = (): void => {
    if (details.childElementCount === 1) grow(details, value as Record<string, unknown>, keys, 0);
  };
  details.addEventListener('toggle', () => details.open && fill());
  if (isOpen && keys.length <= PAGE) {
    details.open = true;
    fill();
  }
  return details;
}

function grow(details: HTMLElement, value: Record<string, unknown>, keys: string[], from: number): void {
  for (const key of keys.slice(from, from + PAGE)) details.append(node(value[key], key));
  const left = keys.length - from - PAGE;
  if (left <= 0) return;
  const more = button(`${left.toLocaleString('en')} more`, () => {
    more.remove();
    grow(details, value, keys, from + PAGE);
  });
  details.append(more);
}

function leaf(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
