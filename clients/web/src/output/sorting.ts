/** The order of many values, found in pieces so that the page goes on meanwhile. */

const PIECE = 20_000;

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

/** Numbers before text, and what is missing last, whatever the direction. */
export function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const left = typeof a === 'number' ? 0 : 1;
  const right = typeof b === 'number' ? 0 : 1;
  if (left !== right) return left - right;
  return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
}

/** The places of the values in order. Equal values stay as they were. */
export async function sorted(values: readonly unknown[], isDescending: boolean): Promise<Uint32Array> {
  const sign = isDescending ? -1 : 1;
  const before = (a: number, b: number): number => {
    const left = values[a] ?? null;
    const right = values[b] ?? null;
    if (left === null || right === null) return left === right ? a - b : left === null ? 1 : -1;
    return sign * compare(left, right) || a - b;
  };
  let from = Uint32Array.from({ length: values.length }, (_, at) => at);
  for (let start = 0; start < from.length; start += PIECE) {
    from.subarray(start, start + PIECE).sort(before);
    if (start) await pause();
  }
  let to = new Uint32Array(from.length);
  for (let width = PIECE; width < from.length; width *= 2) {
    for (let start = 0; start < from.length; start += 2 * width) {
      await merge(from, to, start, Math.min(start + width, from.length), Math.min(start + 2 * width, from.length), before);
    }
    [from, to] = [to, from];
  }
  return from;
}

async function merge(
  from: Uint32Array,
  to: Uint32Array,
  start: number,
  middle: number,
  end: number,
  before: (a: number, b: number) => number,
): Promise<void> {
  let left = start;
  let right = middle;
  for (let at = start; at < end; at++) {
    const isLeft = right >= end || (left < middle && before(from[left] as number, from[right] as number) <= 0);
    to[at] = from[isLeft ? left++ : right++] as number;
    if (at % (4 * PIECE) === 0) await pause();
  }
}
