/** The style sheet that all elements share. */
export declare function sheet(): CSSStyleSheet;
