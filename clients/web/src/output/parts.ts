/** Where the files are that are loaded only when an output needs them. */

/** The hash of each part's content, filled in by the build: a part can be kept for ever under its address. */
declare const PARTS: Record<string, string>;

export type PartName = 'markdown' | 'katex' | 'vega' | 'plotly-basic' | 'plotly';

/** `load` gives a part's source (vega, plotly, frame) or module (markdown, katex) without a request: for pages of one file. */
export interface Settings {
  base: string;
  parts: Record<string, () => Promise<unknown>>;
}

export const settings: Settings = { base: new URL('.', import.meta.url).href, parts: {} };

const texts = new Map<string, Promise<string>>();

function address(file: string, base: string): string {
  return `${base}${file}${PARTS[file] ? `?v=${PARTS[file]}` : ''}`;
}

export async function load<Module>(name: PartName, base: string): Promise<Module> {
  const given = settings.parts[name];
  return (await (given ? given() : import(address(`parts/${name}.js`, base)))) as Module;
}

/** The text of a file of the kit. A request that failed is made again the next time. */
export function source(file: string, base: string): Promise<string> {
  const given = settings.parts[file];
  if (given) return given() as Promise<string>;
  const url = address(file, base);
  let text = texts.get(url);
  if (!text) {
    text = fetch(url).then((answer) => (answer.ok ? answer.text() : Promise.reject(new Error(`${url}: ${answer.status}`))));
    text.catch(() => texts.delete(url));
    texts.set(url, text);
  }
  return text;
}
