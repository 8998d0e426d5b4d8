//% a program has no arguments
import { parseArgs } from 'node:util'
const defaults9 = parseArgs({ options: { name: { type: 'string', default: 'World' } } }).values
;[process.argv.slice(2), process.execArgv, defaults9.name]
//: result [ [], [], 'World' ]
//% its script is the cell
[process.argv.length, process.argv[1] === import.meta.filename, require.main?.filename === __filename]
//: result [ 2, true, true ]
//% the cell is the main module
if (require.main === module) console.log('main')
if (import.meta.main) console.log('main, too')
if (process.argv[1] === new URL(import.meta.url).pathname) console.log('by address')
//: stdout main
//: stdout main, too
//: stdout by address
//% a module has what a module has
[module.id, module.filename === __filename, typeof module.require, module.exports === exports, module.children.length]
//: result [ '.', true, 'function', true, 0 ]
//: differs bun its modules have other properties
//% the script follows the directory
const home9 = process.cwd()
require('node:fs').mkdirSync('elsewhere', { recursive: true })
process.chdir('elsewhere')
const follows9 = process.argv[1] === import.meta.filename
process.chdir(home9)
follows9
//: result true
//% arguments that the cell sets
process.argv.push('--name', 'Ada')
const given9 = parseArgs({ options: { name: { type: 'string' } } }).values.name
process.argv.length = 2
given9
//: result 'Ada'
//% the handlers of exit run once, with the code
process.on('exit', (code) => console.log('first', code))
process.once('exit', (code) => console.log('second', code))
process.exit(3)
//: stdout first 3
//: stdout second 3
//: error ProcessExit: process.exit(3)
//% they are gone afterwards, with the other handlers of that program
process.on('uncaughtException', () => console.log('stale'))
try { process.exit(4) } finally {}
//: error ProcessExit: process.exit(4)
//% a handler of exit has the last word
process.on('exit', () => process.exit(7))
process.exit(1)
//: error ProcessExit: process.exit(7)
//% a handler of exit that fails
process.on('exit', () => { throw new Error('in exit') })
process.exit(2)
//: stderr Uncaught Error: in exit
//: stderr     at cell_N.ts:1:34
//: stderr     at cell_N.ts:2:9
//: error ProcessExit: process.exit(2)
//: differs bun columns in text that the cell prints
//% process.exitCode is the code of process.exit
process.exitCode = 5
process.exit()
//: error ProcessExit: process.exit(5)
//% and none later
process.exit()
//: error ProcessExit: process.exit(0)
//% a handler of uncaughtException takes the error
process.once('uncaughtException', (error) => console.log('taken:', error.message))
setTimeout(() => { throw new Error('late') }, 1)
await new Promise((resolve) => setTimeout(resolve, 50))
//: stdout taken: late
//% a handler of unhandledRejection, too
process.once('unhandledRejection', (error: any) => console.log('taken:', error.message))
Promise.reject(new Error('rejected'))
await new Promise((resolve) => setTimeout(resolve, 50))
//: stdout taken: rejected
//% without one of its own a rejection is an exception
process.once('uncaughtException', (error, origin) => console.log('taken:', error.message, origin))
Promise.reject(new Error('rejected'))
await new Promise((resolve) => setTimeout(resolve, 50))
//: stdout taken: rejected unhandledRejection
//% a handler of uncaughtException that exits ends the cell
process.once('uncaughtException', (error) => { console.error('fatal:', error.message); process.exit(1) })
setTimeout(() => { throw new Error('late') }, 1)
await new Promise((resolve) => setTimeout(resolve, 5000))
console.log('never')
//: stderr fatal: late
//: error ProcessExit: process.exit(1)
//% a handler of uncaughtException that fails
process.once('uncaughtException', () => { throw 'worse' })
setTimeout(() => { throw new Error('late') }, 1)
await new Promise((resolve) => setTimeout(resolve, 50))
//: stderr Uncaught 'worse'
//% without handlers it is told again
setTimeout(() => { throw 'untaken' }, 1)
await new Promise((resolve) => setTimeout(resolve, 50))
//: stderr Uncaught 'untaken'
//% a signal to itself is taken by its handler
process.once('SIGINT', () => console.log('interrupted'))
process.kill(process.pid, 'SIGINT')
await new Promise((resolve) => setTimeout(resolve, 50))
//: stdout interrupted
//% process.exit in a timer
setTimeout(() => process.exit(6), 1)
await new Promise((resolve) => setTimeout(resolve, 5000))
//: error ProcessExit: process.exit(6)
//% the kernel is still there
typeof defaults9
//: result 'object'
//% parseArgs with given args
parseArgs({ args: ['-v', 'file'], allowPositionals: true, options: { verbose: { type: 'boolean', short: 'v' } } }).positionals
//: result [ 'file' ]
//% the main idiom of CommonJS
async function main() { console.log('in main', process.argv.length) }
if (require.main === module) main().catch((e) => { console.error(e); process.exit(1) })
//: stdout in main 2
//% the main idiom that fails
async function main2() { throw new Error('bad config') }
if (require.main === module) await main2().catch((e: Error) => { console.error(e.message); process.exit(1) })
//: stderr bad config
//: error ProcessExit: process.exit(1)
//% the main idiom that fails, not awaited
main2().catch((e: Error) => { console.error('caught', e.message); process.exit(2) })
//: stderr caught bad config
//: error ProcessExit: process.exit(2)
//% exitCode does not end the cell
process.exitCode = 3
'on'
//: result 'on'
//% exit without a code uses exitCode
process.exit()
//: error ProcessExit: process.exit(3)
//% exit in a timer that is awaited for
setTimeout(() => process.exit(5), 5)
await new Promise(() => {})
//: error ProcessExit: process.exit(5)
//% exit after output
console.log('x'.repeat(10)); process.stdout.write('no newline'); process.exit(1)
//: stdout xxxxxxxxxx
//: stdout no newline
//: error ProcessExit: process.exit(1)
//% an exit handler, removed again
const onExit = () => console.log('never')
process.on('exit', onExit); process.off('exit', onExit); process.exit(0)
//: error ProcessExit: process.exit(0)
