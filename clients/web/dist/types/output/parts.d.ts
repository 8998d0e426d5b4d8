/** Where the files are that are loaded only when an output needs them. */
export type PartName = 'markdown' | 'katex' | 'vega' | 'plotly-basic' | 'plotly';
/** `load` gives a part's source (vega, plotly, frame) or module (markdown, katex) without a request: for pages of one file. */
export interface Settings {
    base: string;
    parts: Record<string, () => Promise<unknown>>;
}
export declare const settings: Settings;
export declare function load<Module>(name: PartName, base: string): Promise<Module>;
/** The text of a file of the kit. A request that failed is made again the next time. */
export declare function source(file: string, base: string): Promise<string>;
