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

export const { apply: reflectApply, ownKeys } = Reflect;
export const {
  create: objectCreate, defineProperty, freeze, getOwnPropertyDescriptor, getOwnPropertyNames, getPrototypeOf, keys,
  setPrototypeOf,
} = Object;
export const { isArray } = Array;
export const { isFinite: isFiniteNumber } = Number;
export const { parse: jsonParse, stringify: jsonStringify } = JSON;
export const { compareExchange, load, notify, store, wait } = Atomics;
export const { max, min } = Math;
export const SafePromise = Promise;
export const { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate, queueMicrotask } =
  globalThis;

export const arrayJoin = uncurryThis(Array.prototype.join);
export const arrayPush = uncurryThis(Array.prototype.push);
export const stringIncludes = uncurryThis(String.prototype.includes);
export const stringIndexOf = uncurryThis(String.prototype.indexOf);
export const stringLastIndexOf = uncurryThis(String.prototype.lastIndexOf);
export const stringRepeat = uncurryThis(String.prototype.repeat);
export const stringSlice = uncurryThis(String.prototype.slice);
export const stringSplit = uncurryThis(String.prototype.split);
export const stringStartsWith = uncurryThis(String.prototype.startsWith);
export const stringTrim = uncurryThis(String.prototype.trim);
export const charCodeAt = uncurryThis(String.prototype.charCodeAt);
export const regExpExec = uncurryThis(RegExp.prototype.exec);
export const hasOwn = uncurryThis(Object.prototype.hasOwnProperty);
export const errorToString = uncurryThis(Error.prototype.toString);

const generatorPrototype = getPrototypeOf(function* () {}).prototype;
export const generatorNext = uncurryThis(generatorPrototype.next);
export const generatorThrow = uncurryThis(generatorPrototype.throw);

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
