//% log, error, warn, info and debug
console.log('a %s b %d %i %f %j %o %%', 'x', 1.5, 1.5, '2.5', { j: 1 }, [1], 'rest')
console.error('to stderr'); console.warn('warned')
console.info({ n: [1, { m: 2 }] }); console.debug(new Map([['k', 1]]))
//: stdout a x b 1.5 1 2.5 {"j":1} [ 1, [length]: 1 ] % rest
//: stderr to stderr
//: stderr warned
//: stdout { n: [ 1, { m: 2 } ] }
//: stdout Map(1) { 'k' => 1 }
//% a table
console.table([{ a: 1, b: 'x' }, { a: 2 }], ['a'])
//: stdout ┌─────────┬───┐
//: stdout │ (index) │ a │
//: stdout ├─────────┼───┤
//: stdout │ 0       │ 1 │
//: stdout │ 1       │ 2 │
//: stdout └─────────┴───┘
//: differs bun console.table centres what it draws
//% groups
console.group('outer'); console.log('in'); console.group(); console.error('deep'); console.groupEnd(); console.groupEnd(); console.log('out')
//: stdout outer
//: stdout   in
//: stderr     deep
//: stdout out
//% dir and dirxml
console.dir({ a: { b: { c: {} } } }, { depth: 0 }); console.dirxml([1])
//: stdout { a: [Object] }
//: stdout [ 1 ]
//% counts
console.count(); console.count('k'); console.count(); console.countReset(); console.count()
//: stdout default: 1
//: stdout k: 1
//: stdout default: 2
//: stdout default: 1
//% assertions
console.assert(1 === 1, 'fine'); console.assert(false, 'n is %d', 3)
//: stderr Assertion failed: n is 3
//% a trace has the cell's position
console.trace('here')
//: stderr Trace: here
//: stderr     at cell_N.ts:1:9
//: differs bun columns in text that the cell prints
//% a timer names its label
console.time('t'); const line9: string[] = []
const write9 = process.stdout.write
process.stdout.write = ((text: string) => (line9.push(text), true)) as any
console.timeEnd('t'); process.stdout.write = write9;
/^t: [\d.]+m?s\n$/.test(line9[0])
//: result true
//% the result follows the output
console.log('first'); 'second'
//: stdout first
//: result 'second'
//% output and displays keep their order
console.log(1); display(2); console.error(3); display.html('<4>'); process.stdout.write('5'); console.log(6)
//: stdout 1
//: display 2
//: stderr 3
//: display (none)
//: data text/html <4>
//: stdout 56
//% output before an error
console.log('printed'); null!.x
//: stdout printed
//: error TypeError: Cannot read properties of null (reading 'x')
//: at 1:31
//: differs bun JavaScriptCore words it otherwise
//% writes without a newline
process.stdout.write('a'); process.stdout.write(Buffer.from('é')); process.stdout.write('63', 'hex'); undefined
//: stdout aéc
//% a character in two writes
const [head9, tail9] = [Buffer.from('€').subarray(0, 1), Buffer.from('€').subarray(1)]
process.stdout.write(head9); process.stdout.write(tail9); undefined
//: stdout €
//% colours are off
console.log({ s: 'x', n: 1 }, [undefined, null], 'plain')
//: stdout { s: 'x', n: 1 } [ undefined, null ] plain
//% errors and causes in the console
console.log(String(new Error('e', { cause: 'c' })), [new RangeError('r')].length)
//: stdout Error: e 1
//% a promise's output follows
Promise.resolve().then(() => console.log('then')); console.log('now')
//: stdout now
//: stdout then
//% a stream is piped to stdout
import { Readable as Readable9 } from 'node:stream'
import { pipeline as pipeline9 } from 'node:stream/promises'
await pipeline9(Readable9.from(['one\n', 'two\n']), process.stdout)
//: stdout one
//: stdout two
//% console methods can be passed on
[1, 2].forEach(console.log)
//: stdout 1 0 [ 1, 2 ]
//: stdout 2 1 [ 1, 2 ]
//% many lines arrive whole
for (let i = 0; i < 3; i++) console.log(`line ${i}`)
//: stdout line 0
//: stdout line 1
//: stdout line 2
//% process.exit ends the cell, not the context
console.log('before'); process.exit(3); console.log('never')
//: stdout before
//: error ProcessExit: process.exit(3)
//% the context is alive
typeof line9
//: result 'object'
