//% an error in a function
enum E { A }
function broken(x: number): never {
  throw new TypeError('bad ' + x)
}

broken(1)
//: error TypeError: bad 1
//: at broken 3:9
//: at 6:1
//% types in front of the error on its line
const a5: Array<{ n: number }> = [], b5: Map<string, number[]> = new Map(); (undefined as any).x
//: error TypeError: Cannot read properties of undefined (reading 'x')
//: at 1:96
//: differs bun JavaScriptCore words it otherwise
//% a name that is nowhere
let ok5 = 1
ok5 + missing5
//: error ReferenceError: missing5 is not defined
//: at 2:7
//% a method, a constructor, a getter and a callback
class Fails { constructor(public how: string) { if (how === 'new') throw new Error('in new') } run() { throw new Error('in run') } get it() { throw new Error('in it') } static now() { throw new Error('in now') } }
new Fails('new')
//: error Error: in new
//: at new Fails 1:74
//: at 2:1
//: differs bun after a class at the end of its line the frame has that line
//% a method
const fails5 = new Fails('')
fails5.run()
//: error Error: in run
//: at Fails.run 1:110
//: at 2:8
//% a static method
Fails.now()
//: error Error: in now
//: at Fails.now 1:191
//: at 1:7
//% a callback
[1, 2].forEach((n: number) => { if (n > 1) throw new Error(`n is ${n}`) })
//: error Error: n is 2
//: at 1:50
//: at 1:8
//% after a namespace and an enum
namespace Ns { export const x = 1 }
enum Em { A, B = A << 1 }

const here5 = (): never => { throw new Error('mapped') }
here5()
//: error Error: mapped
//: at here5 4:36
//: at 5:1
//% with JSX before it
const jsx5 = <p title="a">text {1 + 1}</p>
const bad5: number = null!.x
//: error TypeError: Cannot read properties of null (reading 'x')
//: at 2:28
//: differs bun JavaScriptCore words it otherwise
//% with a decorator before it
const noop5 = (v: any, c: any) => v
class Dec5 { @noop5 m(x: number) { throw new Error('decorated') } }
new Dec5().m(1)
//: error Error: decorated
//: at Dec5.m 2:42
//: at 3:12
//% after an import
import { sep as sep5, join as join5 } from 'node:path'; sep5.toFixed()
//: error TypeError: sep5.toFixed is not a function
//: at 1:62
//: differs bun JavaScriptCore words it otherwise
//% a function of an earlier cell
function early5() {
  return deepest5()
}
function deepest5(): never { throw new Error('from afar') }
//% fails with that cell's positions
const one5 = 1

early5()
//: error Error: from afar
//: at deepest5 4:36
//: at early5 2:10
//: at 3:1
//% a long recursion
function forever5(): number { return forever5() + 1 }
try { forever5() } catch (e) { throw new RangeError((e as Error).message) }
//: error RangeError: Maximum call stack size exceeded
//: at 2:38
//: differs bun JavaScriptCore words it otherwise
//% an error of its own class, with properties
class HttpError extends Error { constructor(public status: number, message: string) { super(message) } override name = 'HttpError' }
throw new HttpError(404, 'gone')
//: error HttpError: gone
//: at 2:7
//: trace status: 404
//% a cause
throw new Error('outer', { cause: new RangeError('inner') })
//: error Error: outer
//: at 1:7
//: at 1:35
//: trace [cause]: RangeError: inner
//% an aggregate
await Promise.any([Promise.reject(new Error('one')), Promise.reject(new Error('two'))])
//: error AggregateError: All promises were rejected
//: at 1:1
//: at 1:35
//: at 1:69
//: trace Error: one
//: trace Error: two
//: differs bun the error has no message
//% a text is thrown
throw 'text'
//: error Error: text
//: trace Uncaught 'text'
//% a number
throw 42
//: error Error: 42
//% not a number
throw NaN
//: error Error: NaN
//% null
throw null
//: error Error: null
//% an object
throw { code: 1 }
//: error Error: { code: 1 }
//: trace Uncaught { code: 1 }
//% the stack as the user reads it
try { early5() } catch (e) { console.log((e as Error).stack!.split('\n').slice(0, 3).map((l) => l.replace(/cell_\d+/, 'cell_N')).join('\n')) }
//: stdout Error: from afar
//: stdout     at deepest5 (cell_N.ts:4:36)
//: stdout     at early5 (cell_N.ts:2:10)
//: differs bun columns in text that the cell prints
//% an error as a value is none of the cell
new Error('only a value').message
//: result 'only a value'
//% a late error goes to stderr
setTimeout(() => { throw new Error('late') }, 0)
await new Promise((resolve) => setTimeout(resolve, 5))
//: stderr Uncaught Error: late
//: stderr     at cell_N.ts:1:26
//: differs bun columns in text that the cell prints
//% an unhandled rejection, too
Promise.reject(new Error('lost')); await new Promise((resolve) => setTimeout(resolve, 5))
//: stderr Unhandled promise rejection: Error: lost
//: stderr     at cell_N.ts:1:16
//: differs bun columns in text that the cell prints
//% nothing after the equals sign
let x5 = 
//: error SyntaxError: Unexpected end of input
//: at 1:9
//: differs bun the compiler, which does what Node's type stripping does elsewhere, words it otherwise
//: differs deno its type stripping words it otherwise
//% the wrong bracket
let a6: number = 1
let b6 = {a: [1,2}
//: error SyntaxError: Expected ',', got '}'
//: at 2:18
//: differs bun the compiler, which does what Node's type stripping does elsewhere, words it otherwise
//% a statement in the middle
f()
g()
const e6 = ;
h()
//: error SyntaxError: Expression expected
//: at 3:12
//: differs bun the compiler, which does what Node's type stripping does elsewhere, words it otherwise
//% a type that is missing
const x6: = 1
//: error SyntaxError: Unexpected token `=`. Expected an identifier, void, yield, null, await, break, a string literal, a numeric literal, true, false, `, -, import, this, typeof, {, [, (
//: at 1:11
//: differs bun the compiler, which does what Node's type stripping does elsewhere, words it otherwise
//% an object without a value
{ a: }
//: error SyntaxError: Expression expected
//: at 1:6
//: differs bun the compiler, which does what Node's type stripping does elsewhere, words it otherwise
//% an unknown word
let let = 1
//: error SyntaxError: Unexpected token `let`. Expected let is reserved in const, let, class declaration
//: at 1:5
//: differs bun the compiler, which does what Node's type stripping does elsewhere, words it otherwise
//% a text without its end
const s6: string = "abc
//: error SyntaxError: Unterminated string constant
//: at 1:20
//: differs bun the compiler, which does what Node's type stripping does elsewhere, words it otherwise
//% an await in a function that is not async
function sync6() { await null }
//: error SyntaxError: await isn't allowed in non-async function
//: at 1:20
//: differs bun the compiler, which does what Node's type stripping does elsewhere, words it otherwise
//: differs deno its type stripping says nothing, the parser does
//% a return at the top level
return 5
//: error SyntaxError: Return statement is not allowed here
//: at 1:1
//: differs bun the compiler, which does what Node's type stripping does elsewhere, words it otherwise
//: differs deno its type stripping says nothing, the parser does
//% JSX with the wrong end
const ok6 = 1
const el6 = <div><b>x</div>
//: error SyntaxError: JSX element 'b' has no corresponding closing tag.
//: at 2:19
//% JSX that is never closed
<section>{1}<br/>
//: error SyntaxError: JSX element 'section' has no corresponding closing tag.
//: at 1:2
//% an unknown option of a private name
class Priv6 { m() { return this.#nope } }
//: error SyntaxError: Private field '#nope' must be declared in an enclosing class
//: at 1:33
//% the cell after errors is fine
1 + 1
//: result 2
