/** An exception: its name and value at once, its traceback on demand. */
import type { ErrorInfo } from '../events.ts';
export declare function failure({ name, value, traceback, hint }: ErrorInfo): HTMLElement;
