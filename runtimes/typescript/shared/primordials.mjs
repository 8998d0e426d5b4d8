/**
 * What the kernel needs of the language, captured before any user code runs: user code may replace
 * `Map.prototype.get` or `JSON` and the kernel must still send its replies. Main thread, lowest layer.
 *
 * Beyond these, the main thread's code keeps to syntax that looks nothing up in a prototype: `await` instead of
 * `.then`, indexed loops instead of `for (... of array)`.
 */

const { bind, call } = Function.prototype;

/** @type {(method: Function) => (self: any, ...args: any[]) => any} */
export const uncurryThis = bind.bind(call);

export const { apply: reflectApply, deleteProperty, ownKeys } = Reflect;
export const {
  create: objectCreate, defineProperty, freeze, getOwnPropertyDescriptor, getOwnPropertyNames, getPrototypeOf, is: isSame,
  keys, setPrototypeOf,
} = Object;
export const objectPrototype = Object.prototype;
export const { isArray } = Array;
export const { isFinite: isFiniteNumber } = Number;
export const { parse: jsonParse, stringify: jsonStringify } = JSON;
export const { compareExchange, load, notify, store, wait } = Atomics;
export const { imul, max, min } = Math;
export const SafePromise = Promise;
export const { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate, queueMicrotask } =
  globalThis;

export const arrayJoin = uncurryThis(Array.prototype.join);
export const arraySlice = uncurryThis(Array.prototype.slice);
export const arrayPush = uncurryThis(Array.prototype.push);
export const arraySort = uncurryThis(Array.prototype.sort);
export const stringIncludes = uncurryThis(String.prototype.includes);
export const stringIndexOf = uncurryThis(String.prototype.indexOf);
export const stringLastIndexOf = uncurryThis(String.prototype.lastIndexOf);
export const stringRepeat = uncurryThis(String.prototype.repeat);
export const stringSlice = uncurryThis(String.prototype.slice);
export const stringSplit = uncurryThis(String.prototype.split);
export const stringStartsWith = uncurryThis(String.prototype.startsWith);
export const stringToLowerCase = uncurryThis(String.prototype.toLowerCase);
export const stringTrimEnd = uncurryThis(String.prototype.trimEnd);
export const stringTrim = uncurryThis(String.prototype.trim);
export const charCodeAt = uncurryThis(String.prototype.charCodeAt);
export const regExpReplace = uncurryThis(RegExp.prototype[Symbol.replace]);
export const regExpExec = uncurryThis(RegExp.prototype.exec);
export const hasOwn = uncurryThis(Object.prototype.hasOwnProperty);
export const errorToString = uncurryThis(Error.prototype.toString);
export const functionToString = uncurryThis(Function.prototype.toString);
export const bigIntToString = uncurryThis(BigInt.prototype.toString);
export const dateToISOString = uncurryThis(Date.prototype.toISOString);
export const dateToNumber = uncurryThis(Date.prototype.getTime);
export const symbolToString = uncurryThis(Symbol.prototype.toString);

const generatorPrototype = getPrototypeOf(function* () {}).prototype;
export const generatorNext = uncurryThis(generatorPrototype.next);
export const generatorThrow = uncurryThis(generatorPrototype.throw);

const getterOf = (prototype, name) => uncurryThis(getOwnPropertyDescriptor(prototype, name).get);
const typedArrayPrototype = getPrototypeOf(Uint8Array.prototype);
export const typedArrayName = getterOf(typedArrayPrototype, Symbol.toStringTag);
export const typedArrayLength = getterOf(typedArrayPrototype, 'length');
export const typedArrayBuffer = getterOf(typedArrayPrototype, 'buffer');
export const typedArrayByteOffset = getterOf(typedArrayPrototype, 'byteOffset');
export const typedArrayByteLength = getterOf(typedArrayPrototype, 'byteLength');
export const arrayBufferByteLength = getterOf(ArrayBuffer.prototype, 'byteLength');
export const sharedArrayBufferByteLength = getterOf(SharedArrayBuffer.prototype, 'byteLength');
export const mapSize = getterOf(Map.prototype, 'size');
export const setSize = getterOf(Set.prototype, 'size');
export const mapEntries = uncurryThis(Map.prototype.entries);
export const setValues = uncurryThis(Set.prototype.values);
export const mapIteratorNext = uncurryThis(getPrototypeOf(new Map().entries()).next);
export const setIteratorNext = uncurryThis(getPrototypeOf(new Set().values()).next);
export const regExpSource = getterOf(RegExp.prototype, 'source');
/** Each flag of a regular expression with the getter that tells whether it is set. */
export const regExpFlags = [
  ['d', 'hasIndices'], ['g', 'global'], ['i', 'ignoreCase'], ['m', 'multiline'], ['s', 'dotAll'], ['u', 'unicode'],
  ['v', 'unicodeSets'], ['y', 'sticky'],
].map(([flag, name]) => ({ flag, isSet: getterOf(RegExp.prototype, name) }));

/**
 * Make a collection class whose methods stay what they are now.
 * @template {new (...args: any[]) => object} T
 * @param {T} Base
 * @returns {T}
 */
function makeSafe(Base) {
  const Safe = class extends Base {};
  for (const key of ownKeys(Base.prototype)) {
    if (key !== 'constructor') defineProperty(Safe.prototype, key, getOwnPropertyDescriptor(Base.prototype, key));
  }
  setPrototypeOf(Safe.prototype, null);
  freeze(Safe.prototype);
  return Safe;
}

export const SafeMap = makeSafe(Map);
export const SafeSet = makeSafe(Set);
export const SafeWeakMap = makeSafe(WeakMap);
export const SafeUint8Array = Uint8Array;

/** Node 22 has none. */
export const SuppressedError = globalThis.SuppressedError ?? class SuppressedError extends Error {
  name = 'SuppressedError';

  constructor(error, suppressed, message) {
    super(message);
    this.error = error;
    this.suppressed = suppressed;
  }
};
