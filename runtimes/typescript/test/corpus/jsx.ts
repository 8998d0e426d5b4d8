//% an element
<b>bold</b>
//: result <b>bold</b>
//: types text/plain text/html
//: data text/html <b>bold</b>
//% attributes
<input type="text" disabled hidden={false} value={1 + 1} data-id={null} className="a b" htmlFor="x" tabIndex={3} />
//: result <input type="text" disabled value="2" class="a b" for="x" tabindex="3">
//% style and events
<p style={{ fontSize: 12, lineHeight: 2, '--own': 1, color: undefined }} onClick={() => 1}>x</p>
//: result <p style="font-size:12px;line-height:2;--own:1">x</p>
//% text is escaped, entities are meant
<i title={'"<&'}>{'<script>'} &amp; &copy; 1 &lt; 2</i>
//: result <i title="&quot;&lt;&amp;">&lt;script&gt; &amp; © 1 &lt; 2</i>
//% children: lists, numbers, nothing
<ul>{[1, 2].map((n) => <li key={n}>{n}</li>)}{null}{undefined}{false}{true}{0}{''}</ul>
//: result <ul><li>1</li><li>2</li>0</ul>
//% a fragment
<><i>1</i>text<br /></>
//: result <i>1</i>text<br>
//% components, typed and generic
interface Props<T> { items: T[]; render: (item: T) => unknown; children?: unknown }
function List<T>({ items, render, children }: Props<T>) { return <ol>{items.map((i) => <li>{render(i)}</li>)}{children}</ol> }
<List<string> items={['a', 'b']} render={(s) => s.toUpperCase()}><li>end</li></List>
//: result <ol><li>A</li><li>B</li><li>end</li></ol>
//% a class component
class Hello { constructor(public props: { name: string }) {} render() { return <h1>Hello {this.props.name}</h1> } }
<Hello name="Bob" />
//: result <h1>Hello Bob</h1>
//% spread attributes and children
const rest7 = { id: 'i', title: 't' };
<p {...rest7} title="own">{...['a', 'b']}</p>
//: result <p id="i" title="own">ab</p>
//% members as components
const ui = { Card: ({ children }: any) => <section>{children}</section> };
<ui.Card>in</ui.Card>
//: result <section>in</section>
//% SVG
<svg viewBox="0 0 2 2"><path strokeWidth={2} d="M0 0" /></svg>
//: result <svg viewBox="0 0 2 2"><path stroke-width="2" d="M0 0"></path></svg>
//% raw HTML, scripts and styles
<div><p dangerouslySetInnerHTML={{ __html: '<u>raw</u>' }} /><style>{'a > b {}'}</style></div>
//: result <div><p><u>raw</u></p><style>a > b {}</style></div>
//% several lines
const page = (
  <main>
    <h1>Title</h1>
    some text {' '}
    and more
  </main>
)
page
//: result <main><h1>Title</h1>some text  and more</main>
//% an element is text where text is wanted
`${<b>x</b>}` + h('i', null, 'y').outerHTML
//: result '<b>x</b><i>y</i>'
//% JSX beside types, awaits and enums
enum Tone { Info = 'info' }
const later7: Promise<string> = Promise.resolve('later');
<p class={Tone.Info as string}>{await later7}</p>
//: result <p class="info">later</p>
//% display shows an element at once
display(<b>1</b>); console.log('then')
//: display <b>1</b>
//: data text/html <b>1</b>
//: stdout then
//% a component that throws
const Bad7 = () => { throw new Error('no render') }
;<Bad7 />
//: error Error: no render
//: at Bad7 1:28
//% another framework's h
h = (type: any, props: any, ...children: any[]) => ({ own: type, children })
;<b>x</b>
//: result { own: 'b', children: [ 'x' ] }
//% React, where the context has it
delete globalThis.h
var React = { createElement: (type: string, props: object | null, ...children: unknown[]) => `React ${type} ${children}`, Fragment: 'fragment' }
;<b>x</b>
//: result 'React b x'
//% no more React
React = undefined as any
;<b>x</b>
//: result <b>x</b>
//% the pragma names the factory
/** @jsx make7 */
function make7(type: string) { return `made ${type}` }
<hr />
//: result 'made hr'
//% a cell that only starts like JSX
const lt7 = 1, b7 = 2
lt7 <b7
//: result true
//% a name that would end the tag is left out
<p {...{ '><script>': 1, ok: 2 }} />
//: result <p ok="2"></p>
