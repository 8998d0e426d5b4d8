/** A plane with axes, a grid, a title and a legend, on which charts are drawn. */

export type Extent = [number, number];
type Point = [number, number];

const COLORS = ['#3b6fb6', '#c8553d', '#3f8f4f', '#8a5fb0', '#b58a1b', '#2d8f97', '#b0507f', '#6b6b6b'];
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [640, 360, 64, 130, 34, 46];

export function shape(tag: string, attributes: Record<string, string | number> = {}, ...children: (Node | string)[]): Element {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

export interface Axes {
  names?: string[] | undefined;
  yNames?: string[] | undefined;
  isTime?: boolean;
  /** No room around what is drawn, at the sides. */
  isExact?: boolean;
  /** No axes. */
  isBare?: boolean;
}

export class Plane {
  readonly svg: Element;
  readonly #x: Scale;
  readonly #y: Scale;

  private constructor(data: Record<string, unknown>, x: Scale, y: Scale, axes: Axes) {
    const title = data.title ? String(data.title).slice(0, 200) : '';
    this.#x = x;
    this.#y = y;
    this.svg = shape('svg', {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      class: 'chart',
      role: 'img',
      'aria-label': `${String(data.type).replace(/_/g, ' ')} chart${title && `: ${title}`}`,
      'font-size': 12,
      fill: 'currentColor',
    });
    const middle = (LEFT + WIDTH - RIGHT) / 2;
    this.#text(title, { x: middle, y: 20, 'text-anchor': 'middle', 'font-weight': 600 });
    if (axes.isBare) return;
    this.#grid(axes);
    this.#text(unit(data.x_label, data.x_unit), { x: middle, y: HEIGHT - 8, 'text-anchor': 'middle' });
    const turn = `translate(14 ${(HEIGHT - BOTTOM + TOP) / 2}) rotate(-90)`;
    this.#text(unit(data.y_label, data.y_unit), { transform: turn, 'text-anchor': 'middle' });
  }

  /** A plane for these values; undefined when there is nothing to draw. */
  static of(data: Record<string, unknown>, xs: Extent, ys: Extent, axes: Axes): Plane | undefined {
    const x = new Scale(xs, data.x_scale === 'log', axes.isExact ? 0 : 0.03, LEFT, WIDTH - RIGHT);
    const y = new Scale(ys, data.y_scale === 'log', 0.05, HEIGHT - BOTTOM, TOP);
    return x.isUsable && y.isUsable ? new Plane(data, x, y, axes) : undefined;
  }

  at(x: number, y: number): Point {
    return [this.#x.place(x), this.#y.place(y)];
  }

  line(points: Point[], series: number): void {
    let isDown = false; // a missing value lifts the pen
    const path = points.map(([x, y]) => {
      const is = Number.isFinite(x) && Number.isFinite(y);
      const step = is ? `${isDown ? 'L' : 'M'}${x.toFixed(1)},${y.toFixed(1)}` : '';
      isDown = is;
      return step;
    });
    this.svg.append(shape('path', { d: path.join(''), fill: 'none', stroke: tint(series), 'stroke-width': 1.8 }));
  }

  dots(points: Point[], series: number): void {
    const found = points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
    const path = found.map(([x, y]) => `M${x.toFixed(1)},${y.toFixed(1)}h0`).join('');
    const look = { stroke: tint(series), 'stroke-width': 6, 'stroke-linecap': 'round', 'stroke-opacity': 0.75 };
    this.svg.append(shape('path', { d: path, ...look }));
  }

  box(x0: number, x1: number, y0: number, y1: number, series: number, about: string): void {
    const [left, first] = this.at(x0, y0);
    const [right, second] = this.at(x1, y1);
    const height = Math.abs(second - first);
    if (!Number.isFinite(left + height)) return;
    const place = { x: left, y: Math.min(first, second), width: Math.max(0, right - left), height };
    this.svg.append(shape('rect', { ...place, fill: tint(series) }, shape('title', {}, about)));
  }

  stroke(x0: number, x1: number, y0: number, y1: number): void {
    const [left, first] = this.at(x0, y0);
    const [right, second] = this.at(x1, y1);
    this.svg.append(shape('line', { x1: left, x2: right, y1: first, y2: second, stroke: 'currentColor' }));
  }

  slice(from: number, to: number, series: number, about: string): void {
    const [x, y, radius] = [(LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT) / 2, 145];
    const edge = (angle: number): string => `${x + radius * Math.cos(angle)},${y + radius * Math.sin(angle)}`;
    const arc = `A${radius},${radius} 0 ${to - from > Math.PI ? 1 : 0} 1 ${edge(to)}`;
    this.svg.append(shape('path', { d: `M${x},${y}L${edge(from)}${arc}Z`, fill: tint(series) }, shape('title', {}, about)));
  }

  /** Names beside their colours, but for those that matplotlib makes up. */
  legend(names: string[]): void {
    const known = names.map((name, at) => [name, at] as const).filter(([name]) => name && !/^(_child|Line )\d+$/.test(name));
    known.slice(0, 14).forEach(([name, series], at) => {
      const [x, y] = [WIDTH - RIGHT + 12, TOP + at * 18];
      this.svg.append(shape('rect', { x, y, width: 11, height: 11, fill: tint(series) }));
      this.#text(name.slice(0, 16), { x: x + 16, y: y + 10 });
    });
  }

  #grid(axes: Axes): void {
    for (const [value, text] of this.#y.ticks(axes.yNames)) {
      const y = this.#y.place(value);
      this.svg.append(shape('line', { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y, stroke: 'currentColor', 'stroke-opacity': 0.15 }));
      this.#text(text, { x: LEFT - 6, y: y + 4, 'text-anchor': 'end' });
    }
    for (const [value, text] of this.#x.ticks(axes.names, axes.isTime)) {
      this.#text(text, { x: this.#x.place(value), y: HEIGHT - BOTTOM + 18, 'text-anchor': 'middle' });
    }
  }

  #text(text: string, attributes: Record<string, string | number>): void {
    if (text) this.svg.append(shape('text', attributes, text));
  }
}

class Scale {
  readonly #low: number;
  readonly #high: number;
  readonly #isLog: boolean;
  readonly #from: number;
  readonly #to: number;

  constructor([low, high]: Extent, isLog: boolean, margin: number, from: number, to: number) {
    this.#isLog = isLog && low > 0;
    const [first, last] = this.#isLog ? [Math.log10(low), Math.log10(high)] : [low, high];
    const room = (last - first || Math.abs(first) || 1) * margin;
    this.#low = first - (low === 0 && margin === 0.05 ? 0 : room); // bars stand on the axis
    this.#high = last + room || 1;
    this.#from = from;
    this.#to = to;
  }

  get isUsable(): boolean {
    return Number.isFinite(this.#high - this.#low) && this.#high > this.#low;
  }

  place(value: number): number {
    const at = this.#isLog ? Math.log10(value) : value;
    return this.#from + ((at - this.#low) / (this.#high - this.#low)) * (this.#to - this.#from);
  }

  /** Round values in view with their texts; names where there are some, as many as there is room for. */
  ticks(names?: string[], isTime = false): [number, string][] {
    if (names) {
      const every = Math.ceil(names.length / 12);
      return names.map((name, at): [number, string] => [at, name.slice(0, 12)]).filter(([at]) => at % every === 0);
    }
    return this.#round().map((at) => {
      const value = this.#isLog ? 10 ** at : at;
      return [value, isTime ? date(value, this.#high - this.#low) : short(value)];
    });
  }

  #round(): number[] {
    const raw = (this.#high - this.#low) / 5;
    const power = 10 ** Math.floor(Math.log10(raw));
    const factor = raw / power;
    const step = (factor < 1.5 ? 1 : factor < 3 ? 2 : factor < 7 ? 5 : 10) * power;
    const first = Math.ceil(this.#low / step);
    const count = Math.min(20, Math.floor(this.#high / step) - first + 1);
    return Array.from({ length: Math.max(0, count) }, (_, at) => Number(((first + at) * step).toPrecision(12)));
  }
}

function tint(series: number): string {
  return COLORS[series % COLORS.length] as string;
}

function short(value: number): string {
  const size = Math.abs(value);
  return size >= 1e6 || (size > 0 && size < 1e-3) ? value.toExponential(1) : String(Number(value.toPrecision(6)));
}

function date(value: number, span: number): string {
  const text = new Date(value).toISOString();
  return span < 2 * 86_400_000 ? text.slice(11, 16) : text.slice(0, 10);
}

function unit(label: unknown, of: unknown): string {
  return label ? `${String(label).slice(0, 100)}${of && !String(label).includes(String(of)) ? ` (${String(of)})` : ''}` : '';
}
