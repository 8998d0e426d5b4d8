//% await
await Promise.resolve(8)
//: result 8
//% a final promise is awaited
Promise.resolve(9)
//: result 9
//% a final promise of an async function
(async () => { await null; return 'done' })()
//: result 'done'
//% a thenable that is no promise is a value
({ then: 1, n: 2 })
//: result { then: 1, n: 2 }
//% a promise inside a value is not awaited
[Promise.resolve(1)]
//: result [ Promise { 1 } ]
//% names across an await
const first2 = 1
await null
first2 + 1
//: result 2
//% for await over an async generator
async function* counted() { yield 1; yield 2 }
let total2 = 0
for await (const x of counted()) total2 += x
total2
//: result 3
//% for await over plain values and promises
const seen2: number[] = []
for await (const x of [1, Promise.resolve(2)]) seen2.push(x)
seen2
//: result [ 1, 2 ]
//% for await closes what it leaves early
async function* closing() { try { yield 1; yield 2 } finally { console.log('closed') } }
for await (const x of closing()) break
//: stdout closed
//% for await with labels, patterns and var
outer2: for await (var [a2, { b: b2 }] of [[1, { b: 2 }], [3, { b: 4 }]] as const) { for (;;) { if (a2 < 3) continue outer2; break outer2 } }
[a2, b2]
//: result [ 3, 4 ]
//% for await into an object's property
const sink: { last?: number } = {}
for await (sink.last of [1, 2]) ;
sink.last
//: result 2
//% an error in a for await
for await (const x of (async function* () { yield 1; throw new Error('midway') })()) console.log(x)
//: stdout 1
//: error Error: midway
//: at 1:60
//: at 1:84
//% await in every place
const o2 = { [await 'k']: await 1, f: [await 2], ...(await { z: 3 }) }, t2 = `${await 'x'}`
const c2 = (await true) ? await 'y' : await 'n'
o2.k + o2.z + t2 + c2 + (await (async () => 5)())
//: result '4xy5'
//% await in conditions and loops
let n2 = 0
while (await (n2 < 3)) n2++
do { n2 += await 1 } while (await false)
for (let i = await 0; i < await 2; i += await 1) n2 += 10
if (await true) n2 += 100
else await 0
n2
//: result 124
//% await in a destructuring default and a class
const { d2 = await 7 } = {}
class K2 extends (await Object) { static [await 'm']() { return 'static' } }
d2 + K2.m()
//: result '7static'
//% await in try, catch and finally
try { await Promise.reject(new Error('no')) } catch ({ message }) { console.log(await message) } finally { await null; console.log('finally') }
//: stdout no
//: stdout finally
//% await in a switch
switch (await 2) { case 1: console.log('one'); break; case await 2: console.log('two') }
//: stdout two
//% await does not need semicolons
const q2 = 1
await null
;[q2].forEach((x) => console.log(x))
const w2 = await q2
(w2)
//: stdout 1
//: error ReferenceError: Cannot access 'w2' before initialization
//: at 5:2
//% a rejected await
await Promise.reject(new RangeError('rejected'))
//: error RangeError: rejected
//: at 1:22
//% a rejected final promise
Promise.reject('plain')
//: error Error: plain
//% an error after an await has the user's position
const before2 = await 1; await null
const after2: number = await (async () => { throw new Error('deep') })()
//: error Error: deep
//: at 2:51
//: at 2:71
//% an error in an async function that another one awaits
async function inner2() { await null; throw new Error('inner') }
async function middle2() { return await inner2() }
await middle2()
//: error Error: inner
//: at inner2 1:45
//: at middle2 2:35
//: at 3:1
//% all, allSettled, race and any
const many2 = await Promise.all([1, Promise.resolve(2)])
const settled2 = await Promise.allSettled([Promise.reject(new Error('x'))])
const raced2 = await Promise.race([new Promise((r) => setTimeout(r, 50)), 'fast'])
;[many2.length, settled2[0].status, raced2, await Promise.any([Promise.reject(1), 3])]
//: result [ 2, 'rejected', 'fast', 3 ]
//% with resolvers and timers
const { promise: p2, resolve: r2 } = Promise.withResolvers<string>()
setTimeout(r2, 1, 'later')
await p2
//: result 'later'
//% timers of the cell run while it awaits
import { setTimeout as sleep2 } from 'node:timers/promises'
setTimeout(() => console.log('tick'), 1)
await sleep2(5)
console.log('tock')
//: stdout tick
//: stdout tock
//% the order of microtasks, ticks and immediates
setImmediate(() => console.log('immediate'))
Promise.resolve().then(() => console.log('microtask'))
process.nextTick(() => console.log('tick'))
console.log('sync')
await new Promise((resolve) => setTimeout(resolve, 5))
//: stdout sync
//: stdout tick
//: stdout microtask
//: stdout immediate
//: differs deno microtasks come before ticks
//% generators and iterator helpers
function* naturals() { let n = 0; while (true) yield n++ }
naturals().drop(2).take(3).map((n) => n * n).toArray()
//: result [ 4, 9, 16 ]
//% an async iterator by hand
const hand2 = { async *[Symbol.asyncIterator]() { yield* [1, 2] } }
await Array.fromAsync(hand2)
//: result [ 1, 2 ]
//% events and abort signals
import { once, EventEmitter } from 'node:events'
const emitter2 = new EventEmitter()
setTimeout(() => emitter2.emit('go', 42), 1)
const [value2] = await once(emitter2, 'go')
AbortSignal.abort().aborted && value2
//: result 42
//% a stream of the web
let text2 = ''
for await (const chunk of new Blob(['a', 'b']).stream().pipeThrough(new TextDecoderStream())) text2 += chunk
text2
//: result 'ab'
//% a function that was declared in an awaiting cell
await null
async function declared2() { return 'up' }
await declared2()
//: result 'up'
//% async arrow functions and methods keep their await
const fns2 = { async m() { return await 1 }, a: async () => await 2, async *g() { yield await 3 } }
;[await fns2.m(), await fns2.a(), (await fns2.g().next()).value]
//: result [ 1, 2, 3 ]
//% a function is there before its declaration
const hoisted2 = await up2()
async function up2() { return 'up' }
hoisted2
//: result 'up'
//% an object in parentheses after an await
const one2 = await Promise.resolve(1); ({ one2 })
//: result { one2: 1 }
//% on a line of its own, with comments
await null
;( // inside
  { k: 1 } /* d */
) // after
//: result { k: 1 }
//% an await in parentheses
(await Promise.resolve({ a: 1 }))
//: result { a: 1 }
//% in several
((await 1) + (await 2))
//: result 3
//% a sequence in parentheses
await 1; (1, 2)
//: result 2
//% a cast in parentheses
const cast2 = await Promise.resolve<unknown>({ q: 1 });
(cast2 as { q: number })
//: result { q: 1 }
//% satisfies in parentheses
await 1
;({ a: 1 } satisfies { a: number });
//: result { a: 1 }
//% a function that is called at once
await 1;
(async () => ({ b: await 2 }))()
//: result { b: 2 }
//% a member of what is in parentheses
(await import('node:path')).sep
//: result '/'
//% an index after a list
const wait2 = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
await wait2(1)
;[1, 2].map((x) => x + 1)
//: result [ 2, 3 ]
//% parentheses after a loop
for await (const each2 of [1]) { each2 }
({ done: true })
//: result { done: true }
//% parentheses after a resource
using resource2 = { [Symbol.dispose]() {} }; ({ v: 1 })
//: result { v: 1 }
//% an object with an await, at the start
{ a: 1, b: await Promise.resolve(2) }.b
//: result 2
//% a default export in parentheses
await 1; export default ({ a: 1 })
//: result { a: 1 }
//% one without an await
export default ({ a: 2 });
//: result { a: 2 }
//% one that awaits, with comments
export /* the */ default (await Promise.resolve(3)) // end
//: result 3
//% one of a class and one of a function
await 1; export default class { v = 1 }
//: result [class (anonymous)]
//% one of a call
export default (async () => 6)()
//: result 6
//% an arrow function in parentheses, called, after an await
const base = await Promise.resolve(10);
(() => base * 2)()
//: result 20
//% an async IIFE at the end
await null
;(async () => { const x = await Promise.resolve(4); return x * x })()
//: result 16
//% a parenthesised arrow that is not called
await 0;
(x: number) => x + 1
//: result [Function (anonymous)]
//% await inside a template in parentheses
(`${await Promise.resolve('a')}-${(await Promise.resolve('b'))}`)
//: result 'a-b'
//% a parenthesised conditional with awaits
((await Promise.resolve(true)) ? (await Promise.resolve('yes')) : ('no'))
//: result 'yes'
//% double parentheses and a non-null mark
const m = new Map([['k', await Promise.resolve(1)]]);
((m.get('k')!))
//: result 1
//% a parenthesised assignment to a destructuring pattern
let first: number, rest: number[];
await 1;
({ first, rest } = { first: 1, rest: [2, 3] });
[first, ...rest]
//: result [ 1, 2, 3 ]
//% a parenthesised comment at the end
await 1;
(/* nothing */ 7 /* more */) // the end
//: result 7
//% parenthesised with a trailing comment and semicolons
await 1;
(({ a: [1, { b: 2 }] }));;
// done
//: result { a: [ 1, { b: 2 } ] }
//% a regular expression in parentheses
await 1;
(/a(b)c\)/g)
//: result /a(b)c\)/g
//% a class expression in parentheses
await 1;
(class Box<T> { constructor(public v: T) {} })
//: result [class Box]
//% a function expression in parentheses
await 1;
(function named() {})
//: result [Function: named]
//% old-style cast
const raw: unknown = await Promise.resolve('txt');
(<string>raw).length
//: result 3
//% await of a parenthesised dynamic import with member access
(await import('node:path')).posix.join('a', '..', 'b')
//: result 'b'
//% a generic arrow in parentheses
await 1;
(<T,>(x: T): T => x)(5)
//: result 5
//% void of an await
void (await Promise.resolve(3))
//% comma at the end without parentheses
await 1; 1, 2, (3)
//: result 3
//% an optional chain with a call on an awaited value
(await Promise.resolve({ f: () => [1, 2] }))?.f?.()?.[1]
//: result 2
//% an object at the start with awaits
{ a: await Promise.resolve(1), b: (await Promise.resolve(2)) }
//: result { a: 1, b: 2 }
//% a block that is no object
{ const inner = await Promise.resolve(3); console.log(inner) }
//: stdout 3
//% a label and a loop with await
outer: for (const i of [1, 2, 3]) { for (const j of [1, 2]) { if (await Promise.resolve(i * j === 4)) break outer; console.log(i, j) } }
//: stdout 1 1
//: stdout 1 2
//: stdout 2 1
//% for await over an async generator, then its sum
async function* gen(n: number) { for (let i = 0; i < n; i++) { await null; yield i } }
let sum = 0
for await (const v of gen(5)) sum += v
sum
//: result 10
//% export default of an await in parentheses
export default (await Promise.resolve([1]))
//: result [ 1 ]
//% Promise.all destructured, then parentheses
const [p, q] = await Promise.all([Promise.resolve(1), Promise.resolve(2)])
;[p, q].map((x) => (x * 2))
//: result [ 2, 4 ]
//% an if as last statement gives no value
if (await Promise.resolve(true)) { 5 }
//% a try as last statement prints
try { await Promise.reject(new Error('no')) } catch (e) { console.log((e as Error).message) } finally { console.log('finally') }
//: stdout no
//: stdout finally
