/** LaTeX as MathML, which browsers draw without fonts or styles of ours. */

import katex from 'katex';

// A formula may not load, link or style anything, nor grow without end.
const OPTIONS = { trust: false, maxExpand: 500, maxSize: 50, throwOnError: true, strict: false, output: 'mathml' } as const;

/** Put a formula into a box. Throws what KaTeX throws when it cannot be read. */
export function render(box: HTMLElement, source: string): void {
  const trimmed = source.trim();
  const isDisplay = !/^\$[^$]/.test(trimmed) || /^\$\\displaystyle/.test(trimmed);
  const formula = trimmed.replace(/^(\$\$?|\\\[|\\\()/, '').replace(/(\$\$?|\\\]|\\\))$/, '');
  katex.render(formula, box, { ...OPTIONS, displayMode: isDisplay });
}
