/** LaTeX as MathML, which browsers draw without fonts or styles of ours. */
/** Put a formula into a box. Throws what KaTeX throws when it cannot be read. */
export declare function render(box: HTMLElement, source: string): void;
