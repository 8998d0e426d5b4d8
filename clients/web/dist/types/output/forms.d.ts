/** The forms that an item can be shown in, the best first. */
import type { Item } from '../events.ts';
import type { Active } from '../frame/frame.ts';
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
/** What the forms need from their element. */
export interface Surroundings {
    base: string;
}
export declare function forms(item: Item, { base }: Surroundings): Form[];
export declare function size(count: number): string;
