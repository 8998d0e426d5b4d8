/** What the kit, the outer and the inner frame say to each other. */
/** From the kit through the outer frame to the inner one. */
export type Command = {
    type: 'show';
    slot: number;
    kind: 'html' | 'javascript' | 'plotly' | 'vega';
    data: unknown;
} | {
    type: 'remove';
    slot: number;
} | {
    type: 'library';
    text: string;
} | {
    type: 'theme';
    theme: string;
};
/** From the outer frame to the kit. `hello` once; then at most 20 a second. */
export interface Report {
    hello?: true;
    height?: number;
    error?: string;
    blocked?: string;
    stopped?: string;
    shown?: number;
}
export declare const SANDBOX = "allow-scripts allow-downloads allow-forms allow-pointer-lock";
