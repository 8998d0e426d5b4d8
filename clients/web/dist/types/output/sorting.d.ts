/** The order of many values, found in pieces so that the page goes on meanwhile. */
/** Numbers before text, and what is missing last, whatever the direction. */
export declare function compare(a: unknown, b: unknown): number;
/** The places of the values in order. Equal values stay as they were. */
export declare function sorted(values: readonly unknown[], isDescending: boolean): Promise<Uint32Array>;
