//% a sum
1 + 1
//: result 2
//% undefined is no result
undefined
//% null is one
null
//: result null
//% an empty cell

//% a comment only
// nothing
//% a declaration has no value
let declared: number = 5
//% an assertion
'é' as string + 'ü'.length
//: result 'é1'
//% the old form of an assertion
<number>(<unknown>7)
//: result 7
//% satisfies
type Rgb = Record<'red' | 'green', number>
const palette = { red: 1, green: 2 } satisfies Rgb
palette.green
//: result 2
//% a non-null assertion
const maybe: { n?: number } = { n: 3 }
maybe!.n!.toFixed(1)
//: result '3.0'
//% an interface and a type alias leave nothing
interface Shape { side: number; area?(): number }
type Corner = Shape | null
//% declared names leave nothing
declare const outside: string
declare function unknown(x: number): void
declare global { interface Window { mine: number } }
typeof outside
//: result 'undefined'
//% a generic function
function first<T extends { length: number }, U = never>(items: T[], or?: U): T | U | undefined { return items[0] ?? or }
first<string>(['a', 'b'])
//: result 'a'
//% a generic arrow function
const same = <T,>(x: T): T => x
same<number>(3)
//: result 3
//% a comparison that could be type arguments
const f1 = 1, T1 = 2, x1 = 3
f1 < T1 && T1 > (x1 - 2)
//: result true
//% conditional and mapped types
type Unwrap<T> = T extends Promise<infer U> ? U : T
type Getters<T> = { readonly [K in keyof T as `get${Capitalize<string & K>}`]-?: () => T[K] }
const got: Unwrap<Promise<number>> = 4
got
//: result 4
//% a tuple with labels and a rest
type Pair = [key: string, ...values: number[]]
const pair: Pair = ['k', 1, 2]
pair.length
//: result 3
//% overloads
function twice(x: string): string
function twice(x: number): number
function twice(x: any) { return x + x }
twice('a') + twice(2)
//: result 'aa4'
//% a type predicate and an assertion function
const isText = (x: unknown): x is string => typeof x === 'string'
function check(x: unknown): asserts x is number { if (typeof x !== 'number') throw new TypeError('no number') }
check(1), isText('a')
//: result true
//% optional parameters and a typed this
function scaled(this: { by: number } | void, x: number, y?: number) { return x * ((this && this.by) ?? 1) + (y ?? 0) }
scaled.call({ by: 3 }, 2) + scaled(1, 1)
//: result 8
//% an enum counts, goes back, and holds texts
enum Color { Red, Green = 5, Blue, Name = 'n', Sum = 1 << 3 }
[Color.Red, Color.Blue, Color[5], Color.Name, Color.Sum].join()
//: result '0,6,Green,n,8'
//% a const enum
const enum Flag { On = 1, Both = On | 2 }
Flag.Both
//: result 3
//% an enum declared twice in a cell is one
enum Level { Low }
enum Level { High = 1 }
Object.keys(Level).length
//: result 4
//% an enum of a later cell starts anew
enum Level { Only }
Object.keys(Level).length
//: result 2
//% a namespace
namespace Geo { export const side = 4; export function area() { return side ** 2 } const hidden = 1 }
Geo.area()
//: result 16
//% nested namespaces
namespace Outer.Inner { export let n = 1; export namespace Deep { export enum E { A = 'deep' } } }
Outer.Inner.n++
Outer.Inner.n + Outer.Inner.Deep.E.A
//: result '2deep'
//% a namespace adds to a function
function tagged() { return tagged.mark }
namespace tagged { export const mark = 'm' }
tagged()
//: result 'm'
//% an import alias in a namespace
namespace Alias { export import Inner = Outer.Inner }
Alias.Inner.n
//: result 2
//% a namespace of types only leaves nothing
namespace OnlyTypes { export interface A { x: 1 } }
typeof globalThis.OnlyTypes
//: result 'undefined'
//% keyof, typeof and indexed access
const config = { host: 'h', port: 1 } as const
type Key = keyof typeof config
const key: Key = 'port'
config[key]
//: result 1
//% unique symbols and template types
const tag: unique symbol = Symbol('tag')
type Route = `/${string}`
const route: Route = '/a'
tag.description + route
//: result 'tag/a'
//% optional chaining, nullish assignment, big integers
let late: { v?: bigint } | undefined
late ??= { v: 2n ** 64n }
late?.v
//: result 18446744073709551616n
//% modern JavaScript: logical groups, sets, iterators
const groups = Object.groupBy([1, 2, 3], (n: number) => n % 2 ? 'odd' : 'even')
const both = new Set([1, 2]).union(new Set([3]))
const odd = [1, 2, 3].values().filter((n) => n % 2 === 1).toArray()
groups.odd!.length + both.size + odd.length
//: result 7
//% regular expressions with sets and names
const found = /(?<year>\d{4})-[\p{L}--[a-z]]/v.exec('2026-X')!
found.groups!.year
//: result '2026'
//% sloppy JavaScript that TypeScript refuses
with ({ w: 3 }) { var sloppy = w }
sloppy + 010
//: result 11
//% an object at the start of a cell
{ a: 1, b: [1, 2] }
//: result { a: 1, b: [ 1, 2 ] }
//% an object with types in it
/* first */ { a: 'x' as string }
//: result { a: 'x' }
//% a block at the start of a cell
{ const hidden = 1 }
typeof hidden
//: result 'undefined'
//% a hashbang and a directive
#!/usr/bin/env node
'use strict'
//: result 'use strict'
//% labels, switch and comma
outer: for (let i = 0; ; i++) { switch (i) { case 2: break outer } }
(1, 2)
//: result 2
//% the value is the last expression, not the last statement's
if (true) 5
//% a semicolon does not hide the value
6;
//: result 6
//% the value follows function declarations
const early = up()
function up(): number { return 8 }
early
//: result 8
//% parts of a namespace see each other
namespace Parts5 { export const a = 1; const hidden = 2; export const sum = () => a + hidden }
namespace Parts5 { export const b = a + 1 }
[Parts5.b, Parts5.sum()]
//: result [ 2, 3 ]
//% a decorator where there can be none
const decorate5 = (value: any) => value
@decorate5 function plain5() {}
//: error SyntaxError: Decorators are not valid here.
//: at 2:1
//% types used in satisfies and as
import { ParsedPath, parse as parsePath } from 'node:path'
const pp = parsePath('/a/b.txt') satisfies ParsedPath as ParsedPath
pp.name
//: result 'b'
//% a type in a class's implements
import { Transform, TransformCallback } from 'node:stream'
class Upper extends Transform { _transform(c: any, _e: string, cb: TransformCallback) { cb(null, String(c).toUpperCase()) } }
const up = new Upper(); up.end('abc'); (await up.toArray()).join('')
//: result 'ABC'
//% an imported type as a decorator argument's type and typeof
import { Buffer as Buf } from 'node:buffer'
type B = typeof Buf
const bb: B = Buf
bb.from('x').length
//: result 1
//% import equals of a type
import type { IncomingMessage } from 'http'
const hs: Partial<IncomingMessage> = { statusCode: 200 }
hs.statusCode
//: result 200
//% a name that is a type and a value
import { URL as NodeURL } from 'node:url'
function host(u: NodeURL): string { return u.host }
host(new NodeURL('http://h:1/'))
//: result 'h:1'
//% declare global and module in a cell
declare global { interface Array<T> { lastOne(): T } }
Array.prototype.lastOne = function () { return this[this.length - 1] }
;[1, 2, 3].lastOne()
//: result 3
//% clean up
delete (Array.prototype as any).lastOne
//: result true
//% declarations only give nothing
declare const fromElsewhere: number
declare function ambient(x: string): void
interface Point { x: number; y: number }
type Pair<A, B = A> = readonly [A, B]
//% function and namespace merged
function counter() { return ++counter.n }
namespace counter { export let n = 10 }
counter() + counter.n
//: result 22
//% class and namespace merged
class Album { label!: Album.Label }
namespace Album { export class Label { constructor(public name = 'L') {} } }
new Album.Label().name
//: result 'L'
//% enum parts merged, computed and reverse
enum E1 { A, B = 'x'.length + 5 }
enum E1 { C = 40 }
[E1.A, E1.B, E1[6], E1.C, E1[40]]
//: result [ 0, 6, 'B', 40, 'C' ]
//% const enum with references and bits
const enum Flag { None = 0, Read = 1 << 0, Write = 1 << 1, All = Read | Write }
Flag.All
//: result 3
//% abstract class, parameter properties, override, accessors
abstract class Animal { constructor(protected readonly name: string, public age = 1) {} abstract sound(): string; get info() { return `${this.name} ${this.sound()} ${this.age}` } }
class Dog extends Animal { override sound() { return 'woof' } static #count = 0; static make(n: string) { Dog.#count++; return new Dog(n) } static get count() { return Dog.#count } }
[Dog.make('Rex').info, Dog.count]
//: result [ 'Rex woof 1', 1 ]
//% this parameter, assertion functions, template literal types
function assertNum(x: unknown): asserts x is number { if (typeof x !== 'number') throw new TypeError('nan') }
function me(this: { v: number }) { return this.v }
type Route = `/${string}/:${'id' | 'name'}`
const route: Route = '/a/:id'
let val: unknown = 3; assertNum(val); me.call({ v: val }) + route
//: result '3/a/:id'
//% generic constraint, infer, mapped
type Un<T> = T extends Promise<infer U> ? U : never
type Opt<T> = { [K in keyof T]?: T[K] }
function keysOf<T extends object, const K extends readonly (keyof T)[]>(o: T, ks: K): K { return ks }
keysOf({ a: 1, b: 2 }, ['a'])
//: result [ 'a' ]
//% an index signature, optional methods, a definite let
let late!: { [k: string]: number; }
late = { z: 1 }
late?.['z']!
//: result 1
//% a unique symbol and a tuple with labels
const tag: unique symbol = Symbol('tag')
type T3 = [x: number, y?: string, ...rest: boolean[]]
const t3: T3 = [1, 'a', true]; ({ [tag]: t3 })
//: result { Symbol(tag): [ 1, 'a', true ] }
