/** An exception: its name and value at once, its traceback on demand. */

import { element, part } from '../dom.ts';
import type { ErrorInfo } from '../events.ts';
import { textOf } from './text.ts';

export function failure({ name, value, traceback, hint }: ErrorInfo): HTMLElement {
  const said = [element('b', { textContent: name }), value ? `: ${value.slice(0, 2_000)}` : ''];
  const box = part('div', 'error');
  if (traceback) box.append(element('details', {}, element('summary', {}, ...said), textOf(traceback, 'traceback').element));
  else box.append(element('p', {}, ...said));
  if (hint) box.append(part('p', 'hint', hint));
  return box;
}
