/** Lines of text as a terminal shows them: carriage return, backspace, erase, and cursor movement. No DOM. */

import { PLAIN, styled, type Style } from './style.ts';

/** The newest lines that a cursor can still reach. */
export const REACH = 200;
const MAX_COLUMNS = 20_000;
const MAX_SEQUENCE = 4_096;

export interface Run {
  text: string;
  style: Style;
}

/** One line. While nothing but plain text was appended it is a string; then a list of characters. */
export class Line {
  #text = '';
  #cells: [string, Style][] | null = null;
  /** Bumped with each change, so that a view knows what to draw again. */
  version = 0;
  isCut = false;

  get length(): number {
    return this.#cells ? this.#cells.length : this.#text.length;
  }

  /** Write at a column; returns the column behind it. */
  write(text: string, column: number, style: Style): number {
    this.version++;
    if (!this.#cells && style === PLAIN && column === this.#text.length && !/[\ud800-\udfff]/.test(text)) {
      this.#text += text.slice(0, MAX_COLUMNS - column);
      this.isCut ||= column + text.length > MAX_COLUMNS;
      return this.#text.length;
    }
    const cells = this.#split();
    let at = column;
    while (cells.length < at) cells.push([' ', PLAIN]);
    for (const character of text) {
      if (at >= MAX_COLUMNS) {
        this.isCut = true;
        break;
      }
      cells[at++] = [character, style];
    }
    return at;
  }

  /** `0`: from the column to the end; `1`: from the start to the column; `2`: all. */
  erase(how: number, column: number): void {
    this.version++;
    const cells = this.#split();
    if (how === 0) cells.length = Math.min(cells.length, column);
    else if (how === 1) for (let at = 0; at <= column && at < cells.length; at++) cells[at] = [' ', PLAIN];
    else cells.length = 0;
  }

  runs(): Run[] {
    if (!this.#cells) return this.#text ? [{ text: this.#text, style: PLAIN }] : [];
    const runs: Run[] = [];
    for (const [character, style] of this.#cells) {
      const last = runs[runs.length - 1];
      if (last?.style === style) last.text += character;
      else runs.push({ text: character, style });
    }
    return runs;
  }

  text(): string {
    return this.#cells ? this.#cells.map(([character]) => character).join('') : this.#text;
  }

  #split(): [string, Style][] {
    this.#cells ??= Array.from(this.#text, (character) => [character, PLAIN]);
    return this.#cells;
  }
}

/** A sequence that the kit understands, or knows how to skip; text without controls; or one control character. */
const TOKEN =
  /\x1b\[([0-9;:?<=>]*)[ -/]*([@-~])|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-OQ-WYZ\\`-~]|[^\x00-\x08\x0a-\x1f\x7f]+|[^]/g;
/** The start of a sequence at the end of a piece, whose rest is in the next one. */
const UNFINISHED = /\x1b(?:\[[0-9;:?<=>]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)?$/;

export class Terminal {
  readonly lines: Line[] = [new Line()];
  /** How many lines were dropped from the start. */
  dropped = 0;
  readonly #keep: number;
  #row = 0;
  #column = 0;
  #style = PLAIN;
  #rest = '';

  constructor(keep = 5_000) {
    this.#keep = keep;
  }

  write(piece: string): void {
    let text = this.#rest + piece;
    this.#rest = '';
    const start = text.lastIndexOf('\x1b');
    const unfinished = start >= 0 && text.length - start < MAX_SEQUENCE ? UNFINISHED.exec(text.slice(this.#from(text, start))) : null;
    if (unfinished) {
      this.#rest = unfinished[0];
      text = text.slice(0, text.length - unfinished[0].length);
    }
    for (const [token, parameters, command] of text.matchAll(TOKEN)) {
      if (command !== undefined) this.#command(command, parameters ?? '');
      else if (token === '\n') this.#newline();
      else if (token === '\r') this.#column = 0;
      else if (token === '\b') this.#column = Math.max(0, this.#column - 1);
      else if (token.charCodeAt(0) >= 32 && token !== '\x7f') this.#print(token);
      else if (token.startsWith('\t')) this.#print(token);
    }
    if (this.lines.length > this.#keep) this.#drop(this.lines.length - this.#keep);
  }

  /** All text, without styles. */
  text(): string {
    return this.lines.map((line) => line.text()).join('\n');
  }

  /** A string terminator starts with an escape too: look at the one before it. */
  #from(text: string, start: number): number {
    const before = start === text.length - 1 ? text.lastIndexOf('\x1b', start - 1) : -1;
    return before >= 0 && start - before < MAX_SEQUENCE ? before : start;
  }

  #print(text: string): void {
    const line = this.lines[this.#row];
    if (line) this.#column = line.write(text, this.#column, this.#style);
  }

  #newline(): void {
    this.#row++;
    this.#column = 0;
    if (this.#row === this.lines.length) this.lines.push(new Line());
    // Twice what is kept is enough to drop in one go, however much comes in one piece.
    if (this.lines.length > 2 * this.#keep) this.#drop(this.#keep);
  }

  #drop(count: number): void {
    const most = Math.min(count, this.#row);
    this.lines.splice(0, most);
    this.dropped += most;
    this.#row -= most;
  }

  #command(command: string, parameters: string): void {
    const number = Number.parseInt(parameters, 10) || 0;
    const count = Math.min(Math.max(number, 1), MAX_COLUMNS);
    const line = this.lines[this.#row];
    if (command === 'm' && !/[?<=>]/.test(parameters)) this.#style = styled(this.#style, parameters);
    else if (command === 'K') line?.erase(number, this.#column);
    else if (command === 'J') this.#eraseBelow(number);
    else if (command === 'A' || command === 'F') this.#up(count, command === 'F');
    else if (command === 'B' || command === 'E') this.#down(count, command === 'E');
    else if (command === 'C') this.#column = Math.min(this.#column + count, MAX_COLUMNS);
    else if (command === 'D') this.#column = Math.max(0, this.#column - count);
    else if (command === 'G') this.#column = count - 1;
  }

  #up(count: number, isToStart: boolean): void {
    this.#row = Math.max(this.#row - count, this.lines.length - REACH, 0);
    if (isToStart) this.#column = 0;
  }

  #down(count: number, isToStart: boolean): void {
    this.#row = Math.min(this.#row + count, this.lines.length - 1);
    if (isToStart) this.#column = 0;
  }

  /** A screen that is cleared keeps what it showed: scrolled away, as a terminal's history keeps it. */
  #eraseBelow(how: number): void {
    if (how !== 0) return;
    this.lines[this.#row]?.erase(0, this.#column);
    for (const line of this.lines.slice(this.#row + 1)) line.erase(2, 0);
  }
}
