/** Active content in two nested frames, one pair for an execution: what its code can reach ends there. */
export interface Active {
    kind: 'html' | 'javascript' | 'plotly' | 'vega';
    data: unknown;
}
/** Content that is larger waits for a click. */
export declare const LARGE = 2000000;
export interface Place {
    base: string;
    /** The address of the outer frame, or `srcdoc`: its text inside the page, which WebRTC can get out of. */
    url: string;
    theme: string;
}
/** Dispatches `polyrepl-frame` events with the reports of its content, and `polyrepl-unavailable` if no frame answers. */
export declare class Frame {
    #private;
    readonly element: HTMLElement;
    constructor(place: Place);
    /** Show content in a place of its own, or in place of what is there. */
    show(slot: number, { kind, data }: Active): void;
    remove(slot: number): void;
    /** End the frame and its process, whatever it does. With a reason that stays; without one nothing stays. */
    close(reason?: string): void;
}
