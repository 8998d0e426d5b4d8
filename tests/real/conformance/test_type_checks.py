"""`check`: the types of cells as models write them, on every runtime, with what earlier cells, files and packages declare."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.harness.client import Client, Json, Repl, Result

WRONG: dict[str, tuple[str, list[tuple[int, int, int]]]] = {
    "a property that is not there": (
        "const user = { name: 'Ada', age: 36 }\nuser.nmae",
        [(2, 6, 2339)],
    ),
    "an argument of another type": (
        "function area(w: number, h: number) { return w * h }\narea(2, '3')",
        [(2, 9, 2345)],
    ),
    "too few arguments": ("const add = (a: number, b: number) => a + b\nadd(1)", [(2, 1, 2554)]),
    "an unknown name": ("console.log(resullt)", [(1, 13, 2304)]),
    "a missing await": (
        "async function load() { return { rows: [1, 2] } }\nconst loaded = load()\nloaded.rows.length",
        [(3, 8, 2339)],
    ),
    "access to what may be undefined": (
        "const people = [{ id: 1, name: 'x' }]\nconst found = people.find((p) => p.id === 2)\nfound.name",
        [(3, 1, 18048)],
    ),
    "a generic that is misused": (
        "const seen = new Map<string, number>()\nseen.set(1, 'one')",
        [(2, 10, 2345)],
    ),
    "a type that is not assignable": ("let total: number = 0\ntotal = 'none'", [(2, 1, 2322)]),
    "an unknown property of a literal": (
        "interface Options { depth: number }\nconst options: Options = { detph: 1 }",
        [(2, 28, 2561)],
    ),
    "a missing property": ("const point: { x: number; y: number } = { x: 1 }", [(1, 7, 2741)]),
    "a word that the union does not have": (
        "type Mode = 'read' | 'write'\nconst mode: Mode = 'raed'",
        [(2, 7, 2322)],
    ),
    "a union that is not narrowed": (
        "function size(v: string | number) {\n  return v.length\n}",
        [(2, 12, 2339)],
    ),
    "a builtin module's function that is not there": (
        "import { readFileSinc } from 'node:fs'",
        [(1, 10, 2724)],
    ),
    "a method of an array that is not there": ("[1, 2, 3].contains(2)", [(1, 11, 2339)]),
    "a comparison that is never true": (
        "const level: 'low' | 'high' = Math.random() > 2 ? 'low' : 'high'\nlevel === 'hihg'",
        [(2, 1, 2367)],
    ),
    "a private member": (
        "class Account { #n = 0; private pin = 1; get n() { return this.#n } }\nnew Account().pin",
        [(2, 15, 2341)],
    ),
    "an interface that is not implemented": (
        "interface Shape { area(): number }\nclass Square implements Shape { side = 2 }",
        [(2, 7, 2420)],
    ),
    "arithmetic with a text": ("const count = 'three'\ncount * 2", [(2, 1, 2362)]),
    "an await of a wrong promise in a loop": (
        "const jobs: Promise<number>[] = [Promise.resolve(1)]\nfor (const job of jobs) job.toFixed(1)",
        [(2, 29, 2339)],
    ),
    "a component's property": (
        "const Badge = (p: { text: string }) => <b>{p.text}</b>;\n<Badge label='x' />",
        [(2, 8, 2322)],
    ),
    "an object at the start of a cell": ("{ a: 1, b: [nothing] }", [(1, 13, 2304)]),
    "what the runtime does not have": ("document.title", [(1, 1, 2584)]),
    "an option of display": ("display.update('x', { id: 'y' })", [(1, 23, 2353)]),
    "several at once": ("const one: string = 1\nconst two: number = 'two'", [(1, 7, 2322), (2, 7, 2322)]),
}

RIGHT: dict[str, str] = {
    "await, using and a trailing expression": (
        "using held = { [Symbol.dispose]() {} }\nconst values = await Promise.all([1, 2].map(async (n) => n * 2))\nvalues"
    ),
    "plain JavaScript": "function join(a, b) { return a + b }\nlet list = []\nlist.push(join(1, 2))\nlist",
    "a variable that gets its value later": "let best = null\nfor (const n of [3, 5]) if (best === null || n > best) best = n\nbest",
    "counting words": "const counts = {}\nfor (const w of 'a b a'.split(' ')) counts[w] = (counts[w] ?? 0) + 1\ncounts",
    "what the kernel adds": (
        "await display('x', { display_id: true }).update('y')\n"
        "display.html`<b>${1}</b>`; display.table([{ a: 1 }], { columns: ['a'] })"
    ),
    "JSX without a package": "<ul className='x'>{[1, 2].map((n) => <li key={n}>{n}</li>)}</ul>",
    "builtin modules in every way": "import fs from 'node:fs'\nconst path = require('path')\nconst os = await import('node:os')\nos.EOL",
    "an error that is caught": "try { JSON.parse('{') } catch (e) { e.message }",
    "classes, enums and generics": (
        "enum Level { Low, High }\nclass Box<T> { constructor(public value: T) {} }\nnew Box(Level.High).value"
    ),
    "a directive": "// @ts-expect-error\nconst n: number = 'x'\nn",
    "a question about a name": "console?",
}


def places(result: Result) -> list[tuple[int, int, int]]:
    return [(each["line"], each["column"], each["code"]) for each in result["diagnostics"]]


@pytest.fixture(scope="module")
def typed(client: Client) -> Iterator[Repl]:
    yield (repl := Repl(client, "typescript", "typed"))
    client.delete(repl.id, repl.language)


@pytest.fixture
def ts(new_repl: Callable[..., Repl]) -> Repl:
    """A context without earlier cells."""
    return new_repl("typescript")


def checked(repl: Repl, code: str) -> Result:
    result = repl.run(code, check=True)
    assert "unchecked" not in result, result["unchecked"]
    return result


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_by_its_place(typed: Repl, name: str) -> None:
    code, expected = WRONG[name]
    assert places(checked(typed, code)) == expected


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_has_no_diagnostics(typed: Repl, name: str) -> None:
    assert checked(typed, RIGHT[name])["diagnostics"] == []


def test_a_diagnostic_says_where_it_ends_and_what_is_wrong(ts: Repl) -> None:
    (found,) = checked(ts, "\nconst a = 1,\n  b: number = 'two'")["diagnostics"]
    message = "Type 'string' is not assignable to type 'number'."
    place = {"line": 3, "column": 3, "end_line": 3, "end_column": 4}
    assert found == {**place, "code": 2322, "severity": "error", "message": message}


def test_code_with_type_errors_runs_all_the_same(ts: Repl) -> None:
    result = checked(ts, "const n: number = 'text'; n")
    assert (result.status, result.text, places(result)) == ("ok", "'text'", [(1, 7, 2322)])


def test_a_failed_cell_has_the_diagnostic_that_explains_it_as_its_hint(ts: Repl) -> None:
    result = checked(ts, "const wait = async () => [1]\nwait().map(String)")
    assert (
        result["error"]["hint"]
        == "Line 2, column 8: Property 'map' does not exist on type 'Promise<number[]>'. Did you forget to use 'await'? (TS2339)"
    )


def test_a_diagnostic_that_explains_nothing_is_no_hint(ts: Repl) -> None:
    result = checked(ts, "const n: number = 'x'\nJSON.parse('{')")
    assert places(result) == [(1, 7, 2322)]
    assert "hint" not in result["error"]


def test_names_of_earlier_cells_are_known_with_their_types(ts: Repl) -> None:
    ts.run("interface Row { id: number; tags: string[] }\nconst rows: Row[] = [{ id: 1, tags: [] }]")
    ts.run("class Store<T> { items: T[] = []; add(item: T) { this.items.push(item) } }\nconst store = new Store<Row>()")
    ts.run("import { basename } from 'node:path'\nexport enum Kind { A, B }\nlet name: string | undefined = 'a/b'")
    assert places(checked(ts, "rows[0].tags.push(1)")) == [(1, 19, 2345)]
    assert places(checked(ts, "store.add({ id: 'x', tags: [] })")) == [(1, 13, 2322)]
    assert places(checked(ts, "basename(3); Kind.C; const again: Row = rows[0]")) == [(1, 10, 2345), (1, 19, 2339)]
    assert places(checked(ts, "name.toUpperCase()")) == []


def test_a_variable_keeps_of_its_last_cell_what_no_function_can_have_changed(ts: Repl) -> None:
    ts.run("let cache: { items: number[] } | null = null\nlet mode: 'a' | 'b' = 'a'\nlet done = false")
    ts.run("function fill() { cache = { items: [] }; mode = 'b'; done = true }")
    assert places(checked(ts, "fill(); [mode === 'b', done === true]")) == []
    assert places(checked(ts, "cache.items")) == [(1, 1, 18047)]
    assert places(checked(ts, "cache = { items: [1] }")) == []
    assert places(checked(ts, "cache.items[0].length")) == [(1, 16, 2339)]


def test_what_declares_for_all_is_known_without_an_import(ts: Repl) -> None:
    ts.run(
        "declare global { interface Array<T> { second(): T } }\nArray.prototype.second = function () { return this[1] }"
    )
    ts.run("globalThis.limit = 5; Object.assign(globalThis, { depth: 3 })")
    assert places(checked(ts, "[1, 2].second().nowhere; limit + depth")) == [(1, 17, 2339)]


def test_names_may_be_declared_again_and_constants_assigned(ts: Repl) -> None:
    ts.run("const value = 1; function work(a: number) { return a }; class Thing {}; import fs from 'node:fs'")
    assert places(checked(ts, "value = 2")) == []
    assert places(checked(ts, "const value = 'text'; const work = (a: string) => a; let Thing = 3; const fs = 4")) == []
    assert places(checked(ts, "value.toFixed(); work(1)")) == [(1, 7, 2551), (1, 23, 2345)]


def test_a_failed_cell_counts_and_one_with_a_wrong_syntax_does_not(ts: Repl) -> None:
    ts.run("const kept = 5; throw new Error('later')")
    ts.run("const unborn = ;")
    assert places(checked(ts, "kept.toFixed()")) == []
    assert places(checked(ts, "unborn")) == [(1, 1, 2304)]


def test_a_restart_forgets_the_names(ts: Repl, client: Client) -> None:
    ts.run("const before = 1")
    assert client.http.post(f"/contexts/{ts.id}/restart", params={"language": "typescript"}).status_code == 200
    assert places(checked(ts, "before")) == [(1, 1, 2304)]


def test_files_of_the_context_have_their_types(ts: Repl) -> None:
    module = "export interface Config { port: number }\nexport const load = (): Config => ({ port: 1 })\n"
    ts.run(
        f"require('fs').writeFileSync('config.ts', {json.dumps(module)}); require('fs').writeFileSync('data.json', '[1]')"
    )
    assert places(checked(ts, "import { load } from './config'\nload().prot")) == [(2, 8, 2339)]
    assert places(checked(ts, "import data from './data.json'\ndata[0].length")) == [(2, 9, 2339)]
    ts.run(f"require('fs').writeFileSync('config.ts', {json.dumps(module.replace('port:', 'prot:'))})")
    assert places(checked(ts, "import { load } from './config'\nload().prot")) == []


def test_packages_of_the_context_have_their_types(ts: Repl) -> None:
    types = "export declare function pad(text: string, width: number): string\nexport declare namespace inner { type Size = 1 | 2 }\n"
    package = {"name": "padder", "version": "1.0.0", "main": "index.js", "types": "index.d.ts"}
    files = {
        "package.json": json.dumps(package),
        "index.d.ts": types,
        "index.js": "exports.pad = (t, w) => t.padStart(w)",
    }
    writes = "".join(
        f"fs.writeFileSync('node_modules/padder/{name}', {json.dumps(text)});" for name, text in files.items()
    )
    ts.run(f"const fs = require('fs'); fs.mkdirSync('node_modules/padder', {{ recursive: true }}); {writes}")
    assert places(checked(ts, "import { pad } from 'padder'\npad(7, '7')")) == [(2, 5, 2345)]
    assert places(checked(ts, "const size: import('padder').inner.Size = 3")) == [(1, 7, 2322)]
    assert places(checked(ts, "pad('x', 2).foo")) == [(1, 13, 2339)]


def test_a_module_that_the_cell_itself_wrote_is_no_fault(ts: Repl) -> None:
    result = checked(
        ts,
        "await require('fs/promises').writeFile('made.mjs', 'export default 4')\n;(await import('./made.mjs')).default",
    )
    assert (result.status, result["diagnostics"]) == ("ok", [])


def test_a_module_that_is_missing_is_named(ts: Repl) -> None:
    result = checked(ts, "import { x } from 'no-such-package'\nx")
    assert (result.status, places(result)) == ("error", [(1, 19, 2307)])


def test_the_compiler_options_of_the_context_are_heeded(ts: Repl) -> None:
    options = {"compilerOptions": {"strictNullChecks": False, "paths": {"@lib/*": ["./source/*"]}}}
    ts.run(f"require('fs').writeFileSync('tsconfig.json', {json.dumps(json.dumps(options))})")
    ts.run("require('fs').mkdirSync('source'); require('fs').writeFileSync('source/one.ts', 'export const one = 1')")
    assert places(checked(ts, "[1].find((n) => n > 1).toFixed()")) == []
    assert places(checked(ts, "const later = () => import('@lib/one').then((m) => m.two)")) == [(1, 54, 2339)]


def test_code_of_another_language_is_run_and_said_not_to_be_checked(python: Repl) -> None:
    result = python.run("1 + 1", check=True)
    assert (result.text, result["unchecked"]) == ("2", "Only cells of our TypeScript kernels are checked.")
    assert "diagnostics" not in result


@pytest.mark.parametrize(
    ("runtime", "wrong", "place"),
    [
        ("bun", "import { Database } from 'bun:sqlite'\nBun.file(3 > 2); Database", (2, 10, 2769)),
        ("deno", "const text: number = Deno.cwd(); text", (1, 7, 2322)),
    ],
)
def test_other_runtimes_have_their_own_globals(
    new_repl: Callable[..., Repl], runtime: str, wrong: str, place: tuple[int, int, int]
) -> None:
    repl = new_repl(runtime)
    assert places(checked(repl, wrong))[:1] == [place]
    assert places(checked(repl, "const n = await Promise.resolve(1)\nsetTimeout(() => n, 1) && process.version")) == []


def test_events_and_answers_that_come_later_have_the_diagnostics_too(ts: Repl, client: Client) -> None:
    fields: Json = {"language": "typescript", "context_id": ts.id, "check": True}
    with client.stream("[1].foo()", **fields) as events:
        done = list(events)[-1]
    assert [each["code"] for each in done["diagnostics"]] == [2339]
    assert done["hint"].startswith("Line 1, column 5: Property 'foo' does not exist")
    assert places(client.wait(client.start("[2].foo", **fields))) == [(1, 5, 2339)]
