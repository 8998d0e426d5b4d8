/** How much work a browser has with an SVG: references (`use`, patterns, masks) can multiply a few lines into billions. */

const MAX_BYTES = 5_000_000;
const MAX_NODES = 500_000;
/** Slow at any size, or able to hide what is drawn how often. */
const SLOW = /<!ENTITY|feTurbulence|feGaussianBlur|feMorphology|feConvolveMatrix|<style[^>]*>[^<]*url\(/i;
const REFERENCE = /url\(\s*["']?#([^"')\s]+)/g;

/** Whether it may be drawn in the page's own process. If not, it goes into a frame. */
export function isLight(svg: string): boolean {
  if (svg.length > MAX_BYTES || SLOW.test(svg)) return false;
  const root = new DOMParser().parseFromString(svg, 'image/svg+xml').documentElement;
  try {
    return cost(root, new Map(), index(root)) <= MAX_NODES;
  } catch {
    return false; // nested too deeply to be walked
  }
}

function index(root: Element): Map<string, Element> {
  return new Map([...root.querySelectorAll('[id]')].map((each) => [each.id, each]));
}

/** Elements that are drawn for this one, those that it refers to included. A circle costs too much. */
function cost(start: Element, known: Map<Element, number>, ids: Map<string, Element>): number {
  const before = known.get(start);
  if (before !== undefined) return before;
  known.set(start, Infinity); // until it is known: what refers to itself has no end
  let total = 1;
  for (const target of referred(start, ids)) total += cost(target, known, ids);
  for (const child of start.children) {
    if (total > MAX_NODES) break;
    total += cost(child, known, ids);
  }
  known.set(start, total);
  return total;
}

function referred(from: Element, ids: Map<string, Element>): Element[] {
  const found: Element[] = [];
  for (const { name, value } of from.attributes) {
    const names = [...value.matchAll(REFERENCE)].map((match) => match[1] as string);
    if (/(^|:)href$/.test(name) && value.startsWith('#')) names.push(value.slice(1));
    for (const each of names) {
      const target = ids.get(each);
      if (target) found.push(target);
    }
  }
  return found;
}
