/** Chart data of an item (`line`, `scatter`, `bar`, `pie`, `box_and_whisker`, `superchart`) as SVG of our own. */

import { element } from '../dom.ts';
import { Plane, type Extent } from './plane.ts';

type Data = Record<string, unknown>;
type Value = string | number | null;

const MOST = 50_000; // points; a picture shows more of them better

/** The chart, or undefined for kinds and shapes that it does not know. */
export function chart(data: Data): Element | undefined {
  const elements = list(data.elements);
  if (data.type === 'superchart') {
    const charts = elements.map(chart);
    if (!charts.length || charts.includes(undefined)) return undefined;
    return element('div', { className: 'charts' }, ...(charts as Element[]));
  }
  const draw = KINDS[String(data.type)];
  if (!draw || !elements.length || elements.length > MOST) return undefined;
  return draw(data, elements);
}

const KINDS: Record<string, (data: Data, elements: Data[]) => Element | undefined> = {
  line: points,
  scatter: points,
  bar: bars,
  pie,
  box_and_whisker: boxes,
};

function list(value: unknown): Data[] {
  return Array.isArray(value) ? value.filter((each) => each !== null && typeof each === 'object') : [];
}

function number(value: unknown): number {
  return typeof value === 'number' ? value : NaN;
}

function pairs(value: unknown): [Value, Value][] {
  return Array.isArray(value) ? value.filter((each): each is [Value, Value] => Array.isArray(each)) : [];
}

/** Numbers as they are, dates as milliseconds, other text as its place among the names. */
function scale(values: Value[]): { names?: string[]; isTime: boolean; place(value: Value): number } {
  const texts = values.filter((value) => typeof value === 'string');
  if (!texts.length) return { isTime: false, place: number };
  if (texts.every((text) => /^\d{4}-\d\d/.test(text) && !Number.isNaN(Date.parse(text)))) {
    return { isTime: true, place: (value) => (typeof value === 'string' ? Date.parse(value) : number(value)) };
  }
  const names = [...new Set(values.map(String))];
  const places = new Map(names.map((name, at) => [name, at]));
  return { names, isTime: false, place: (value) => places.get(String(value)) ?? NaN };
}

function points(data: Data, elements: Data[]): Element | undefined {
  const series = elements.map((each) => pairs(each.points));
  const all = series.flat();
  if (!all.length || all.length > MOST) return undefined;
  const x = scale(all.map(([value]) => value));
  const y = scale(all.map(([, value]) => value));
  const xs = extent(all.map(([value]) => x.place(value)));
  const ys = extent(all.map(([, value]) => y.place(value)));
  const plane = Plane.of(data, xs, ys, { ...x, yNames: y.names });
  if (!plane) return undefined;
  series.forEach((each, at) => {
    const places = each.map(([a, b]) => plane.at(x.place(a), y.place(b)));
    if (data.type === 'line') plane.line(places, at);
    else plane.dots(places, at);
  });
  plane.legend(elements.map((each) => String(each.label ?? '')));
  return plane.svg;
}

function bars(data: Data, elements: Data[]): Element | undefined {
  const names = [...new Set(elements.map((each) => String(each.label)))];
  const groups = [...new Set(elements.map((each) => String(each.group ?? '')))];
  const values = elements.map((each) => number(each.value));
  const plane = Plane.of(data, [-0.5, names.length - 0.5], extent([0, ...values]), { names, isExact: true });
  if (!plane) return undefined;
  const width = 0.8 / groups.length;
  elements.forEach((each, at) => {
    const group = groups.indexOf(String(each.group ?? ''));
    const left = names.indexOf(String(each.label)) - 0.4 + group * width;
    const value = values[at] ?? NaN;
    plane.box(left, left + width * 0.96, 0, value, group, `${each.label}: ${value}`);
  });
  if (groups.length > 1) plane.legend(groups);
  return plane.svg;
}

function boxes(data: Data, elements: Data[]): Element | undefined {
  const names = elements.map((each) => String(each.label));
  const numbers = (each: Data): number[] => (Array.isArray(each.outliers) ? each.outliers.map(number) : []);
  const ys = extent(elements.flatMap((each) => [number(each.min), number(each.max), ...numbers(each)]));
  const plane = Plane.of(data, [-0.5, names.length - 0.5], ys, { names, isExact: true });
  if (!plane) return undefined;
  elements.forEach((each, at) => {
    const [low, middle, high] = [number(each.first_quartile), number(each.median), number(each.third_quartile)];
    plane.stroke(at, at, number(each.min), low);
    plane.stroke(at, at, high, number(each.max));
    plane.box(at - 0.25, at + 0.25, low, high, 0, `${each.label}: median ${middle}`);
    plane.stroke(at - 0.25, at + 0.25, middle, middle);
    plane.dots(numbers(each).map((value) => plane.at(at, value)), 1);
  });
  return plane.svg;
}

function pie(data: Data, elements: Data[]): Element | undefined {
  const plane = Plane.of(data, [-1, 1], [-1, 1], { isBare: true });
  const total = elements.reduce((sum, each) => sum + (number(each.angle) || 0), 0);
  if (!plane || !(total > 0)) return undefined;
  let from = -Math.PI / 2;
  elements.forEach((each, at) => {
    const share = (number(each.angle) || 0) / total;
    const to = from + 2 * Math.PI * Math.min(share, 0.99999);
    plane.slice(from, to, at, `${each.label}: ${(100 * share).toFixed(1)} %`);
    from = to;
  });
  plane.legend(elements.map((each) => String(each.label)));
  return plane.svg;
}

function extent(values: number[]): Extent {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

