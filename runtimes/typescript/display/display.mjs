/** The context's `display`: sends values, or data of a given type, while the cell runs. Main thread. */

import { inspect, types } from 'node:util';
import { bundleOf, cleanBundle } from './bundles.mjs';
import { LATEST, PLOTLY, vegaMime } from './charts.mjs';
import { toJson } from './json.mjs';
import { pictureData } from './pictures.mjs';
import { defineProperty, isArray, keys } from '../shared/primordials.mjs';
import { tableData, toRecords } from './tables.mjs';

/** `display.html(text)` and so on. */
const SHORTHANDS = {
  html: 'text/html', markdown: 'text/markdown', svg: 'image/svg+xml', latex: 'text/latex', json: 'application/json',
  javascript: 'application/javascript', png: 'image/png', jpeg: 'image/jpeg', gif: 'image/gif', webp: 'image/webp',
  pdf: 'application/pdf', text: 'text/plain', plotly: PLOTLY,
};
const { isPromise } = types;

/**
 * @typedef {object} DisplayOptions
 * @property {string | true} [display_id] - the name under which the output can be replaced; true makes one up
 * @property {boolean} [update] - replace what was shown under `display_id`
 * @property {object} [metadata]
 * @property {boolean} [raw] - the value is itself a MIME bundle
 */

export class Display {
  #post;
  #context;
  #ids = 0;

  /** @param {{post: (message: object) => void, context: {originId: number}}} options */
  constructor({ post, context }) {
    this.#post = post;
    this.#context = context;
  }

  /** Define the global `display` with its shorthands. */
  install() {
    const show = (made, options) => this.#show(made, options);
    const display = (value, options = {}) => show(options.raw ? cleanBundle(value) : bundleOf(value), options);
    for (const name of keys(SHORTHANDS)) display[name] = shorthand(SHORTHANDS[name], show);
    for (const name of keys(LATEST)) {
      display[name] = (spec, options) => show(cleanBundle({ [vegaMime(spec?.$schema) ?? LATEST[name]]: spec }), options);
    }
    display.image = (value, options) => show(imageBundle(value), options);
    display.table = (value, { columns, ...options } = {}) =>
      show({ data: tableData(toRecords(value), { columns }) }, options);
    display.update = (value, options) => show(bundleOf(value), { ...options, update: true });
    display.clear = (wait = false) => {
      this.#post({ type: 'clear_output', cell: this.#context.originId, wait: Boolean(wait) });
    };
    defineProperty(globalThis, 'display', { value: display, writable: true, enumerable: false, configurable: true });
  }

  /** @returns {import('./bundles.mjs').Bundle | Promise<import('./bundles.mjs').Bundle>} */
  bundleOf(value) {
    return bundleOf(value);
  }

  /**
   * Send at once when possible: displays and writes keep their order.
   * @param {{data: object} | Promise<{data: object}>} made
   * @param {DisplayOptions} [options]
   * @returns {Promise<void> & {display_id?: string, update?: (value: any) => Promise<void>}}
   */
  #show(made, { metadata = {}, display_id: wanted, update = false } = {}) {
    const displayId = this.#idOf(wanted, update);
    const message = {
      type: 'display', cell: this.#context.originId, metadata: toJson(metadata), displayId, update: Boolean(update),
    };
    const sent = isPromise(made) ? this.#postLater(message, made) : this.#postNow(message, made);
    if (displayId === undefined) return sent;
    sent.display_id = displayId;
    sent.update = (value) => this.#show(bundleOf(value), { display_id: displayId, update: true });
    return sent;
  }

  #idOf(wanted, update) {
    if (wanted === true) return `display-${process.pid}-${++this.#ids}`;
    if (wanted === undefined && !update) return undefined;
    if (typeof wanted === 'string' && wanted !== '') return wanted;
    const allowed = update ? 'the text that it was shown with' : 'a text, or true for a new one';
    throw new TypeError(`display_id must be ${allowed}, got ${inspect(wanted)}`);
  }

  /** The promise is what `display` gives: awaited or not, as the last expression of a cell it is no result. */
  async #postNow(message, { data }) {
    this.#post({ ...message, data });
  }

  async #postLater(message, made) {
    const { data } = await made;
    this.#post({ ...message, data });
  }
}

/** Also a tag for template literals: display.html`<b>${name}</b>`. */
function shorthand(mime, show) {
  return (value, ...rest) => {
    const isTemplate = isArray(value) && isArray(value.raw);
    if (!isTemplate) return show(cleanBundle({ [mime]: value }), rest[0]);
    let text = value[0];
    for (let i = 0; i < rest.length; i++) text += `${rest[i]?.outerHTML ?? rest[i]}${value[i + 1]}`;
    return show(cleanBundle({ [mime]: text }));
  };
}

function imageBundle(value) {
  const picture = value !== null && typeof value === 'object' ? pictureData(value) : null;
  if (picture === null) {
    const given = inspect(value, { depth: 0 });
    throw new TypeError(`display.image takes the bytes of an image, a Blob or a canvas, got ${given}`);
  }
  return isPromise(picture) ? dataLater(picture) : { data: picture };
}

async function dataLater(promise) {
  return { data: await promise };
}
