/** Vega and Vega-Lite for the frame: expressions are interpreted, and nothing is loaded. */
export {};
