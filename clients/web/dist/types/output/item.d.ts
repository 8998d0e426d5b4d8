/** One output in its best form, with the others, a copy and a download beside it. */
import type { Item } from '../events.ts';
import { type Active } from '../frame/frame.ts';
import { type Surroundings } from './forms.ts';
/** Where active content is shown. It belongs to the element, as one frame holds that of several items. */
export interface Stage extends Surroundings {
    /** Whether a frame can be had at all. */
    isOpen: boolean;
    show(shown: Shown, active: Active): void;
    hide(shown: Shown): void;
}
export declare class Shown {
    #private;
    readonly element: HTMLElement;
    readonly slot: number;
    isActive: boolean;
    constructor(item: Item, slot: number, stage: Stage);
    /** Show the best form that can be shown, or the one with this name. */
    show(name?: string): void;
    remove(): void;
    /** What a screen reader says of it. */
    get about(): string;
}
