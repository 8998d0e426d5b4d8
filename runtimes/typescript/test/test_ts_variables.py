"""What a context tells of its variables, and what a cell did to them; never by running the user's code."""

import pytest

CHANGES = {"changes": True}


def listing(kernel, **content):
    reply = kernel.request("variables_request", content)
    assert reply["status"] == "ok"
    return reply


def entry(kernel, name):
    (found,) = [item for item in listing(kernel, match=name)["items"] if item["name"] == name]
    return found


def changes(kernel, code):
    message = kernel.run(code, metadata=CHANGES)
    return message.metadata["changes"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("let v = 1.5", {"type": "number", "preview": "1.5"}),
        ("let v = -0", {"type": "number", "preview": "-0"}),
        ("let v: string | null = null", {"type": "null", "preview": "null"}),
        ("let v = 'it\\'s\\n'", {"type": "string", "length": 5, "preview": '"it\'s\\n"'}),
        ("let v = 'x'.repeat(1e6)", {"type": "string", "length": 1000000, "preview": "'" + "x" * 118 + "…"}),
        ("let v = 2n ** 70n", {"type": "bigint", "preview": "1180591620717411303424n"}),
        ("let v = 2n ** 100000n", {"type": "bigint", "preview": "bigint of more than 1024 bits"}),
        (
            "let v = [1, [2, [3, [4]]], , 'a']",
            {"type": "Array", "length": 4, "preview": "[ 1, [ 2, […] ], <empty>, 'a' ]"},
        ),
        (
            "let v = { a: 1, 'k-1': { b: { c: 1 } } }",
            {"type": "Object", "length": 2, "preview": "{ a: 1, 'k-1': { b: {…} } }"},
        ),
        ("let v = new Map([['a', 1]])", {"type": "Map", "length": 1, "preview": "Map(1) { 'a' => 1 }"}),
        ("let v = new Set([1, 2])", {"type": "Set", "length": 2, "preview": "Set(2) { 1, 2 }"}),
        (
            "let v = new Float32Array(4)",
            {
                "type": "Float32Array",
                "shape": [4],
                "dtype": "Float32Array",
                "size_bytes": 16,
                "preview": "Float32Array(4) [ 0, 0, 0, 0 ]",
            },
        ),
        ("let v = new Date(0)", {"type": "Date", "preview": "1970-01-01T00:00:00.000Z"}),
        ("let v = /a\\/b/gi", {"type": "RegExp", "preview": "/a\\/b/gi"}),
        ("let v = new RangeError('far')", {"type": "RangeError", "preview": "RangeError: far"}),
        ("enum v { A, B = 'b' }", {"type": "Object", "length": 3, "preview": "{ '0': 'A', A: 0, B: 'b' }"}),
        ("namespace v { export const x = 1 }", {"type": "Object", "length": 1, "preview": "{ x: 1 }"}),
        ("var v = Object.create(null)", {"type": "Object", "length": 0, "preview": "{}"}),
        ("var v = new (class Point { x = 1; #secret = 2 })", {"type": "Point", "preview": "Point { x: 1 }"}),
        ("class v<T> extends Array<T> {}", {"type": "class", "kind": "class", "preview": "class v extends Array"}),
        (
            "async function v(a: number, { b } = { b: ')' }, ...c: string[]): Promise<void> {}",
            {"type": "AsyncFunction", "kind": "function", "preview": "v(a, {b} = {b: ')'}, ...c)"},
        ),
        ("const v = (x: number) => x", {"type": "Function", "kind": "function", "preview": "v(x)"}),
        ("const v = Math.max", {"type": "Function", "kind": "function", "preview": "max(…)"}),
        ("const v = Map", {"type": "class", "kind": "class", "preview": "class Map"}),
        ("import * as v from './types.ts'", {"type": "Module", "kind": "module", "preview": "[Module] { three }"}),
    ],
)
def test_each_kind_of_value_has_its_line(kernel, code, expected):
    kernel.run(code)
    assert entry(kernel, "v") == {"name": "v", "kind": "value", **expected}


TRAPS = """
var ran = false;
const run = () => { ran = true; throw new Error('ran') };
var accessor = { get value() { return run() } };
var inspected = { [Symbol.for('nodejs.util.inspect.custom')]: run, toString: run, toJSON: run, [Symbol.toPrimitive]: run };
var tagged = Object.create({ get [Symbol.toStringTag]() { return run() }, get constructor() { return run() } });
var proxy = new Proxy({}, new Proxy({}, { get: run }));
var inherits = Object.create(proxy);
var listed = [proxy, accessor, inspected];
class Odd extends Map { get size() { return run() } entries() { return run() } [Symbol.iterator]() { return run() } }
var odd = new Odd([[1, 2]]);
function named() {} Object.defineProperty(named, 'name', { get: run });
class Strange { static get name() { return run() } }
var strange = new Strange();
var typed = new (class extends Uint8Array { get length() { return run() } })(2);
var wrong = Object.defineProperty(new Error(), 'message', { get: run });
Object.defineProperty(globalThis, 'trap', { get: run, configurable: true, enumerable: true }); 0
"""


def test_none_of_the_users_code_runs(fresh_kernel):
    kernel = fresh_kernel
    kernel.run(TRAPS, metadata=CHANGES)
    found = {item["name"]: item for item in listing(kernel)["items"]}
    assert found["accessor"]["preview"] == "{ value: [Getter] }"
    assert (found["proxy"]["type"], found["odd"]["preview"]) == ("Proxy", "Odd(1) { 1 => 2 }")
    assert found["trap"]["preview"] == "[Getter]"
    for name in ("trap", "strange.x", "proxy.x", "accessor.value", "tagged.x"):
        kernel.request("complete_request", {"code": name, "cursor_pos": len(name)})
        kernel.request("inspect_request", {"code": name, "cursor_pos": len(name), "detail_level": 1})
    assert changes(kernel, "void odd.set(2, 3)")["changed"] == ["odd"]
    assert kernel.value("ran") == "false"


def test_names_are_those_of_the_user(fresh_kernel):
    kernel = fresh_kernel
    assert listing(kernel) == {"status": "ok", "items": [], "total": 0, "truncated": False}
    kernel.run(
        "var _private = 1; var mine = 2; let prompt = 'x'; let crypto = 1; globalThis.loose = 3; WebSocket; fetch = 1"
    )
    assert [item["name"] for item in listing(kernel)["items"]] == ["crypto", "fetch", "loose", "mine", "prompt"]


def test_a_name_that_is_also_a_global_is_the_cells_own(fresh_kernel):
    assert changes(fresh_kernel, "const URL = 'mine'")["created"] == ["URL"]
    assert entry(fresh_kernel, "URL")["preview"] == "'mine'"
    assert changes(fresh_kernel, "URL = 'other'")["changed"] == ["URL"]
    assert [item["name"] for item in listing(fresh_kernel)["items"]] == ["URL"]
    inspected = fresh_kernel.request("inspect_request", {"code": "URL", "cursor_pos": 3, "detail_level": 0})
    assert "other" in inspected["data"]["text/plain"]
    completed = fresh_kernel.request("complete_request", {"code": "URL.toUpp", "cursor_pos": 9})
    assert completed["matches"] == ["toUpperCase"]
    names = fresh_kernel.request("complete_request", {"code": "__poly", "cursor_pos": 6})
    assert names["matches"] == []
    asked = fresh_kernel.run("1", user_expressions={"own": "URL", "other": "globalThis.URL.name"})
    texts = {name: value["data"]["text/plain"] for name, value in asked.reply["user_expressions"].items()}
    assert texts == {"own": "'other'", "other": "'URL'"}


def test_pages_and_searches(fresh_kernel):
    kernel = fresh_kernel
    kernel.run("for (let i = 0; i < 1500; i++) globalThis['n' + String(i).padStart(4, '0')] = i; var other = 1")
    first = listing(kernel)
    assert (len(first["items"]), first["total"], first["truncated"]) == (200, 1501, True)
    page = listing(kernel, limit=5, after="n0009", match="n")
    assert [item["name"] for item in page["items"]] == ["n0010", "n0011", "n0012", "n0013", "n0014"]
    assert len(listing(kernel, limit=5000)["items"]) == 1000
    assert listing(kernel, limit="odd", after=5, match=None)["total"] == 1501


def test_large_values_are_told_in_bounded_size(fresh_kernel):
    kernel = fresh_kernel
    kernel.run(
        "let ring: any = {}; ring.self = ring; let wide = Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => ['k' + i, i]));"
        "let deep: any = []; for (let i = 0; i < 1e5; i++) deep = [deep]; let long = Array(1e6).fill('🐍'.repeat(100));"
    )
    for item in listing(kernel)["items"]:
        assert len(item["preview"].encode("utf-16-le")) <= 240
        item["preview"].encode()


@pytest.mark.parametrize(
    ("before", "cell", "created", "changed", "removed"),
    [
        ("", "let n = 1; function f() {} class C {}", ["C", "f", "n"], [], []),
        ("let a = 1", "a = 2", [], ["a"], []),
        ("let a = 1", "let a = 1", [], [], []),
        ("let a = NaN", "a = 0 / 0", [], [], []),
        ("let a = 'x'.repeat(1e5)", "a = a.slice(0, -1) + 'y'", [], ["a"], []),
        ("let a = [1, { b: 2 }]", "a.push(3)", [], ["a"], []),
        ("let a = [1, { b: 2 }]", "a[0]", [], [], []),
        ("let a = { b: [] }", "a.b.push(1)", [], ["a"], []),
        ("let a = { b: 1 }", "a.b = 2", [], ["a"], []),
        ("let a = new Map([[1, 2]])", "a.set(1, 3)", [], ["a"], []),
        ("let a = new Uint8Array(1e7)", "a.fill(1)", [], ["a"], []),
        ("let a = new Date(0)", "a.setTime(1)", [], ["a"], []),
        ("class P { x = 1 }; let a = new P()", "a.x++", [], ["a"], []),
        ("globalThis.a = 1", "delete globalThis.a", [], [], ["a"]),
        ("let a = 1", "await null; let b = a; throw new Error('x')", ["b"], [], []),
        ("let a = 1", "let = syntax error", [], [], []),
    ],
)
def test_a_cell_tells_what_it_did(fresh_kernel, before, cell, created, changed, removed):
    fresh_kernel.run(before or "0")
    found = fresh_kernel.run(cell, metadata=CHANGES).metadata.get(
        "changes", {"created": [], "changed": [], "removed": []}
    )
    assert found == {"created": created, "changed": changed, "removed": removed}


def test_many_changes_are_counted_rather_than_named(fresh_kernel):
    found = changes(fresh_kernel, "for (let i = 0; i < 1200; i++) globalThis['n' + i] = i")
    assert (len(found["created"]), found["omitted"]) == (1000, 200)


def test_changes_are_told_only_when_asked(kernel):
    assert "changes" not in kernel.run("let unasked = 1").metadata


@pytest.mark.parametrize("code", ["let begun = 1; for (;;) {}", "let begun = 1; await new Promise(() => {})"])
def test_an_interrupted_cell_tells_what_it_had_done(fresh_kernel, code):
    kernel = fresh_kernel
    msg_id = kernel.send(code, metadata=CHANGES)
    kernel.wait_for(lambda m: m["msg_type"] == "execute_input")
    kernel.interrupt()
    result = kernel.collect(msg_id)
    assert (result.reply["ename"], result.metadata["changes"]["created"]) in (
        ("KeyboardInterrupt", ["begun"]),
        ("KeyboardInterrupt", []),  # interrupted before its first statement
    )
