//% a const before its line
console.log(total7)
const total7 = 5
//: error ReferenceError: Cannot access 'total7' before initialization
//: at 1:13
//% by way of a function
function show7() { return limit7 * 2 }
const shown7 = show7()
const limit7 = 21
//: error ReferenceError: Cannot access 'limit7' before initialization
//: at show7 1:27
//: at 2:16
//% a later cell may declare it
let limit7 = 4
show7()
//: result 8
//% in its own initializer
const own7 = own7 + 1
//: error ReferenceError: Cannot access 'own7' before initialization
//: at 1:14
//% a class before its declaration
new Late7()
class Late7 {}
//: error ReferenceError: Cannot access 'Late7' before initialization
//: at 1:5
//% a class that extends a later one
class Child7 extends Parent7 {}
class Parent7 {}
//: error ReferenceError: Cannot access 'Parent7' before initialization
//: at 1:22
//% an assignment before the declaration
try { early7 = 3 } catch (error: any) { console.log(error.name) }
try { early7++ } catch (error: any) { console.log(error.name) }
try { [early7] = [3] } catch (error: any) { console.log(error.name) }
let early7 = 4
early7
//: stdout ReferenceError
//: stdout ReferenceError
//: stdout ReferenceError
//: result 4
//% typeof is no exception
typeof absent7
let absent7
//: error ReferenceError: Cannot access 'absent7' before initialization
//: at 1:8
//% a name without a declaration has none
typeof nowhere7
//: result 'undefined'
//% a var is undefined
const seen7 = below7
var below7 = 3
seen7 ?? 'nothing'
//: result 'nothing'
//% an enum, too
const before7 = typeof Level7
enum Level7 { Low }
before7
//: result 'undefined'
//% functions can be called above
hoisted7()
function hoisted7() { return console.log('hoisted') }
//: stdout hoisted
//% a callback that runs once the name is there
setTimeout(() => console.log(ready7), 0)
const ready7 = 'ready'
await new Promise((resolve) => setTimeout(resolve, 5))
//: stdout ready
//% a helper below the one that calls it
const outer7 = () => inner7() + 1
const inner7 = () => 41
outer7()
//: result 42
//% a recursion by its own name
const factorial7 = (n: number): number => (n < 2 ? 1 : n * factorial7(n - 1))
factorial7(5)
//: result 120
//% a name in a function that its initializer only makes
const node7: any = { self: () => node7, get own() { return node7 } }
node7.self() === node7.own
//: result true
//% a function that its initializer calls
const memo7 = ((f: any) => f(1))((n: number) => memo7)
//: error ReferenceError: Cannot access 'memo7' before initialization
//: at 1:49
//: at 1:28
//: at 1:33
//% several declarations in one statement
const first7 = () => second7, second7 = 2, third7 = first7()
third7
//: result 2
//% a pattern whose defaults use what it declares
const { a7, b7 = a7, ...rest7 } = { a7: 1, c: 3 } as any
const [d7, e7 = d7] = [5];
[b7, e7, rest7]
//: result [ 1, 5, { c: 3 } ]
//% the value that a pattern takes apart
const { f7 } = { f7: f7 }
//: error ReferenceError: Cannot access 'f7' before initialization
//: at 1:22
//% methods of a class that is declared above what they use
class Repository7 { all() { return rows7 } }
const rows7 = [1]
new Repository7().all()
//: result [ 1 ]
//% an error that the cell catches
class Store7 { get() { return table7 } }
try { new Store7().get() } catch (error: any) { console.log(error.message) }
const table7 = 'table'
new Store7().get()
//: stdout Cannot access 'table7' before initialization
//: result 'table'
//% an inner name of the same name
const shadow7 = 1
{
  const read7 = () => shadow7
  let shadow7 = 2
  console.log(read7())
}
[1].forEach((shadow7) => { shadow7 = 5 })
shadow7
//: stdout 2
//: result 1
//% a constant assigned where an inner one has its name, too
const fixed7 = 1
{ let fixed7 = 2; fixed7 = 3 }
fixed7 = 4
//: error TypeError: Assignment to constant variable.
//: at 3:8
//% a counter of a function
let count7 = 1
function count7up() { count7++ }
count7up()
count7
//: result 2
//% redeclared, and the function of the earlier cell sees it
let count7 = 10
count7up()
count7
//: result 11
//% a value that is not there yet, in an async cell
await null
console.log(asynchronous7)
const asynchronous7 = 1
//: error ReferenceError: Cannot access 'asynchronous7' before initialization
//: at 2:13
//% a message that quotes the code
const call7 = () => target7()
const made7 = [call7].length
const target7: any = 5
call7()
//: error TypeError: target7 is not a function
//: at call7 1:28
//: at 4:1
//: differs bun JavaScriptCore words it otherwise

//% a const that is named like a global
const URL = 'data:text/plain,hi'
await (await fetch(URL)).text()
//: result 'hi'
//% the global is what it was
new globalThis.URL(URL).protocol
//: result 'data:'
//% the name is there for later cells
const readURL = () => URL
URL
//: result 'data:text/plain,hi'
//% and can be declared again
let URL = 'again'
readURL()
//: result 'again'
//% assigned in all ways
URL += '!'
URL ??= 'never';
[URL] = [URL + '?'];
({ URL } = { URL: URL + '.' })
URL
//: result 'again!?.'
//% in shorthand, in templates, as a method, as a parameter
const literal7 = { URL, fetch() { return 1 }, get Blob() { return 2 } }
const parameter7 = (URL: string, other = URL) => [URL, other];
[literal7.URL, `${URL}`, literal7.fetch(), literal7.Blob, parameter7('p')]
//: result [ 'again!?.', 'again!?.', 1, 2, [ 'p', 'p' ] ]
//% as the variable of a loop or a catch
for (const URL of [1]) console.log(URL)
try { throw 2 } catch (URL) { console.log(URL) }
URL
//: stdout 1
//: stdout 2
//: result 'again!?.'
//% imported again
import { URL } from 'node:url'
new URL('http://a/b').pathname
//: result '/b'
//% an import that is named like a global
import { setTimeout } from 'node:timers/promises'
await setTimeout(1, 'slept')
//: result 'slept'
//% the global one is what it was
await new Promise((resolve) => globalThis.setTimeout(resolve, 1, 'classic'))
//: result 'classic'
//% a module of the user's
exports.wait = () => new Promise((resolve) => setTimeout(resolve, 1, 'module'))
//: file wait7.cjs
//% has the global one
await require('./wait7.cjs').wait()
//: result 'module'
//% the module of a global
import crypto from 'node:crypto'
const digest7 = () => crypto.createHash('sha1').update('a').digest('hex')
console.log(crypto.randomUUID().length, globalThis.crypto.randomUUID().length)
digest7().slice(0, 4)
//: stdout 36 36
//: result '86f7'
//% a function by the name of a global has its own
function structuredClone(value: unknown) { return `mine ${value}` }
const fetch = async () => 'mine'
console.log(structuredClone.name, fetch.name, structuredClone(1), await fetch())
globalThis.structuredClone({ a: 1 })
//: stdout structuredClone fetch mine 1 mine
//: result { a: 1 }
//% a class that extends the global of its name
class Event extends globalThis.Event { mine = Event.name }
new Event('click').mine
//: result 'Event'
//% a block's function
if (true) { function Request() { return 'mine' } }
Request()
//: result 'mine'
//% an enum, a var of a loop
enum Response { Yes = 1 }
for (var Buffer of [1, 2]);
[Response.Yes, Request(), Buffer, globalThis.Response.name, globalThis.Request.name, globalThis.Buffer.name]
//: result [ 1, 'mine', 2, 'Response', 'Request', 'Buffer' ]
//% a resource
using Headers = { kind: 'mine', [Symbol.dispose]() {} } as any
Headers.kind
//: result 'mine'
//% by destructuring
const { Blob, File: TextFile7 = Blob } = { Blob: 'mine' } as any
export const FormData = [Blob, TextFile7]
FormData
//: result [ 'mine', 'mine' ]
//% what the kernel itself needs
const console7 = globalThis.console
const console = { log: (text: string) => console7.log(`mine ${text}`) }
console.log('text')
//: stdout mine text
//% and again
const console = globalThis.console
console.log('text')
//: stdout text
//% the language's own
const Map = 1, Promise = 2, JSON = 3, Symbol = 4;
[Map, Promise, JSON, Symbol].length
//: result 4
//% leave the cells after it alone
await null
const { Map, Promise, JSON, Symbol } = globalThis;
({ b: 1, a: [new globalThis.Map([[1, 2]])] })
//: result { b: 1, a: [ Map(1) { 1 => 2 } ] }
//% require and the file's name, as modules write them
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
const require = createRequire(import.meta.url)
const __filename = fileURLToPath(import.meta.url)
__filename === require('node:path').join(process.cwd(), 'cell.ts')
//: result true
//% a message that quotes such a name
const Storage = 5
Storage()
//: error TypeError: Storage is not a function
//: at 2:1
//: differs bun JavaScriptCore words it otherwise
//% a type by the name of a global
type Animation7 = { a: 1 }
interface Headers2 { b: 2 }
const animation7: Animation7 & Headers2 = { a: 1, b: 2 }
animation7
//: result { a: 1, b: 2 }

//% an import below what uses it
const separator7 = sep7
import { sep as sep7 } from 'node:path'
separator7
//: result '/'
//% an import at the end leaves the value
delimiter7
import { delimiter as delimiter7 } from 'node:path'
//: result ':'
//% modules that write
console.log('one')
//: file side71.mjs
//% modules that write, the other
console.log('two')
//: file side72.mjs
//% run before the cell's own code
console.log('body')
import './side71.mjs'
import './side72.mjs'
//: stdout one
//: stdout two
//: stdout body
//% a file that the cell writes first
import { writeFileSync as write7 } from 'node:fs'
write7('written7.mjs', 'export const written = 7')
import { written as written7 } from './written7.mjs'
written7
//: result 7
//% an import that fails is where it is written
console.log('before')
import nothing7 from './nothing7.mjs'
//: stdout before
//: error Error: Cannot find module 'DIRECTORY/nothing7.mjs' imported from DIRECTORY/cell.ts
//: at 2:1
//: differs bun the error is a ResolveMessage
//: differs deno the error is a TypeError

//% eval imports
typeof (await eval("import('node:os')")).cpus
//: result 'function'
//% eval imports by its other name
typeof (await (0, eval)("import('node:os')")).cpus
//: result 'function'
//% a new function imports
typeof (await new Function('name', 'return import(name)')('node:os')).cpus
//: result 'function'
//% an async one, too
const Asynchronous7 = Object.getPrototypeOf(async () => {}).constructor
await new Asynchronous7("return typeof (await import('node:os')).cpus")()
//: result 'function'
//% and a file of the context
(await new Function("return import('./written7.mjs')")()).written
//: result 7
//% eval of an earlier cell's function
const evaluate7 = (text: string) => eval(text)
//% imports, too
typeof (await evaluate7("import('node:os')")).cpus
//: result 'function'
//% what vm compiles imports
import vm from 'node:vm'
const ran7 = await vm.runInThisContext("import('node:os')")
const script7 = await new vm.Script("import('node:os')").runInThisContext()
const compiled7 = await vm.compileFunction("return import('node:os')")();
[ran7, script7, compiled7].map(({ cpus }) => typeof cpus)
//: result [ 'function', 'function', 'function' ]
//% a closure called too early
const callLater = () => price * 2
let early = 0
try { early = callLater() } catch (e: any) { console.log(e.message) }
const price = 4
callLater()
//: stdout Cannot access 'price' before initialization
//: result 8
//% in a loop body
for (let i = 0; i < 1; i++) { try { inner; } catch (e: any) { console.log(e.name) } let inner = i }
//: stdout ReferenceError
//% a method reads a later class at call time is fine
class A1 { make() { return new B1() } }
class B1 { x = 1 }
new A1().make().x
//: result 1
//% default parameters
function dp(a = bdp) { return a }
try { dp() } catch (e: any) { console.log(e.message) }
const bdp = 9
dp()
//: stdout Cannot access 'bdp' before initialization
//: result 9
//% shorthand and template
try { console.log(`${tpl}`) } catch (e: any) { console.log('1', e.message) }
try { console.log({ tpl }) } catch (e: any) { console.log('2', e.message) }
const tpl = 'ok'
//: stdout 1 Cannot access 'tpl' before initialization
//: stdout 2 Cannot access 'tpl' before initialization
//% a name whose cell failed before it got its value
throw new Error('stop'); const never1 = 1
//: error Error: stop
//: at 1:7
//% reading it later
never1
//: error ReferenceError: never1 is not defined
//: at 1:1
//% typeof it later
typeof never1
//: result 'undefined'
//% a function of that cell reads it
throw new Error('stop'); const never2 = 1; function readNever2() { return never2 }
//: error Error: stop
//: at 1:7
//% calling it
readNever2()
//: error ReferenceError: never2 is not defined
//: at readNever2 1:68
//: at 1:1
//% it can be given a value later
const never2 = 'now'
readNever2()
//: result 'now'
//% a using before its line
try { res } catch (e: any) { console.log(e.message) }
using res = { [Symbol.dispose]() { console.log('disposed') } }
//: stdout Cannot access 'res' before initialization
//: stdout disposed
//% an initializer that fails
let gone = (() => { throw new Error('init') })()
//: error Error: init
//: at 1:27
//: at 1:47
//% whose name is not there then
gone
//: error ReferenceError: gone is not defined
//: at 1:1
//% hoisted imports below code and functions
console.log(joinAll('a', 'b'))
function joinAll(...p: string[]) { return join(...p) }
import { join } from 'node:path'
//: stdout a/b
//% import in the middle with a namespace and a default
const made = osx.EOL + URLx.name
import * as osx from 'node:os'
import { URL as URLx } from 'node:url'
made
//: result '\nURL'
//% generator closures in loops keep their own
const fns: (() => number)[] = []
for (let i = 0; i < 3; i++) fns.push(() => i)
for (var vv = 0; vv < 3; vv++) fns.push(() => vv)
fns.map((f) => f())
//: result [ 0, 1, 2, 3, 3, 3 ]
//% a recursive arrow and mutual recursion
const even = (n: number): boolean => n === 0 || odd(n - 1)
const odd = (n: number): boolean => n !== 0 && even(n - 1)
even(10)
//: result true
//% a class expression that reads itself in a static field
const Self = class Inner { static me = Inner.name; static other = (() => { try { return Self.name } catch (e: any) { return e.message } })() }
;[Self.me, Self.other]
//: result [ 'Inner', "Cannot access 'Self' before initialization" ]
//% redeclared as everything
let shape = 1
//% as a function
function shape() { return 'f' }
shape()
//: result 'f'
//% as a class
class shape { v = 1 }
new shape().v
//: result 1
//% as an enum
enum shape { X = 3 }
shape.X
//: result 3
//% as an import
import { sep as shape } from 'node:path'
shape
//: result '/'
//% as an interface only keeps the value
interface shape { a: 1 }
shape
//: result '/'
