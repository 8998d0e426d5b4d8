//% a builtin module: default, named and renamed
import fs, { readFileSync as read3, existsSync } from 'node:fs'
fs.readFileSync === read3 && existsSync('.')
//: result true
//: differs bun the kernel's own readFileSync does not reach named imports
//: differs deno the kernel's own readFileSync does not reach named imports
//% a namespace import, and a builtin without node:
import * as os3 from 'os'
typeof os3.cpus
//: result 'function'
//% default and namespace at once
import path3, * as pathAll3 from 'node:path'
path3.sep === pathAll3.sep && pathAll3.default === path3
//: result true
//% a quoted name
import { 'join' as join3 } from 'node:path'
join3('a', 'b')
//: result 'a/b'
//% an import for its effect gives no value
import 'node:fs'
//% type-only imports are never loaded
import type { Missing } from './missing.ts'
import { type Other } from 'node:fs'
import type Whole from 'nowhere'
const typed3: Missing | Other | Whole = 1
typed3
//: result 1
//% a dynamic import
const { basename } = await import('node:path')
basename('/a/b.ts')
//: result 'b.ts'
//% a dynamic import in a function
const load3 = async (name: string) => (await import(name)).sep
await load3('node:path')
//: result '/'
//% require
const util3 = require('util')
require('node:path').sep + typeof util3.inspect
//: result '/function'
//% import equals require
import url3 = require('node:url')
new url3.URL('http://a/b').pathname
//: result '/b'
//% what import.meta knows
import.meta.dirname === process.cwd() && import.meta.url.startsWith('file:///') && __dirname === process.cwd()
//: result true
//% a data file
{ "answer": 42, "list": [1, 2] }
//: file data3.json
//% JSON needs no attribute
import data3 from './data3.json'
data3.answer
//: result 42
//% JSON with the attribute
import data4 from './data3.json' with { type: 'json' }
data4.answer + (await import('./data3.json', { with: { type: 'json' } })).default.list.length
//: result 44
//% JSON by require
require('./data3.json').list
//: result [ 1, 2 ]
//% a TypeScript file
export interface Shape { side: number }
export enum Mode { On = 'on' }
export namespace Geo { export const area = (s: Shape) => s.side ** 2 }
export const three: number = 3
export default class Square { constructor(public side: number) {} }
export function fail(message: string): never {

  throw new Error(message)
}
//: file shapes.ts
//% TypeScript from a file, with enums and namespaces
import Square3, { Mode, Geo as Geo3, three, type Shape } from './shapes.ts'
const square3: Shape = new Square3(three)
Geo3.area(square3) + Mode.On
//: result '9on'
//% without the extension, and by the compiled name
import { three as three3 } from './shapes'
const again3 = await import('./shapes.js')
three3 === again3.three && again3.Mode === Mode
//: result true
//% an error in a file has the file's position
import { fail } from './shapes'
fail('from a file')
//: error Error: from a file
//: at 2:1
//: trace shapes.ts:8:9
//% a module in a folder, which imports another
import { deep } from '../deep'
export const index = `index of ${deep}`
//: file lib3/index.ts
//% the other
export const deep: string = 'first'
//: file deep.ts
//% a folder
import { index as index3 } from './lib3'
index3
//: result 'index of first'
//% the file that the other imports has changed
export const deep: string = 'the second'
//: file deep.ts
//% what imports a changed file is loaded again
import { index as index3 } from './lib3'
index3
//: result 'index of the second'
//: differs bun has no hooks for modules: a file is loaded once
//% what has not changed is not
(await import('./shapes')).Mode === Mode
//: result true
//% a data file has changed
{ "answer": 4300 }
//: file data3.json
//% and is read again
import data3 from './data3.json'
data3.answer + require('./data3.json').answer
//: result 8600
//: differs bun has no hooks for modules: a file is loaded once
//% a JSX file with a decorator
const keep = (value: any, _: DecoratorContext) => value
export const Box = ({ children }: { children?: unknown }) => <div class="box">{children}</div>
export class Kept { @keep m() { return 'kept' } }
export function broken() {
  throw new TypeError('in tsx')
}
//: file box.tsx
//% JSX and decorators in files
import { Box as Box3, Kept } from './box'
`${<Box3>in <i>it</i></Box3>}` + new Kept().m()
//: result '<div class="box">in <i>it</i></div>kept'
//: differs bun compiles files itself, with React's JSX
//% positions in such a file
(await import('./box.tsx')).broken()
//: error TypeError: in tsx
//: at 1:29
//: trace box.tsx:5:9
//% a JavaScript module, plain CommonJS and both explicit kinds
export const kind = 'mjs'
//: file kind3.mjs
//% CommonJS by its name
exports.kind = 'cjs'
//: file kind3.cjs
//% CommonJS by its text
exports.one = 1; exports['two'] = 2
//: file plain3.js
//% TypeScript in CommonJS
enum K { A = 4 }
module.exports = { K, n: 1 as number }
//: file cjs3.ts
//% each kind of file
import { kind as mjs3 } from './kind3.mjs'
import { kind as cjs3 } from './kind3.cjs'
import { one as one3, two as two3 } from './plain3.js'
import cts3 from './cjs3.ts'
mjs3 + cjs3 + one3 + two3 + cts3.n + require('./cjs3').K.A + require('./kind3.mjs').kind
//: result 'mjscjs1214mjs'
//: differs deno a .js file is a module unless a package.json says otherwise
//% a package
{ "name": "left3", "version": "1.2.3", "exports": { ".": { "import": "./esm.mjs", "require": "./cjs.cjs" }, "./sub": "./sub.cjs" } }
//: file node_modules/left3/package.json
//% its module
export const how = 'imported'; export default () => 'default'
//: file node_modules/left3/esm.mjs
//% its CommonJS
exports.how = 'required'
//: file node_modules/left3/cjs.cjs
//% its part
const o = {}; for (const k of ['pad', 'trim']) o[k] = () => k; module.exports = o
//: file node_modules/left3/sub.cjs
//% a package from node_modules, by its conditions
import left3, { how } from 'left3'
import { pad } from 'left3/sub'
[left3(), how, require('left3').how, pad()].join()
//: result 'default,imported,required,pad'
//% a package that says nothing of its parts
{ "name": "old3", "version": "1.0.0", "main": "index.js" }
//: file node_modules/old3/package.json
//% its names, which no reader of its text finds
const all = {}; for (const k of ['chunk', 'map']) all[k] = () => k; module.exports = all
//: file node_modules/old3/index.js
//% a plugin
module.exports = 'plugin'
//: file node_modules/old3/plugin/utc.js
//% a folder of the package
module.exports = 'folder'
//: file node_modules/old3/fp/index.js
//% a folder with a file of its name
module.exports = 'beside'
//: file node_modules/old3/both.js
//% the folder
module.exports = 'inside'
//: file node_modules/old3/both/index.js
//% a folder that says what its file is
{ "main": "../deep/start.js" }
//: file node_modules/old3/operators/package.json
//% that file
exports.started = 'started'
//: file node_modules/old3/deep/start.js
//% a module of its own kind
export default 'module'
//: file node_modules/old3/esm.mjs
//% an instance
class Logger { level = 'info'; log() { return `[${this.level}]` } }
module.exports = new Logger()
//: file node_modules/old3/logger.js
//% names that are made when they are wanted
Object.defineProperty(exports, 'heavy', { enumerable: true, get() { globalThis.made3 = true; return 'heavy' } })
Object.defineProperty(exports, 'light', { enumerable: true, value: 'light' })
//: file node_modules/old3/lazy.js
//% paths into packages as bundlers take them
import plugin3 from 'old3/plugin/utc'
import folder3 from 'old3/fp'
import both3 from 'old3/both'
import { started } from 'old3/operators'
import esm3 from 'old3/esm'
[plugin3, folder3, both3, started, esm3].join()
//: result 'plugin,folder,beside,started,module'
//% import * gives all that a CommonJS module exports
import * as old3 from 'old3'
[old3.chunk(), old3.map(), old3.default.chunk(), Object.keys(old3).filter((name) => name !== 'module.exports').sort().join()]
//: result [ 'chunk', 'map', 'chunk', 'chunk,default,map' ]
//% import() gives it, too
const { chunk: chunk3 } = await import('old3');
[chunk3(), (await import('old3')) === (await import('old3'))]
//: result [ 'chunk', true ]
//% the methods of what is exported
import * as logger3 from 'old3/logger'
[logger3.log(), logger3.level]
//: result [ '[info]', 'info' ]
//: differs bun its namespaces have own properties only
//% getters stay getters
import * as lazy3 from 'old3/lazy'
const early3 = globalThis.made3;
[early3, lazy3.light, lazy3.heavy, globalThis.made3]
//: result [ undefined, 'light', 'heavy', true ]
//: differs bun it reads them all
//% a package by an npm: specifier
import { map as map3 } from 'npm:old3@^1.0.0'
import npm3 from 'npm:old3/plugin/utc'
[map3(), npm3, require('npm:old3').chunk()]
//: result [ 'map', 'plugin', 'chunk' ]
//% a package that is not installed, by an npm: specifier
import nowhere3 from 'npm:nowhere3@2'
//: error Error: Cannot find package 'nowhere3' imported from DIRECTORY/cell.ts
//: at 1:1
//: trace ERR_MODULE_NOT_FOUND
//: differs deno the error is a TypeError
//% a part that a package does not have
import part3 from 'old3/nothing'
//: error Error: Cannot find module 'DIRECTORY/node_modules/old3/nothing' imported from DIRECTORY/cell.ts
//: at 1:1
//: differs bun it names the package
//: differs deno the error is a TypeError
//% paths of a project
{
  // with comments, and commas at the end
  "compilerOptions": { "paths": { "@/*": ["./lib3/*"], "config3": ["./lib3/settings.ts"], "#lib/*.js": ["./none3/*", "./lib3/*"], }, },
}
//: file tsconfig.json
//% a file of the project
import { base3 } from '@/deep/base'
export const scaled3 = (n: number) => n * base3
//: file lib3/scale.ts
//% another file of the project
export const base3: number = 10
//: file lib3/deep/base.ts
//% a third
export default { debug: true }
//: file lib3/settings.ts
//% modules by the paths of a tsconfig.json
import { scaled3 } from '@/scale'
import settings3 from 'config3'
import { base3 } from '#lib/deep/base.js'
[scaled3(2), settings3.debug, base3, require('@/scale.ts').scaled3(3), (await import('@/deep/base')).base3]
//: result [ 20, true, 10, 30, 10 ]
//: differs bun it reads a tsconfig.json that was there at the start
//% a path that leads nowhere
import none3 from '@/none'
//: error Error: Cannot find package '@/none' imported from DIRECTORY/cell.ts
//: at 1:1
//: differs deno the error is a TypeError
//% no paths
{}
//: file tsconfig.json
//% a module that is not there
import nothing3 from 'nowhere3'
//: error Error: Cannot find package 'nowhere3' imported from DIRECTORY/cell.ts
//: at 1:1
//: trace ERR_MODULE_NOT_FOUND
//: differs deno the error is a TypeError
//% a file that is not there
await import('./nowhere3')
//: error Error: Cannot find module 'DIRECTORY/nowhere3' imported from DIRECTORY/cell.ts
//: at 1:7
//: trace ERR_MODULE_NOT_FOUND
//: differs bun it names the file as the cell does
//: differs deno the error is a TypeError
//% a name that a module does not have
import { nope3 } from 'node:fs'
//: error SyntaxError: The requested module 'node:fs' does not provide an export named 'nope3'
//: at 1:1
//% a file with a syntax error
export const good = 1
export const bad: = 2
//: file bad3.ts
//% the error names the file, its line and column
import './bad3'
//: error SyntaxError: Unexpected token `=`. Expected an identifier, void, yield, null, await, break, a string literal, a numeric literal, true, false, `, -, import, this, typeof, {, [, ( (DIRECTORY/bad3.ts:2:19)
//: at 1:1
//: trace bad3.ts:2:19
//: trace export const bad: = 2
//: differs bun the error is a BuildMessage
//: differs deno the error is a TypeError around it
//% a module that throws
throw new RangeError('at load')
//: file throws3.ts
//% the error of a module that throws
const unused3 = 1; await import('./throws3')
//: error RangeError: at load
//: at 1:26
//: trace throws3.ts:1:7
//% exports of a cell are its names
export const exported3 = 5
export { exported3 as other3 }
export type Exported3 = number
exported3
//: result 5
//% a default export is the value
export default 6
//: result 6
//% a default export with a name
export default function named3() { return 7 }
named3()
//: result 7
//% what a cell imports is there for later ones
typeof readFileSync + path3.sep
//: result 'undefined/'
//% a type of a builtin module, imported without the word
import { EventEmitter as Emitter3, EventEmitterOptions } from 'node:events'
const options3: EventEmitterOptions = {}
typeof Emitter3
//: result 'function'
//% beside the module itself
import fs3, { Stats, PathLike } from 'node:fs'
function size3(stats: Stats): number { return stats.size }
const path3: PathLike = '.'
size3(fs3.statSync(path3)) > 0
//: result true
//% a class that is only a type here is there for later cells
import { IncomingMessage as Incoming3, RequestListener, createServer as create3 } from 'node:http'
const listener3: RequestListener = (request: Incoming3) => {}
typeof create3
//: result 'function'
//% as it says
typeof Incoming3
//: result 'function'
//% names that may be types, in a cell that only imports
import { NoSuchThing3, Readable as Readable3 } from 'node:stream'
//% are there if the module has them
[typeof Readable3, typeof NoSuchThing3]
//: result [ 'function', 'undefined' ]
//% a type by the name of a global
import { Request, Response } from 'node:http'
//% leaves the global
new Response('text').status
//: result 200
//% a name that is mentioned has to be there
import { Missing3 } from 'node:fs'
console.log(Missing3)
//: error SyntaxError: The requested module 'node:fs' does not provide an export named 'Missing3'
//: at 1:1
//% a package that is not there, for its types
import { JSONSchema3 } from 'nowhere-types3'
import Schema3 from 'nowhere-types3'
const schema3: JSONSchema3 | Schema3 = { type: 'object' }
schema3
//: result { type: 'object' }
//% a package that is not there, for a value
import { JSONSchema3 } from 'nowhere-types3'
JSONSchema3
//: error Error: Cannot find package 'nowhere-types3' imported from DIRECTORY/cell.ts
//: at 1:1
//: differs bun the error is a ResolveMessage
//: differs deno the error is a TypeError
//% a package of types
{ "name": "only-types3", "version": "1.0.0", "exports": { ".": { "types": "./index.d.ts" } } }
//: file node_modules/only-types3/package.json
//% has nothing to load
import { Shape3 } from 'only-types3'
//% and gives types
import { Shape3, type Other3 } from 'only-types3'
import { type Inline3 } from 'only-types3'
const shape3: Shape3 | Other3 | Inline3 = { sides: 3 }
shape3
//: result { sides: 3 }
//% a file of types
export type Id3 = string
export interface User3 { id: Id3 }
//: file types3.ts
//% a file with a type and a value
export interface Item3 { a: number }
export const five3 = 5
//: file item3.ts
//% a file that imports both
import { Item3, five3 } from './item3.ts'
import { User3 } from './types3'
export function make3(): Item3 & Partial<User3> { return { a: five3 } }
//: file make3.ts
//% gives what it makes
import { make3 } from './make3'
make3()
//: result { a: 5 }
//% a cell that imports a type of a file
import { Item3, five3 } from './item3'
import * as Types3 from './types3'
const item3: Item3 & Types3.User3 = { a: five3, id: 'i' }
item3
//: result { a: 5, id: 'i' }
//% a file that passes types on
export { User3, Id3 } from './types3'
export { five3, Item3 } from './item3'
export * from './types3'
//: file barrel3.ts
//% a file that imports them and passes them on
import { User3, Id3, five3 } from './barrel3'
export { User3 }
export type { Item3 } from './item3'
export class Service3 { get(id: Id3): User3 { return { id: id + five3 } } }
//: file service3.ts
//% of which a cell takes a type and a class
import { Service3, User3 } from './service3'
const user3: User3 = new Service3().get('a')
user3
//: result { id: 'a5' }
//: differs bun compiles files itself, and passes no type on without the word
//% a file with an enum
import { User3 } from './types3'
export enum Kind3 { One = 1 }
export const kind3 = (): User3 & { kind: Kind3 } => ({ id: 'k', kind: Kind3.One })
//: file enum3.ts
//% that imports a type
import { kind3 } from './enum3'
kind3()
//: result { id: 'k', kind: 1 }
//% a decorated file
import { User3 } from './types3'
const mark3 = (_: unknown, __: unknown) => {}
@mark3 export class Marked3 { user?: User3; n = 1 }
//: file marked3.ts
//% that imports a type, too
import { Marked3 } from './marked3'
new Marked3().n
//: result 1
//% a file that exports its types in a list
interface Listed3 { a: number }
type Other3 = Listed3
const make3listed = (): Other3 => ({ a: 3 })
export { Listed3, Other3, make3listed }
//: file listed3.ts
//% gives its values
import { Listed3, make3listed } from './listed3'
const listed3: Listed3 = make3listed()
listed3
//: result { a: 3 }
//% a cell may export what an earlier one declared, and types
type Own3 = number
export { make3listed, Own3 }
export type { Listed3 }
export default (5 as Own3)
//: result 5
//% TypeScript's own require and export
import process3 = require('node:process')
export = typeof process3.version
//: result 'string'
//% what it exports is the cells' module
const exported3here = module.exports
module.exports = exports
exported3here
//: result 'string'
//% a file with them
import path3 = require('node:path')
class Parts3 { separator: string = path3.sep }
export = Parts3
//: file parts3.cts
//% required
const Parts3 = require('./parts3.cts')
new Parts3().separator
//: result '/'
//% and imported
import Imported3 from './parts3.cts'
new Imported3().separator
//: result '/'
//% a package that does not say what its files are
{ "dependencies": {} }
//: file package.json
//% a module in it
export const untyped9: number = 1
//: file untyped9.ts
//% is loaded without a word
import { untyped9 } from './untyped9'
untyped9
//: result 1
