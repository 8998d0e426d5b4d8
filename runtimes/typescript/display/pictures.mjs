/** Images and documents: bytes by their first bytes, canvases, elements. Main thread. */

import { types } from 'node:util';
import { regExpExec, stringIndexOf, stringSlice } from '../shared/primordials.mjs';

/** First bytes of the formats that notebooks show. */
const MAGIC = [
  { mime: 'image/png', label: 'PNG image', bytes: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] },
  { mime: 'image/jpeg', label: 'JPEG image', bytes: [0xff, 0xd8, 0xff] },
  { mime: 'image/gif', label: 'GIF image', bytes: [0x47, 0x49, 0x46, 0x38] },
  { mime: 'image/webp', label: 'WebP image', bytes: [0x52, 0x49, 0x46, 0x46, null, null, null, null, 0x57, 0x45, 0x42, 0x50] },
  { mime: 'application/pdf', label: 'PDF document', bytes: [0x25, 0x50, 0x44, 0x46, 0x2d] },
];
const { isAnyArrayBuffer, isUint8Array, isPromise } = types;
const isBlob = (value) => typeof Blob === 'function' && value instanceof Blob;

/** @param {Uint8Array} bytes @returns {string} */
export function toBase64(bytes) {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** @returns {Uint8Array | null} the bytes that a value is */
export function bytesOf(value) {
  if (isUint8Array(value)) return value;
  return isAnyArrayBuffer(value) ? new Uint8Array(value) : null;
}

/**
 * The MIME data of a picture, of whatever kind the object is.
 * @returns {Record<string, string> | null | Promise<Record<string, string> | null>} null for what is none
 */
export function pictureData(value) {
  const bytes = bytesOf(value);
  if (bytes !== null) return imageData(bytes);
  if (isBlob(value)) return regExpExec(/^(?:image\/|application\/pdf)/, value.type) === null ? null : blobData(value);
  return isCanvas(value) ? canvasData(value) : null;
}

function imageData(bytes) {
  for (let i = 0; i < MAGIC.length; i++) {
    const { mime, label, bytes: magic } = MAGIC[i];
    if (startsWith(bytes, magic)) return { [mime]: toBase64(bytes), 'text/plain': `<${label}, ${bytes.length} bytes>` };
  }
  return null;
}

function startsWith(bytes, magic) {
  for (let i = 0; i < magic.length; i++) if (magic[i] !== null && bytes[i] !== magic[i]) return false;
  return true;
}

async function blobData(blob) {
  return imageData(new Uint8Array(await blob.arrayBuffer()));
}

function isCanvas(value) {
  return typeof value.getContext === 'function' && (typeof value.toBuffer === 'function' ||
    typeof value.toDataURL === 'function' || typeof value.convertToBlob === 'function');
}

/** The packages that offer canvases agree on none of these; each may give its result at once or as a promise. */
function canvasData(canvas) {
  const encoded = typeof canvas.toBuffer === 'function' ? canvas.toBuffer('image/png')
    : typeof canvas.toDataURL === 'function' ? canvas.toDataURL('image/png')
      : canvas.convertToBlob({ type: 'image/png' });
  return isPromise(encoded) ? encodedLater(encoded) : encodedData(encoded);
}

async function encodedLater(promise) {
  const encoded = await promise;
  return isBlob(encoded) ? blobData(encoded) : encodedData(encoded);
}

function encodedData(encoded) {
  if (typeof encoded !== 'string') return pictureData(encoded);
  const url = dataUrl(encoded);
  return url === null ? null : { [url.mime]: url.base64, 'text/plain': `<${url.mime}>` };
}

/** @param {string} text @returns {{mime: string, base64: string} | null} null for what is no base64 data URL */
export function dataUrl(text) {
  const match = regExpExec(/^data:([\w.+-]+\/[\w.+-]+)[^,]*;base64,/, text);
  return match === null ? null : { mime: match[1], base64: stringSlice(text, stringIndexOf(text, ',') + 1) };
}
