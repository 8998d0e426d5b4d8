//% display shows text as it is inspected
display('x'); display(1)
//: display 'x'
//: types text/plain
//: display 1
//% display gives no result, awaited or not
await display([1])
//: display [ 1 ]
//: data application/json [1]
//% the value is one MIME bundle, a plain object also JSON
({ a: 1, b: [true, null] })
//: result { a: 1, b: [ true, null ] }
//: types text/plain application/json
//: data application/json {"a": 1, "b": [true, null]}
//% what is no JSON is text
({ f() {}, n: NaN })
//: result { f: [Function: f], n: NaN }
//: types text/plain
//% instances, maps, dates and functions are text
[new Map([[1, { a: 2 }]]), new Set(['x']), new Date(0), class Q {}, /r/g, Symbol('s'), new Uint8Array(2)]
//: result [
//: |   Map(1) { 1 => { a: 2 } },
//: |   Set(1) { 'x' },
//: |   1970-01-01T00:00:00.000Z,
//: |   [class Q],
//: |   /r/g,
//: |   Symbol(s),
//: |   Uint8Array(2) [ 0, 0 ]
//: | ]
//: types text/plain
//% a cycle is text
const cycle: any = { name: 'c' }; cycle.self = cycle
cycle
//: result <ref *1> { name: 'c', self: [Circular *1] }
//: types text/plain
//% html, markdown, latex, svg, javascript
display.html('<b>1</b>')
display.markdown('*2*')
display.latex('$3$')
display.svg('<svg/>')
display.javascript('4')
//: display (none)
//: types text/html
//: data text/html <b>1</b>
//: display (none)
//: data text/markdown *2*
//: display (none)
//: data text/latex $3$
//: display (none)
//: data image/svg+xml <svg/>
//: display (none)
//: data application/javascript 4
//% json and text
display.json({ a: [1] }); display.text(5)
//: display (none)
//: data application/json {"a": [1]}
//: display 5
//% as template tags
display.html`<p>${'a'}${<i>b</i>}</p>`
display.markdown`**${1 + 1}**`
//: display (none)
//: data text/html <p>a<i>b</i></p>
//: display (none)
//: data text/markdown **2**
//% bytes become base64, a data URL loses its head
display.png(Uint8Array.of(1, 2, 3)); display.jpeg('data:image/jpeg;base64,AQID'); display.pdf(new Uint8Array([37]).buffer)
//: display (none)
//: data image/png AQID
//: display (none)
//: data image/jpeg AQID
//: display (none)
//: data application/pdf JQ==
//% what is neither bytes nor text
display.png(42 as any)
//: error TypeError: image/png takes bytes or base64 text, got 42
//: at 1:9
//% images by their first bytes
const png8 = Buffer.from('iVBORw0KGgo=', 'base64')
png8
//: result <PNG image, 8 bytes>
//: data image/png iVBORw0KGgo=
//% JPEG, GIF, WebP and PDF
display(Uint8Array.of(0xff, 0xd8, 0xff, 0)); display(Buffer.from('GIF89a')); display(Buffer.from('RIFF1234WEBP')); display(Buffer.from('%PDF-1.7'))
//: display <JPEG image, 4 bytes>
//: types text/plain image/jpeg
//: display <GIF image, 6 bytes>
//: types text/plain image/gif
//: display <WebP image, 12 bytes>
//: types text/plain image/webp
//: display <PDF document, 8 bytes>
//: types text/plain application/pdf
//% an ArrayBuffer and a Blob
display(new Uint8Array(png8).buffer); await display(new Blob([png8], { type: 'image/png' }))
//: display <PNG image, 8 bytes>
//: display <PNG image, 8 bytes>
//: data image/png iVBORw0KGgo=
//% other bytes are text
Buffer.from('ab')
//: result <Buffer 61 62>
//: types text/plain
//% a canvas with toBuffer
class Canvas8 { getContext() {} toBuffer(type: string) { return type === 'image/png' ? png8 : null } }
new Canvas8()
//: result <PNG image, 8 bytes>
//: types text/plain image/png
//% a canvas with toDataURL
({ getContext() {}, toDataURL() { return 'data:image/png;base64,iVBORw0KGgo=' } })
//: result <image/png>
//: data image/png iVBORw0KGgo=
//% a canvas with convertToBlob
({ getContext() {}, async convertToBlob() { return new Blob([png8]) } })
//: result <PNG image, 8 bytes>
//% display.image takes each of them, and nothing else
display.image(new Canvas8()); display.image({} as any)
//: display <PNG image, 8 bytes>
//: error TypeError: display.image takes the bytes of an image, a Blob or a canvas, got {}
//: at 1:39
//% an element with outerHTML, and SVG
display({ tagName: 'DIV', outerHTML: '<div>1</div>' }); display({ outerHTML: ' <svg></svg>' })
//: display <DIV>
//: data text/html <div>1</div>
//: display <element>
//: data image/svg+xml  <svg></svg>
//% the display symbol
class Own8 { [Symbol.for('Jupyter.display')]() { return { 'text/plain': 'own', 'text/html': '<own>', 'application/x+json': { a: 1n } } } }
new Own8()
//: result own
//: data text/html <own>
//: data application/x+json {"a": "1"}
//% the display symbol may answer later, or not at all
display({ async [Symbol.for('Jupyter.display')]() { return { 'text/plain': 'later' } } }); await null
class Plain8 { [Symbol.for('Jupyter.display')]() { return null } n = 1 }
new Plain8()
//: display later
//: result Plain8 { n: 1 }
//% a raw bundle
display({ 'text/plain': 'p', 'text/html': ['<a>', '</a>'] }, { raw: true, metadata: { m: 1 } })
//: display p
//: data text/html <a></a>
//% Vega-Lite and Vega
display({ $schema: 'https://vega.github.io/schema/vega-lite/v5.json', mark: 'bar' })
display({ $schema: 'https://vega.github.io/schema/vega/v6.1.json' })
//: display { '$schema': 'https://vega.github.io/schema/vega-lite/v5.json', mark: 'bar' }
//: types text/plain application/vnd.vegalite.v5+json
//: display { '$schema': 'https://vega.github.io/schema/vega/v6.1.json' }
//: types text/plain application/vnd.vega.v6+json
//% a chart that makes its specification
({ toSpec: () => ({ $schema: 'https://vega.github.io/schema/vega-lite/v6.json', mark: 'point' }) })
//: result { toSpec: [Function: toSpec] }
//: data application/vnd.vegalite.v6+json {"$schema": "https://vega.github.io/schema/vega-lite/v6.json", "mark": "point"}
//% the shorthands of charts
display.vegalite({ mark: 'bar' }); display.vega({}); display.plotly({ data: [] })
//: display (none)
//: types application/vnd.vegalite.v5+json
//: display (none)
//: types application/vnd.vega.v5+json
//: display (none)
//: types application/vnd.plotly.v1+json
//% a Plotly figure, with typed arrays
({ data: [{ type: 'scatter', x: new Float64Array([1, 2]), y: [3, 4] }], layout: { title: { text: 't' } } })
//: result {
//: |   data: [ { type: 'scatter', x: Float64Array(2) [ 1, 2 ], y: [ 3, 4 ] } ],
//: |   layout: { title: { text: 't' } }
//: | }
//: data application/vnd.plotly.v1+json {"data": [{"type": "scatter", "x": [1, 2], "y": [3, 4]}], "layout": {"title": {"text": "t"}}}
//% what only resembles a figure
({ data: [{ id: 1, type: 'user' }] })
//: result { data: [ { id: 1, type: 'user' } ] }
//: types text/plain application/json
//% records are a table
[{ n: 1, s: 'a<b' }, { n: 2.5, more: true }]
//: result [ { n: 1, s: 'a<b' }, { n: 2.5, more: true } ]
//: types text/plain text/html application/json
//: data text/html <table><thead><tr><th>n</th><th>s</th><th>more</th></tr></thead><tbody><tr><td style="text-align:right">1</td><td>a&lt;b</td><td></td></tr><tr><td style="text-align:right">2.5</td><td></td><td>true</td></tr></tbody></table>
//: data application/json [{"n": 1, "s": "a<b"}, {"n": 2.5, "more": true}]
//% records with dates and objects
[{ at: new Date(0), tags: ['x'], big: 1n }]
//: result [ { at: 1970-01-01T00:00:00.000Z, tags: [ 'x' ], big: 1n } ]
//: data text/html <table><thead><tr><th>at</th><th>tags</th><th>big</th></tr></thead><tbody><tr><td>1970-01-01T00:00:00.000Z</td><td>[ 'x' ]</td><td style="text-align:right">1</td></tr></tbody></table>
//: data application/json [{"at": "1970-01-01T00:00:00.000Z", "tags": ["x"], "big": "1"}]
//% lists that are no records
[[1, 2], [3]]
//: result [ [ 1, 2 ], [ 3 ] ]
//: types text/plain application/json
//% a table on demand
display.table([{ a: 1, b: 2 }, { a: 3, b: 4 }], { columns: ['b'] })
//: display ┌─────────┬───┐
//: | │ (index) │ b │
//: | ├─────────┼───┤
//: | │ 0       │ 2 │
//: | │ 1       │ 4 │
//: | └─────────┴───┘
//: data application/json [{"b": 2}, {"b": 4}]
//: differs bun console.table centres what it draws
//% a table of columns, of a Map, of values
display.table({ x: [1, 2], y: Int8Array.of(3, 4) }); display.table(new Map([['k', 'v']])); display.table(new Set([7]))
//: display ┌─────────┬───┬───┐
//: | │ (index) │ x │ y │
//: | ├─────────┼───┼───┤
//: | │ 0       │ 1 │ 3 │
//: | │ 1       │ 2 │ 4 │
//: | └─────────┴───┴───┘
//: data application/json [{"x": 1, "y": 3}, {"x": 2, "y": 4}]
//: display ┌─────────┬─────┬───────┐
//: | │ (index) │ key │ value │
//: | ├─────────┼─────┼───────┤
//: | │ 0       │ 'k' │ 'v'   │
//: | └─────────┴─────┴───────┘
//: data application/json [{"key": "k", "value": "v"}]
//: display ┌─────────┬───────┐
//: | │ (index) │ value │
//: | ├─────────┼───────┤
//: | │ 0       │ 7     │
//: | └─────────┴───────┘
//: data application/json [{"value": 7}]
//: differs bun console.table centres what it draws
//% a table of nothing that can be one
display.table(5 as any)
//: error TypeError: display.table takes rows, an object of columns or a Map, got 5
//: at 1:9
//% an output that is replaced
const shown8 = display('first', { display_id: 'named' })
await shown8.update!('second')
display.update({ a: 1 }, { display_id: 'named' })
//: display 'first'
//: update 'second'
//: update { a: 1 }
//: data application/json {"a": 1}
//% an id that is made up
const made8 = display(1, { display_id: true })
await made8.update!(2)
made8.display_id!.startsWith('display-')
//: display 1
//: update 2
//: result true
//% an update needs an id
display.update(1, {} as any)
//: error TypeError: display_id must be the text that it was shown with, got undefined
//: at 1:9
//% clear
console.log('gone'); display.clear(); console.log('kept')
//: stdout gone
//: clear
//: stdout kept
//% what fails while it is shown is an error of the cell
({ [Symbol.for('Jupyter.display')]() { throw new Error('no bundle') } })
//: error Error: no bundle
//: at [Jupyter.display] 1:46
//% a custom inspection
import { inspect as inspect8 } from 'node:util'
class Money8 { constructor(private n: number) {} [inspect8.custom]() { return `$${this.n}` } }
new Money8(5)
//: result $5
//% deep and long values
[{ a: { b: { c: { d: { e: { f: 1 } } } } } }.a, 'x'.repeat(3)]
//: result [
//: |   {
//: |     b: { c: { d: { e: [Object] } } }
//: |   },
//: |   'xxx'
//: | ]
//% a getter that fails is none of the result's business
({ get outerHTML(): string { throw new Error('not now') }, n: 1 })
//: result { outerHTML: [Getter], n: 1 }
//: types text/plain
//% a proxy that answers everything is text
new Proxy({} as any, { get: () => () => ({ 'text/plain': 'anything' }) })
//: result {}
//: types text/plain
//% a proxy of data is data
new Proxy([{ a: 1 }], {})
//: result [ { a: 1 } ]
//: types text/plain text/html application/json
//% records with a key that every object inherits
[JSON.parse('{"__proto__": 1, "a": 2}'), { a: 3 }]
//: result [ { ['__proto__']: 1, a: 2 }, { a: 3 } ]
//: data application/json [{"__proto__": 1, "a": 2}, {"a": 3}]
//: data text/html <table><thead><tr><th>__proto__</th><th>a</th></tr></thead><tbody><tr><td style="text-align:right">1</td><td style="text-align:right">2</td></tr><tr><td></td><td style="text-align:right">3</td></tr></tbody></table>
//: differs bun its util.inspect writes the key otherwise
//% other such keys are nobody's until they are somebody's
[{ toString: 1, constructor: 2 }, { valueOf: 3 }]
//: result [ { toString: 1, constructor: 2 }, { valueOf: 3 } ]
//: data application/json [{"toString": 1, "constructor": 2}, {"valueOf": 3}]
//: data text/html <table><thead><tr><th>toString</th><th>constructor</th><th>valueOf</th></tr></thead><tbody><tr><td style="text-align:right">1</td><td style="text-align:right">2</td><td></td></tr><tr><td></td><td></td><td style="text-align:right">3</td></tr></tbody></table>
//% a table of what classes compute
class Half8 { constructor(public whole: number) {} get half() { return this.whole / 2 } }
display.table([new Half8(4), new Half8(6)], { columns: ['whole', 'half'] })
//: display ┌─────────┬───────┬──────┐
//: | │ (index) │ whole │ half │
//: | ├─────────┼───────┼──────┤
//: | │ 0       │ 4     │      │
//: | │ 1       │ 6     │      │
//: | └─────────┴───────┴──────┘
//: data application/json [{"whole": 4, "half": 2}, {"whole": 6, "half": 3}]
//: differs bun console.table centres what it draws
//% a null-prototype object
Object.assign(Object.create(null), { toJSON: 1, then: 2 })
//: result [Object: null prototype] { toJSON: 1, then: 2 }
//% a proxy whose every trap throws
new Proxy({}, { get() { throw new Error('get') }, ownKeys() { throw new Error('keys') }, getPrototypeOf() { throw new Error('proto') }, has() { throw new Error('has') } })
//: result {}
//% a proxy of a function whose apply throws
new Proxy(function f() {}, { get() { throw 1 }, apply() { throw 2 } })
//: result [Function: f]
//% a revoked proxy
const rp = Proxy.revocable({}, {}); rp.revoke(); rp.proxy
//: result <Revoked Proxy>
//: differs deno its util.inspect refuses a revoked proxy
//% getters that throw are not called
({ get a() { throw new Error('x') }, set b(v: any) {}, c: 1 })
//: result { a: [Getter], b: [Setter], c: 1 }
//% toJSON that throws or returns itself
const tj: any = { a: 1, toJSON() { throw new Error('json') } }; tj
//: result { a: 1, toJSON: [Function: toJSON] }
//% toJSON that is endless
const te: any = { toJSON() { return [te] } }; te
//: result { toJSON: [Function: toJSON] }
//% a circular structure
const ci: any = { name: 'c', list: [] }; ci.self = ci; ci.list.push(ci); ci
//: result <ref *1> { name: 'c', list: [ [Circular *1] ], self: [Circular *1] }
//% a sparse array
const sp: number[] = []; sp[5] = 1; sp.length = 1e9; sp
//: result [ <5 empty items>, 1, <999999994 empty items> ]
//% an array with extra properties and symbol keys
Object.assign([1, 2], { x: 3, [Symbol('s')]: 4 })
//: result [ 1, 2, x: 3, Symbol(s): 4 ]
//% symbols and boxed things
[Symbol('a'), Symbol.iterator, Symbol.for('b'), Object(1), Object('s'), Object(2n), Object(Symbol('c'))]
//: result [
//: |   Symbol(a),
//: |   Symbol(Symbol.iterator),
//: |   Symbol(b),
//: |   [Number: 1],
//: |   [String: 's'],
//: |   [BigInt: 2n],
//: |   [Symbol: Symbol(c)]
//: | ]
//% a class, a static member, an anonymous one
[class A { static x = 1 }, class extends Array {}, function () {}, async () => {}, function* gg() {}, async function* ag() {}]
//: result [
//: |   [class A] { x: 1 },
//: |   [class (anonymous) extends Array],
//: |   [Function (anonymous)],
//: |   [AsyncFunction (anonymous)],
//: |   [GeneratorFunction: gg],
//: |   [AsyncGeneratorFunction: ag]
//: | ]
//% getter on an array index and a frozen one
Object.freeze([1, , 3])
//: result [ 1, <1 empty item>, 3 ]
