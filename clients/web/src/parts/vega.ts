/** Vega and Vega-Lite for the frame: expressions are interpreted, and nothing is loaded. */

import { type Loader, type Spec, View, parse } from 'vega';
import { expressionInterpreter } from 'vega-interpreter';
import { type TopLevelSpec, compile } from 'vega-lite';

const refuse = (what: string): Promise<never> => Promise.reject(new Error(`${what} is not loaded: output may not use the network`));

const loader = {
  load: refuse,
  http: refuse,
  file: refuse,
  sanitize: (uri: string) => (uri.startsWith('data:image/') ? Promise.resolve({ href: uri }) : refuse(uri)),
} as unknown as Loader;

async function show(box: HTMLElement, spec: { $schema?: string }): Promise<void> {
  const isLite = !/\/vega\/v\d/.test(spec.$schema ?? '');
  const full = isLite ? compile(spec as TopLevelSpec).spec : (spec as Spec);
  const view = new View(parse(full, undefined, { ast: true }), { expr: expressionInterpreter, loader, renderer: 'svg', container: box, hover: true });
  await view.runAsync();
}

Object.assign(globalThis, { polyreplVega: show });
