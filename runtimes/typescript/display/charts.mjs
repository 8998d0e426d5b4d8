/** Chart specifications that notebooks draw: Vega, Vega-Lite, Plotly. Main thread. */

import { isArray, regExpExec } from '../shared/primordials.mjs';
import { isPlain } from './json.mjs';

export const PLOTLY = 'application/vnd.plotly.v1+json';
/** What `display.vega` and `display.vegalite` assume of a specification that names no version. */
export const LATEST = { vega: 'application/vnd.vega.v5+json', vegalite: 'application/vnd.vegalite.v5+json' };
/** Plotly's trace types; `\w*` where there are variants such as `scatter3d` and `scattergl`. */
const TRACE_TYPES = new RegExp(`^(?:${[
  'bar', 'barpolar', 'box', 'candlestick', 'carpet', 'choropleth\\w*', 'cone', 'contour\\w*', 'densitymap\\w*',
  'funnel\\w*', 'heatmap\\w*', 'histogram\\w*', 'icicle', 'image', 'indicator', 'isosurface', 'mesh3d', 'ohlc',
  'parcats', 'parcoords', 'pie', 'sankey', 'scatter\\w*', 'splom', 'streamtube', 'sunburst', 'surface', 'table',
  'treemap', 'violin', 'volume', 'waterfall',
].join('|')})$`);
const { isView } = ArrayBuffer;

/** @returns {{mime: string, spec: object} | null} the chart that an object describes */
export function chartOf(value) {
  const spec = typeof value.toSpec === 'function' ? value.toSpec() : value;
  if (spec === null || typeof spec !== 'object') return null;
  const mime = vegaMime(spec.$schema) ?? (isPlain(spec) && isPlotly(spec) ? PLOTLY : null);
  return mime === null ? null : { mime, spec };
}

/** @returns {string | null} */
export function vegaMime(schema) {
  const match = typeof schema === 'string' ? regExpExec(/\/(vega|vega-lite)\/v(\d+)[^/]*\.json$/, schema) : null;
  return match === null ? null : `application/vnd.${match[1] === 'vega' ? 'vega' : 'vegalite'}.v${match[2]}+json`;
}

/** A figure is traces with a layout, or traces that say themselves what they draw. */
function isPlotly({ data, layout }) {
  if (!isArray(data) || data.length === 0 || (layout !== undefined && !isPlain(layout))) return false;
  for (let i = 0; i < data.length; i++) if (!isTrace(data[i], layout !== undefined)) return false;
  return true;
}

function isTrace(trace, hasLayout) {
  if (!isPlain(trace)) return false;
  if (typeof trace.type === 'string' && regExpExec(TRACE_TYPES, trace.type) !== null) return true;
  return hasLayout && trace.type === undefined && (isList(trace.x) || isList(trace.y));
}

function isList(value) {
  return isArray(value) || isView(value);
}
