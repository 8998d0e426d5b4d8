/** Lines of text as a terminal shows them: carriage return, backspace, erase, and cursor movement. No DOM. */
import { type Style } from './style.ts';
/** The newest lines that a cursor can still reach. */
export declare const REACH = 200;
export interface Run {
    text: string;
    style: Style;
}
/** One line. While nothing but plain text was appended it is a string; then a list of characters. */
export declare class Line {
    #private;
    /** Bumped with each change, so that a view knows what to draw again. */
    version: number;
    isCut: boolean;
    get length(): number;
    /** Write at a column; returns the column behind it. */
    write(text: string, column: number, style: Style): number;
    /** `0`: from the column to the end; `1`: from the start to the column; `2`: all. */
    erase(how: number, column: number): void;
    runs(): Run[];
    text(): string;
}
export declare class Terminal {
    #private;
    readonly lines: Line[];
    /** How many lines were dropped from the start. */
    dropped: number;
    constructor(keep?: number);
    write(piece: string): void;
    /** All text, without styles. */
    text(): string;
}
