/** Markdown as elements: no HTML of its author's, nothing loaded, and sanitised once more. */
export declare function render(box: HTMLElement, source: string, math: (place: HTMLElement, formula: string) => void): void;
