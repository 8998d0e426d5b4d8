/** Chart data of an item (`line`, `scatter`, `bar`, `pie`, `box_and_whisker`, `superchart`) as SVG of our own. */
type Data = Record<string, unknown>;
/** The chart, or undefined for kinds and shapes that it does not know. */
export declare function chart(data: Data): Element | undefined;
export {};
