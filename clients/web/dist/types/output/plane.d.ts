/** A plane with axes, a grid, a title and a legend, on which charts are drawn. */
export type Extent = [number, number];
type Point = [number, number];
export declare function shape(tag: string, attributes?: Record<string, string | number>, ...children: (Node | string)[]): Element;
export interface Axes {
    names?: string[] | undefined;
    yNames?: string[] | undefined;
    isTime?: boolean;
    /** No room around what is drawn, at the sides. */
    isExact?: boolean;
    /** No axes. */
    isBare?: boolean;
}
export declare class Plane {
    #private;
    readonly svg: Element;
    private constructor();
    /** A plane for these values; undefined when there is nothing to draw. */
    static of(data: Record<string, unknown>, xs: Extent, ys: Extent, axes: Axes): Plane | undefined;
    at(x: number, y: number): Point;
    line(points: Point[], series: number): void;
    dots(points: Point[], series: number): void;
    box(x0: number, x1: number, y0: number, y1: number, series: number, about: string): void;
    stroke(x0: number, x1: number, y0: number, y1: number): void;
    slice(from: number, to: number, series: number, about: string): void;
    /** Names beside their colours, but for those that matplotlib makes up. */
    legend(names: string[]): void;
}
export {};
