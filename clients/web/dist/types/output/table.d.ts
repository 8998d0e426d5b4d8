/** A table from columns of values. Only the rows in view are in the document, so that a million of them stay smooth. */
export type Columns = Record<string, unknown[]>;
/** Whether it is what a table is made of: lists of one length under names. */
export declare function isColumns(data: unknown): data is Columns;
/** A list of objects as columns; undefined for anything else. */
export declare function columnsOf(value: unknown): Columns | undefined;
export declare function cell(value: unknown): string;
/** Comma-separated values, for a download. Text that a spreadsheet would run as a formula gets an apostrophe. */
export declare function csv(data: Columns): string;
export declare function table(data: Columns): HTMLElement;
