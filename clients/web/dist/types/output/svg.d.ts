/** How much work a browser has with an SVG: references (`use`, patterns, masks) can multiply a few lines into billions. */
/** Whether it may be drawn in the page's own process. If not, it goes into a frame. */
export declare function isLight(svg: string): boolean;
