//% five causes
throw new Error('l1', { cause: new Error('l2', { cause: new Error('l3', { cause: new Error('l4', { cause: new Error('the reason') }) }) }) })
//: error Error: l1
//: at 1:7
//: at 1:32
//: at 1:57
//: at 1:82
//: at 1:107
//: trace         [cause]: Error: the reason
//% a long chain ends with its reason
Error.stackTraceLimit = 0
let chain8: any = new Error('the reason')
for (let i = 0; i < 500; i++) chain8 = new Error(`step ${i}`, { cause: chain8 })
Error.stackTraceLimit = 20
throw chain8
//: error Error: step 499
//: trace Error: the reason
//: trace 468 more, the last:
//% causes that go round
const round8: any = new Error('a')
round8.cause = new Error('b', { cause: round8 })
throw round8
//: error Error: a
//: at 1:21
//: at 2:16
//: trace [cause]: [Circular]
//% a cause that is data, and properties
class Http8 extends Error { status = 404 }
throw new Http8('gone', { cause: { url: '/x', tries: [{ at: { ms: 1 } }] } })
//: error Error: gone
//: at 2:7
//: trace Http8 [Error]: gone
//: trace status: 404
//: trace [cause]: { url: '/x', tries: [ { at: [Object] } ] }
//% errors of errors of errors
throw new AggregateError([new AggregateError([new AggregateError([new Error('deepest')], 'a3')], 'a2'), 7], 'a1')
//: error AggregateError: a1
//: at 1:7
//: at 1:27
//: at 1:47
//: at 1:67
//: trace Error: deepest
//: trace     7
//% what disposers suppressed
class Busy8 { [Symbol.dispose]() { throw new Error('disposing') } }
function dispose8() { using a = new Busy8(); using b = new Busy8(); throw new Error('the reason') }
dispose8()
//: error SuppressedError: An error was suppressed during disposal
//: at dispose8 2:69
//: at 3:1
//: at [Symbol.dispose] 1:42
//: at dispose8 2:69
//: at 3:1
//: at dispose8 2:69
//: at 3:1
//: at [Symbol.dispose] 1:42
//: at dispose8 2:69
//: at 3:1
//: at dispose8 2:75
//: at 3:1
//: trace [suppressed]: Error: the reason
//: trace [error]: Error: disposing
//: differs bun the compiler, which does what Node's type stripping does elsewhere, words it otherwise
//: differs deno V8 words it otherwise
//% what the cell's own disposers suppressed
using last8 = { [Symbol.dispose]() { throw new Error('disposing') } }
throw new TypeError('the reason')
//: error SuppressedError: An error was suppressed during disposal.
//: at 2:34
//: at [Symbol.dispose] 1:44
//: at 2:34
//: at 2:7
//: trace [suppressed]: TypeError: the reason
//: trace [error]: Error: disposing
//% many errors are cut
throw new AggregateError(Array.from({ length: 1000 }, (_, i) => 'e' + i), 'many')
//: error AggregateError: many
//: at 1:7
//: trace 'e150'
//: trace more
//% a late one is shown whole
setTimeout(() => { throw new Error('l1', { cause: 'text' }) }, 1)
await new Promise((resolve) => setTimeout(resolve, 30))
//: stderr Uncaught Error: l1
//: stderr     at cell_N.ts:1:26 {
//: stderr   [cause]: 'text'
//: stderr }
//: differs bun columns in text that the cell prints
//% a message whose getter throws
const hostile8 = new Error('x')
Object.defineProperty(hostile8, 'message', { get() { throw new Error('gotcha') } })
throw hostile8
//: error Error: Error
//: at 1:18
//: differs bun JavaScriptCore words it otherwise
//% a name whose getter throws
class Nameless8 extends Error { override get name(): string { throw new Error('gotcha') } }
throw new Nameless8('fine')
//: error Error: fine
//: at 2:7
//: differs bun after a class at the end of its line the frame has that line
//% a message that is an object
throw Object.assign(new Error('m'), { message: { a: 1, b: [1, 2] } })
//: error Error: { a: 1, b: [ 1, 2 ] }
//: at 1:21
//% a message that cannot become text
throw Object.assign(new Error('t'), { message: { toString() { throw new Error('ts') } } })
//: error Error: { toString: [Function: toString] }
//: at 1:21
//: differs bun JavaScriptCore words it otherwise
//% a toString that never ends
class Endless8 extends Error { override toString(): string { for (;;); } }
throw new Endless8('fine')
//: error Error: fine
//: at 2:7
//: differs bun after a class at the end of its line the frame has that line
//% a Proxy that refuses everything
throw new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 }, has() { throw 3 }, ownKeys() { throw 4 } })
//: error Error: {}
//: trace Uncaught {}
//% a Proxy around an error
throw new Proxy(new RangeError('inside'), {})
//: error RangeError: inside
//: at 1:17
//% an inspection that fails
class Shy8 extends Error { [Symbol.for('nodejs.util.inspect.custom')]() { throw new Error('no') } }
throw new Shy8('fine')
//: error Error: fine
//: at 2:7
//: differs bun after a class at the end of its line the frame has that line
//% an inspection of its own
class Own8 extends Error { [Symbol.for('nodejs.util.inspect.custom')]() { return 'as I like it' } }
throw new Own8('fine')
//: error Error: fine
//: trace as I like it
//% an error that says it is an interrupt is none
throw Object.assign(new Error('mine'), { code: 'ERR_SCRIPT_EXECUTION_INTERRUPTED' })
//: error Error: mine
//: at 1:21
//% an await that fails in the runtime
import { readFile as readFile8 } from 'node:fs/promises'

const text8: string = await readFile8('missing.txt', 'utf8')
//: error Error: ENOENT: no such file or directory, open 'missing.txt'
//: at 3:23
//% its line is in the stack that the cell catches
const before8 = 1
try { await readFile8('missing.txt') } catch (error) { console.log((error as Error).stack!.split('\n').at(-1)!.replace(/cell_\d+/, 'cell_N')) }
//: stdout     at async cell_N.ts:2:7
//% an await of an earlier cell's function
async function reads8(name: string) {
  return await readFile8(name)
}
//% names both
1
await reads8('missing.txt')
//: error Error: ENOENT: no such file or directory, open 'missing.txt'
//: at reads8 2:10
//: at 2:1
//: differs deno its own frames end the trace of an await
//% an error that is thrown on the spot has its frame once
await Promise.reject(new Error('here'))
//: error Error: here
//: at 1:22
//% a frozen error stays as it is
await Promise.reject(Object.freeze(new Error('frozen')))
//: error Error: frozen
//: at 1:36
//% an error behind a separator of Unicode
const separated8 = 'a b'; await 1
throw new Error('behind')
//: error Error: behind
//: at 3:7
//: differs bun JavaScriptCore counts other lines
//% an enum and a separator of Unicode
enum Separated8 { A }
const separated9: string = 'a b'
throw new Error('behind')
//: error Error: behind
//: at 4:7
//: differs bun JavaScriptCore counts other lines
//% a wrong statement behind a separator of Unicode
const separated10 = 'a b'
let wrong8 = ;
//: error SyntaxError: Expression expected
//: at 3:14
//: differs bun the compiler, which does what Node's type stripping does elsewhere, words it otherwise
//% an error in a class with decorators and a disposer
const keep8 = (value: any, context: any) => value
class Both8 {
  @keep8 method() {
    using resource = { [Symbol.dispose]() {} }
    throw new Error('deep')
  }
}
new Both8().method()
//: error Error: deep
//: at Both8.method 5:11
//: at 8:13
//% an error in a property, and its causes
throw Object.assign(new Error('outer'), { code: 5, inner: new Error('i1', { cause: new Error('i2', { cause: new Error('i3', { cause: new Error('i4') }) }) }) })
//: error Error: outer
//: at 1:21
//: at 1:59
//: at 1:84
//: at 1:109
//: at 1:134
//: trace code: 5
//: trace inner: Error: i1
//: trace Error: i4
