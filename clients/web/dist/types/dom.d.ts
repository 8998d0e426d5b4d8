/** Elements from a tag, properties and children. */
type Child = Node | string;
export declare function element<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, properties?: Partial<HTMLElementTagNameMap[Tag]>, ...children: Child[]): HTMLElementTagNameMap[Tag];
/** An element with names that CSS and `::part()` find. */
export declare function part(tag: 'div' | 'p' | 'pre' | 'figure', name: string, ...children: Child[]): HTMLElement;
export declare function button(label: string, press: () => void): HTMLButtonElement;
export {};
