//% parameter properties
class Point { constructor(public x: number, protected readonly y = 2, private z?: string) {} sum() { return this.x + this.y } }
new Point(1).sum()
//: result 3
//% abstract classes, override and implements
interface Speaks { speak(): string }
abstract class Animal<T> implements Speaks { abstract sound: T; speak() { return `${this.sound}!` } }
class Dog extends Animal<string> { override sound = 'wuff' }
new Dog().speak()
//: result 'wuff!'
//% private names, static blocks and accessors
class Counter { static made = 0; #n = 0; static { Counter.made = 10 } get n(): number { return this.#n } set n(v) { this.#n = v * 2 } static has(o: object) { return #n in o } }
const counter = new Counter()
counter.n = 3
;[counter.n, Counter.made, Counter.has(counter)]
//: result [ 6, 10, true ]
//% index signatures, declared fields, definite assignment
class Bag { [key: string]: unknown; declare only: string; late!: number; opt?: boolean }
Object.keys(new Bag())
//: result [ 'late', 'opt' ]
//% a class expression with a generic base
function Named<B extends new (...a: any[]) => object>(Base: B) { return class extends Base { label = 'mixin' } }
class Mixed extends Named(Point) {}
new Mixed(4).label + new Mixed(4).x
//: result 'mixin4'
//% an accessor field
class Auto { accessor level: number = 3; static accessor shared = 's' }
const auto = new Auto()
auto.level++
auto.level + Auto.shared + Object.keys(auto).length
//: result '4s0'
//% a method decorator
function logged(method: Function, context: ClassMethodDecoratorContext) {
  return function (this: unknown, ...args: unknown[]) {
    console.log('call', String(context.name), context.kind, context.static)
    return method.apply(this, args)
  }
}
class Calc { @logged add(a: number, b: number) { return a + b } @logged static zero() { return 0 } }
new Calc().add(1, 2) + Calc.zero()
//: stdout call add method false
//: stdout call zero method true
//: result 3
//% a class decorator with arguments
const registry: Record<string, unknown> = {}
const register = (name: string) => <C extends abstract new (...a: any) => any>(target: C, _context: ClassDecoratorContext) => { registry[name] = target }
@register('svc')
class Service { name = 'service' }
registry.svc === Service && new Service().name
//: result 'service'
//% field, accessor and getter decorators
const doubled = (_: undefined, _c: ClassFieldDecoratorContext) => (initial: number) => initial * 2
const clamped = <T,>(target: ClassAccessorDecoratorTarget<T, number>, _: ClassAccessorDecoratorContext<T, number>): ClassAccessorDecoratorResult<T, number> => ({ set(v) { target.set.call(this, Math.min(v, 9)) } })
const loud = (get: () => string, _: ClassGetterDecoratorContext) => function (this: unknown) { return get.call(this).toUpperCase() }
class Mixed2 { @doubled size = 4; @clamped accessor level = 1; @loud get word() { return 'word' } }
const mixed2 = new Mixed2()
mixed2.level = 100
;[mixed2.size, mixed2.level, mixed2.word]
//: result [ 8, 9, 'WORD' ]
//% an initializer and the metadata of decorators
const bound = (_: Function, context: ClassMethodDecoratorContext) => {
  context.metadata.bound = String(context.name)
  context.addInitializer(function (this: any) { this[context.name] = this[context.name].bind(this) })
}
class Button { text = 'ok'; @bound click() { return this.text } }
const { click } = new Button()
click() + (Button as any)[Symbol.metadata].bound
//: result 'okclick'
//% the order of decorators
const say = (what: string) => (console.log('make', what), () => { console.log('apply', what) })
@say('outer') @say('inner')
class Ordered { @say('field') x = 1 }
//: stdout make outer
//: stdout make inner
//: stdout make field
//: stdout apply field
//: stdout apply inner
//: stdout apply outer
//% a decorated class keeps its name in later cells
new Service().constructor.name + Service.name
//: result 'ServiceService'
//% parameter decorators are the classic ones
const injected: string[] = []
function Inject(token: string) { return (_target: object, _key: unknown, index: number) => { injected.push(`${token}@${index}`) } }
class Repo { constructor(@Inject('db') private db?: unknown, @Inject('log') public log?: unknown) {} }
injected
//: result [ 'log@1', 'db@0' ]
//% a tsconfig.json asks for classic decorators
{ "compilerOptions": { "experimentalDecorators": true } }
//: file tsconfig.json
//% a classic property and method decorator
const keys: string[] = []
function Column(target: object, key: string) { keys.push(key) }
function Lower(_: object, key: string, descriptor: PropertyDescriptor) { const m = descriptor.value; descriptor.value = function () { return m.call(this).toLowerCase() } }
class Row { @Column id = 1; @Lower name() { return 'ROW' } }
keys[0] + new Row().name()
//: result 'idrow'
//% and no more
{}
//: file tsconfig.json
//% using
const log: string[] = []
{ using one = { [Symbol.dispose]() { log.push('one') } }, two = { [Symbol.dispose]() { log.push('two') } }; log.push('body') }
log.join()
//: result 'body,two,one'
//% using at the top level is disposed when the cell ends
using held = { n: 7, [Symbol.dispose]() { console.log('disposed') } }
console.log('running')
held.n
//: stdout running
//: stdout disposed
//: result 7
//% what a resource was called stays
held.n
//: result 7
//% await using, in the order of the declarations reversed
class Res { constructor(public name: string) {} async [Symbol.asyncDispose]() { await null; console.log('close', this.name) } }
{ await using a = new Res('a'), b: Res = new Res('b'); console.log(a.name + b.name) }
console.log('after')
//: stdout ab
//: stdout close b
//: stdout close a
//: stdout after
//% await using at the top level
await using top1 = new Res('top')
using top2 = { [Symbol.dispose]() { console.log('sync') } }
function readsIt() { return top1.name }
readsIt()
//: stdout sync
//: stdout close top
//: result 'top'
//% await using in loops
for (await using x of [new Res('1')]) console.log('body', x.name)
for await (await using y of (async function* () { yield new Res('2') })()) { console.log('body', y.name) }
//: stdout body 1
//: stdout close 1
//: stdout body 2
//: stdout close 2
//% await using in a function, and null
async function work() { await using a = null; await using r = new Res('f'); return r.name }
await work()
//: stdout close f
//: result 'f'
//% resources are disposed when the cell fails
await using failing = new Res('anyway')
throw new RangeError('in the middle')
//: stdout close anyway
//: error RangeError: in the middle
//: at 2:7
//% an error of disposal suppresses the first one
{ await using e = { async [Symbol.asyncDispose]() { throw new Error('second') } }; throw new Error('first') }
//: error SuppressedError: An error was suppressed during disposal.
//: at [Symbol.asyncDispose] 1:59
//: at 1:109
//: at 1:90
//: trace [error]: Error: second
//: trace [suppressed]: Error: first
//% what cannot be disposed
await using wrong = { a: 1 } as any
//: error TypeError: Object not disposable: it has no [Symbol.asyncDispose]()
//: at 1:21
//% using beside JSX and decorators
using both4 = { n: 1, [Symbol.dispose]() { console.log('gone') } }
@((c: any) => c) class Beside4 { m() { return <b>{both4.n}</b> } }
new Beside4().m()
//: stdout gone
//: result <b>1</b>
//% await using beside JSX
const kept4 = <i>k</i>
await using res4 = new Res('res4')
await null
res4.name + kept4
//: stdout close res4
//: result 'res4<i>k</i>'
