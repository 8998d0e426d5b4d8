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

export const PLAIN: Style = {};

const STEPS = [0, 95, 135, 175, 215, 255];

/** The name of one of the first 16 colours, for a CSS class; others as `rgb()`. */
function color(n: number): string {
  if (n < 16) return String(n);
  if (n >= 232) return grey(8 + (n - 232) * 10);
  const at = n - 16;
  return `rgb(${STEPS[Math.floor(at / 36)]},${STEPS[Math.floor(at / 6) % 6]},${STEPS[at % 6]})`;
}

function grey(level: number): string {
  return `rgb(${level},${level},${level})`;
}

const byte = (n: number | undefined): number => Math.min(255, Math.max(0, n ?? 0));

/** `38;5;n` and `38;2;r;g;b`, from `at` on: the colour, and how many numbers it took. */
function extended(codes: readonly number[], at: number): [string | undefined, number] {
  if (codes[at + 1] === 5) return [color(byte(codes[at + 2])), 2];
  if (codes[at + 1] === 2) return [`rgb(${byte(codes[at + 2])},${byte(codes[at + 3])},${byte(codes[at + 4])})`, 4];
  return [undefined, 0];
}

const ON: Record<number, Style> = {
  1: { bold: true },
  2: { dim: true },
  3: { italic: true },
  4: { underline: true },
  7: { reverse: true },
  9: { strike: true },
};
const OFF: Record<number, readonly (keyof Style)[]> = {
  22: ['bold', 'dim'],
  23: ['italic'],
  24: ['underline'],
  27: ['reverse'],
  29: ['strike'],
  39: ['color'],
  49: ['background'],
};

/** The style after a sequence with these parameters (`1;31`). */
export function styled(before: Style, parameters: string): Style {
  const codes = parameters.slice(0, 200).split(/[;:]/).map(Number);
  let style: Record<string, unknown> = { ...before };
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at] ?? 0;
    if (!code) style = {};
    else if (ON[code]) Object.assign(style, ON[code]);
    else if (OFF[code]) for (const name of OFF[code]) delete style[name];
    else if (code >= 30 && code <= 37) style.color = color(code - 30);
    else if (code >= 40 && code <= 47) style.background = color(code - 40);
    else if (code >= 90 && code <= 97) style.color = color(code - 82);
    else if (code >= 100 && code <= 107) style.background = color(code - 92);
    else if (code === 38 || code === 48) {
      const [found, taken] = extended(codes, at);
      if (found !== undefined) style[code === 38 ? 'color' : 'background'] = found;
      at += taken;
    }
  }
  return Object.keys(style).length ? (style as Style) : PLAIN;
}
