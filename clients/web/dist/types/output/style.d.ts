/** How text looks, as its control sequences (SGR, ECMA-48 8.3.117) say. */
export interface Style {
    readonly color?: string;
    readonly background?: string;
    readonly bold?: boolean;
    readonly dim?: boolean;
    readonly italic?: boolean;
    readonly underline?: boolean;
    readonly strike?: boolean;
    readonly reverse?: boolean;
}
export declare const PLAIN: Style;
/** The style after a sequence with these parameters (`1;31`). */
export declare function styled(before: Style, parameters: string): Style;
