/** Records as a table: HTML for people, its values for programs, text for both. Main thread. */

import { Console } from 'node:console';
import { inspect, types } from 'node:util';
import { isPlain, toJson } from './json.mjs';
import { escapeHtml } from './jsx.mjs';
import { VALUES } from '../shared/mime.mjs';
import {
  SafeSet, arrayJoin, arrayPush, arraySlice, hasOwn, isArray, keys, objectCreate, objectPrototype, stringTrimEnd,
} from '../shared/primordials.mjs';

/** More rows are in the data, not in what is drawn. */
const SHOWN_ROWS = 100;
const MAX_COLUMNS = 100;
const MAX_CHECKED_ROWS = 10_000;
const arrayFrom = Array.from;
const { isMap } = types;

/** @returns {boolean} whether a value is a list of records, each with at least one field */
export function isRecords(value) {
  if (!isArray(value) || value.length === 0 || value.length > MAX_CHECKED_ROWS) return false;
  for (let i = 0; i < value.length; i++) {
    const fields = isPlain(value[i]) ? keys(value[i]).length : 0;
    if (fields === 0 || fields > MAX_COLUMNS) return false;
  }
  return columnsOf(value).length <= MAX_COLUMNS;
}

/**
 * @param {object[]} records
 * @param {{columns?: string[], text?: string}} [options] - which fields to show, all by default; the plain text to give
 * @returns {Record<string, any>} MIME data
 */
export function tableData(records, { columns = columnsOf(records), text = drawn(records, columns) } = {}) {
  const data = toJson(selected(records, columns));
  return { 'text/plain': text, 'text/html': html(records, columns), [VALUES]: data };
}

/**
 * Anything that a table can be made of as records: records, rows as lists, single values, an object of columns, a Map.
 * @returns {object[]}
 */
export function toRecords(value) {
  if (isMap(value)) return pairs(arrayFrom(value));
  if (isPlain(value)) return isColumns(value) ? fromColumns(value) : pairs(keys(value).map((key) => [key, value[key]]));
  if (value === null || typeof value !== 'object' || typeof value[Symbol.iterator] !== 'function') {
    throw new TypeError(`display.table takes rows, an object of columns or a Map, got ${inspect(value, { depth: 0 })}`);
  }
  return arrayFrom(value, toRecord);
}

function toRecord(row) {
  if (row !== null && typeof row === 'object' && !isArray(row)) return row;
  const record = objectCreate(null);
  if (!isArray(row)) record.value = row;
  else for (let i = 0; i < row.length; i++) record[i] = row[i];
  return record;
}

function pairs(entries) {
  return entries.map(([key, value]) => ({ key, value }));
}

function isColumns(object) {
  const names = keys(object);
  return names.length > 0 && names.every((name) => isArray(object[name]) || ArrayBuffer.isView(object[name]));
}

function fromColumns(object) {
  const names = keys(object);
  const length = names.reduce((longest, name) => Math.max(longest, object[name].length), 0);
  return arrayFrom({ length }, (_, i) => Object.fromEntries(names.map((name) => [name, object[name][i]])));
}

/** Whether a record has a field, which a class may define for all of its own; what every object has is none. */
function hasField(record, name) {
  return hasOwn(record, name) || (name in record && !(name in objectPrototype));
}

function columnsOf(records) {
  const names = new SafeSet();
  for (let i = 0; i < records.length; i++) {
    const own = keys(records[i]);
    for (let j = 0; j < own.length; j++) names.add(own[j]);
  }
  const columns = [];
  names.forEach((name) => arrayPush(columns, name));
  return columns;
}

function selected(records, columns) {
  const rows = [];
  for (let i = 0; i < records.length; i++) {
    const row = objectCreate(null);
    for (let j = 0; j < columns.length; j++) if (hasField(records[i], columns[j])) row[columns[j]] = records[i][columns[j]];
    arrayPush(rows, row);
  }
  return rows;
}

/** As `console.table` draws it. */
function drawn(records, columns) {
  let text = '';
  const stdout = {
    write(chunk) {
      text += chunk;
    },
    on() {}, once() {}, removeListener() {}, listenerCount: () => 0,
  };
  const more = records.length - SHOWN_ROWS;
  new Console({ stdout, colorMode: false }).table(more > 0 ? arraySlice(records, 0, SHOWN_ROWS) : records, columns);
  return more > 0 ? `${text}${more} more rows` : stringTrimEnd(text);
}

function html(records, columns) {
  const parts = ['<table><thead><tr>'];
  for (let i = 0; i < columns.length; i++) arrayPush(parts, `<th>${escapeHtml(columns[i])}</th>`);
  arrayPush(parts, '</tr></thead><tbody>');
  for (let i = 0; i < records.length && i < SHOWN_ROWS; i++) arrayPush(parts, rowHtml(records[i], columns));
  arrayPush(parts, '</tbody>');
  const more = records.length - SHOWN_ROWS;
  if (more > 0) arrayPush(parts, `<tfoot><tr><td colspan="${columns.length}">${more} more rows</td></tr></tfoot>`);
  arrayPush(parts, '</table>');
  return arrayJoin(parts, '');
}

function rowHtml(record, columns) {
  const cells = [];
  for (let i = 0; i < columns.length; i++) {
    const value = hasField(record, columns[i]) ? record[columns[i]] : undefined;
    const isNumber = typeof value === 'number' || typeof value === 'bigint';
    arrayPush(cells, `<td${isNumber ? ' style="text-align:right"' : ''}>${escapeHtml(cellText(value))}</td>`);
  }
  return `<tr>${arrayJoin(cells, '')}</tr>`;
}

function cellText(value) {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? inspect(value, { depth: 1, breakLength: Infinity }) : `${String(value)}`;
}
