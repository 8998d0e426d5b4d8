/** What a client may put into a request is any JSON: here it becomes what the kernel works with. Worker thread; pure. */

import { VALUES } from '../shared/mime.mjs';

/**
 * @param {Record<string, any>} content
 * @returns {string} its `code`
 * @throws {TypeError}
 */
export function codeOf({ code }) {
  if (typeof code !== 'string') throw new TypeError(`code must be a string, not ${kindOf(code)}`);
  return code;
}

/** @param {Record<string, any>} content @returns {number | undefined} its `cursor_pos`, if it has one @throws {TypeError} */
export function cursorOf({ cursor_pos: position }) {
  if (position === undefined || position === null) return undefined;
  if (typeof position !== 'number') throw new TypeError(`cursor_pos must be a number, not ${kindOf(position)}`);
  return position;
}

/** @param {Record<string, any>} content @returns {Record<string, unknown>} its `user_expressions` @throws {TypeError} */
export function expressionsOf({ user_expressions: expressions }) {
  if (expressions === undefined || expressions === null) return {};
  if (!isObject(expressions)) throw new TypeError(`user_expressions must be an object, not ${kindOf(expressions)}`);
  return expressions;
}

/**
 * Take the cell's environment out of the request, so that nothing after this can show it. What is no string is left out.
 * @param {import('../transport/messages.mjs').Message} message
 * @returns {Record<string, string> | null}
 */
export function takeEnvironment({ metadata }) {
  const { env_vars: variables } = metadata;
  if (variables === undefined) return null;
  delete metadata.env_vars;
  if (!isObject(variables)) return null;
  return Object.fromEntries(Object.entries(variables).filter(([, value]) => typeof value === 'string'));
}

/**
 * What is no natural number is no bound.
 * @param {Record<string, any>} metadata
 * @returns {{stream_bytes?: number, item_bytes?: number}}
 */
export function limitsOf({ output_limits: limits }) {
  if (!isObject(limits)) return {};
  const { stream_bytes: streamBytes, item_bytes: itemBytes } = limits;
  return { stream_bytes: natural(streamBytes), item_bytes: natural(itemBytes) };
}

/**
 * The data of a bundle as its execution wants it: the JSON of a value only where that was asked for.
 * @param {Record<string, any>} data
 * @param {import('./execution.mjs').Execution | undefined} execution
 * @returns {Record<string, any>}
 */
export function shownData(data, execution) {
  if (!(VALUES in data)) return data;
  const { [VALUES]: values, ...shown } = data;
  return execution?.wantsValues ? { ...shown, 'application/json': values } : shown;
}

function natural(value) {
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @param {unknown} value @returns {string} as JSON calls it */
export function kindOf(value) {
  if (value === undefined || value === null) return `${value}`;
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
