/** Text with ANSI sequences as elements: drawn in blocks of lines, only what changed, and folded when long. */
export declare class Text {
    #private;
    readonly element: HTMLElement;
    constructor(kind: string, keep?: number);
    push(text: string): void;
    text(): string;
    flush(): void;
}
/** Text that is all there. */
export declare function textOf(text: string, kind?: string): Text;
