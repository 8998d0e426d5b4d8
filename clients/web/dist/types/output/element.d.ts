/** `<polyrepl-output>`: shows the result of an execution, or follows its events. */
import type { Event, Events, Result } from '../events.ts';
import { type Active } from '../frame/frame.ts';
import { Shown, type Stage } from './item.ts';
export type { ErrorInfo, Event, Events, Item, Result } from '../events.ts';
export { settings } from './parts.ts';
export interface InputDetail {
    prompt: string;
    password: boolean;
    answer(text: string): void;
}
export declare class PolyreplOutput extends HTMLElement implements Stage {
    #private;
    /** Sends an answer to `input()`. A stream that can do it itself needs none. */
    answer: ((text: string) => unknown) | undefined;
    isOpen: boolean;
    constructor();
    get base(): string;
    disconnectedCallback(): void;
    /** What `POST /execute` answers. */
    set result(result: Result);
    /** Show events until they end. A second call, or `result`, ends the first. */
    follow(events: Events): Promise<void>;
    push(event: Event): void;
    /** Show nothing. */
    clear(): void;
    /** Follow no longer. Interactive outputs end too. */
    stop(reason?: string): void;
    /** Stage: content that is active goes into the frame of this execution. */
    show(shown: Shown, active: Active): void;
    hide(shown: Shown): void;
}
declare global {
    interface HTMLElementTagNameMap {
        'polyrepl-output': PolyreplOutput;
    }
}
