//% const
const name1: number = 1
//% again as let
let name1: string = 'b'
name1
//: result 'b'
//% again as var
var name1: any = 3
name1
//: result 3
//% again as a function
function name1() { return 4 }
name1()
//: result 4
//% again as a class
class name1 { static five = 5 }
name1.five
//: result 5
//% again as an enum
enum name1 { Six = 6 }
name1.Six
//: result 6
//% again as a namespace
namespace name1 { export const seven = 7 }
name1
//: result { seven: 7 }
//% again as an import
import { sep as name1 } from 'node:path'
name1
//: result '/'
//% again by destructuring
const { a: [name1], ...rest1 } = { a: [9], b: 1 }
name1 + rest1.b
//: result 10
//% again as a const after an await
await null
const name1 = 'late'
//% again as a class after an await
await null
class name1 { static v = 11 }
name1.v
//: result 11
//% again as a function after an await
await null
function name1() { return 12 }
name1()
//: result 12
//% again as a decorated class
const mark = (_: unknown, __: unknown) => {}
@mark class name1 { static v = 13 }
name1.v
//: result 13
//% again as a resource
using name1 = { v: 14, [Symbol.dispose]() {} }
name1.v
//: result 14
//% again as a const
const name1 = 'last'
name1
//: result 'last'
//% a function of an earlier cell sees the new value
let shared1 = 1; function readShared() { return shared1 }
//% the new value
const shared1 = 2
readShared()
//: result 2
//% functions call functions that come later
const caller = () => laterOne(20)
//% the later one
function laterOne(x: number) { return x + 1 }
caller()
//: result 21
//% twice in one cell is an error
let twice1 = 1
let twice1 = 2
//: error SyntaxError: Identifier 'twice1' has already been declared
//: at 2:5
//% a let without a value is undefined
let shared1
shared1
//% a var without a value keeps it
var kept1 = 5
//% as in a script
var kept1
kept1
//: result 5
//% a constant cannot be assigned in its own cell
const fixed: number = 1
fixed = 2
//: error TypeError: Assignment to constant variable.
//: at 2:7
//: differs bun the error has no frame of the cell
//% but in a later one
fixed = 3
fixed
//: result 3
//% a global accessor gives way
const crypto = 'mine', navigator = 'my own'
crypto + navigator
//: result 'minemy own'
//% the names of other modules' globals
const process1 = process.version.startsWith('v'), Buffer1 = typeof Buffer
process1 + Buffer1
//: result 'truefunction'
//% var in blocks and loops is the cell's
for (var i1 = 0, n1 = 3; i1 < n1; i1++) { var last1 = i1 }
if (true) { var inner1 = 'in' }
try { throw 1 } catch { var caught1 = 1 }
//% and later cells see it
[i1, last1, inner1, caught1]
//: result [ 3, 2, 'in', 1 ]
//% let in blocks is not
{ let block1 = 1; const other1 = 2 }
[typeof block1, typeof other1]
//: result [ 'undefined', 'undefined' ]
//% names with letters of any script, and escapes
const größe = 1, 变量 = 2, \u{61}bc = 3
größe + 变量 + abc
//: result 6
//% names that only look reserved
const type = 1, of = 2, async = 3, get = 4, satisfies = 5, accessor = 6, using = 7, namespace = 8
type + of + async + get + satisfies + accessor + using + namespace
//: result 36
//% every pattern binds
const [p1, , [p2 = 2] = [], ...p3] = [1, 0, undefined, 4, 5], { q1, q2: { q3 }, ['q' + 4]: q4 = 'd', ...q5 } = { q1: 1, q2: { q3: 3 }, z: 9 }
;[p1, p2, p3, q1, q3, q4, q5]
//: result [ 1, 2, [ 4, 5 ], 1, 3, 'd', { z: 9 } ]
//% a global that is set without a declaration
implicit1 = 'made'
globalThis.implicit1
//: result 'made'
//% this at the top level is the global object
this === globalThis
//: result true
//% an error keeps what was declared before it
const before1 = 'kept'; throw new Error('stop'); const after1 = 1
//: error Error: stop
//: at 1:31
//% and what was not reached is undefined
[before1, typeof after1]
//: result [ 'kept', 'undefined' ]
//% a function in a block of a cell that awaits
await null
if (true) { function inBlock6() { return 'block' } }
switch (1) { case 1: function inSwitch6() { return 'switch' } }
inBlock6()
//: result 'block'
//% is there for later cells
inBlock6() + inSwitch6()
//: result 'blockswitch'
//% for the same as in one that does not
{ function inPlain6() { return 'plain' } }
inPlain6()
//: result 'plain'
