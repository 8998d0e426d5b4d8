"""What a cell gives: values, names, errors."""

import random

import pytest

VALUES = [
    ("1+1", "2"),
    ("'abc'", "'abc'"),
    ("undefined", None),
    ("null", "null"),
    ("let n = 5", None),
    ("", None),
    ("// nothing", None),
    ("{a: 1, b: [1, 2]}", "{ a: 1, b: [ 1, 2 ] }"),
    ("{}", "{}"),
    ("/* first */ { a: 'x' as string }", "{ a: 'x' }"),
    ("{ const hidden = 1 }\ntypeof hidden", "'undefined'"),
    ("const id = <T,>(x: T): T => x; id<number>(3)", "3"),
    ("interface P { x: number }; type Q = P | null; const p = { x: 1 } satisfies P; p.x", "1"),
    ("enum Color { Red, Green = 'g' }; [Color.Red, Color.Green].join()", "'0,g'"),
    ("namespace Geo { export const side = 4 }; Geo.side", "4"),
    ("class Point { constructor(public x: number, private y = 2) {} }; new Point(1).x", "1"),
    ("abstract class A<T> { abstract get(): T }; class B extends A<number> { get() { return 7 } }; new B().get()", "7"),
    ("import type { Shape } from './types'; const s: Shape = { side: 2 }; s.side", "2"),
    ("await Promise.resolve(8)", "8"),
    ("Promise.resolve(9)", "9"),
    ("const first = 1\nawait null\nfirst + 1", "2"),
    ("let total = 0; for await (const x of [1, Promise.resolve(2)]) total += x; total", "3"),
    (
        "async function* gen() { yield 1; yield 2 }; var seen = []; for await (var g of gen()) seen.push(g); seen",
        "[ 1, 2 ]",
    ),
    (
        "outer: for await (const x of [1, 2]) { for (const y of [1, 2]) { if (y > 1) continue outer } }; 'done'",
        "'done'",
    ),
    ("const { a, ...rest } = await Promise.resolve({ a: 1, b: 2 }); rest", "{ b: 2 }"),
    ("if (true) await null\nelse await null\nfor (var i = 0; i < 3; i++) await null\ni", "3"),
    ("await null; function hoisted() { return 'up' }; hoisted()", "'up'"),
    ("import fs, { readFileSync as read } from 'node:fs'; fs.readFileSync === read", "true"),
    ("import * as os from 'os'; typeof os.cpus", "'function'"),
    ("import data from './data.json'; data.answer", "42"),
    ("import again from './data.json' with { type: 'json' }; again.answer", "42"),
    ("(await import('./data.json')).default.answer", "42"),
    ("import { one } from './plain.js'; one", "1"),
    ("import { three } from './types.ts'; three", "3"),
    ("import { Color as C } from './enums.ts'; C.Red", "'red'"),
    ("import { pad } from 'left'; pad()", "'pad'"),
    ("require('left').trim()", "'trim'"),
    ("require('./plain').two + require('node:path').sep", "'2/'"),
    ("__dirname === process.cwd() && import.meta.dirname === __dirname", "true"),
    ("import.meta.url.startsWith('file:///')", "true"),
    ("export const exported = 5; exported", "5"),
    ("export default 6", "6"),
    ("with ({ w: 3 }) { var sloppy = w }; sloppy", "3"),
    ("const crypto = 'mine'; crypto", "'mine'"),
    ("var t = 1; { using r = { [Symbol.dispose]() { t = 2 } } }; t", "2"),
    ("'é' as string + 'ü'.length", "'é1'"),
    ("display('x')\nundefined", None),
    ("new Map([[1, { a: 2 }]])", "Map(1) { 1 => { a: 2 } }"),
]


@pytest.mark.parametrize(("code", "expected"), VALUES, ids=[code[:40] for code, _ in VALUES])
def test_a_cell_gives_the_value_of_its_last_expression(kernel, code, expected):
    assert kernel.value(code) == expected


def test_a_name_can_be_declared_again_as_any_other_kind(kernel):
    declarations = [
        "const name1 = 1",
        "let name1 = 1",
        "var name1 = 1",
        "class name1 {}",
        "function name1() {}",
        "enum name1 { A }",
        "import { sep as name1 } from 'node:path'",
        "await 0; const name1 = 1",
        "await 0; class name1 {}",
        "await 0; function name1() {}",
        "const { name1 } = { name1: 2 }",
        "namespace name1 { export const x = 1 }",
    ]
    order = declarations + random.Random(1).choices(declarations, k=40)
    for code in order:
        assert kernel.run(code).status == "ok", code
    assert kernel.value("const name1 = 'last'; name1") == "'last'"


def test_an_enum_declared_again_forgets_its_old_members(kernel):
    kernel.run("enum Level { Low, High }")
    assert kernel.value("enum Level { Only }; Object.keys(Level).length") == "2"


def test_a_top_level_await_sees_and_sets_globals_of_other_cells(kernel):
    kernel.run("let counter = 1; function bump() { return ++counter }")
    assert kernel.value("await null; counter = 10; bump()") == "11"
    assert kernel.value("counter") == "11"


def test_a_constant_cannot_be_assigned_in_its_own_cell_and_can_in_later_ones(kernel):
    result = kernel.run("const fixed: number = 1;\nfixed = 2")
    assert (result.reply["ename"], result.reply["evalue"]) == ("TypeError", "Assignment to constant variable.")
    assert ".ts:2:7" in result.traceback
    assert ".mjs" not in result.traceback
    assert kernel.value("fixed") == "1"
    assert kernel.value("fixed = 3; fixed") == "3"


@pytest.mark.parametrize(
    "assignment",
    [
        "fixed++",
        "fixed += 1",
        "[fixed] = [2]",
        "({ fixed } = { fixed: 2 })",
        "for (fixed of [1]);",
        "await 0; fixed = 2",
        "(() => { fixed = 2 })()",
        "({ fixed = 5 } = {})",
        "for await (fixed of [1]);",
    ],
)
def test_every_form_of_assignment_to_a_constant_is_refused(kernel, assignment):
    result = kernel.run(f"const fixed = 1; {assignment}")
    assert result.reply["evalue"] == "Assignment to constant variable."


def test_a_parameter_may_be_called_like_a_constant(kernel):
    assert kernel.value("const same = 1; ((same) => { same = 2; return same })(0) + same") == "3"


# ---- errors


def test_an_error_shows_the_users_own_typescript_positions(kernel):
    result = kernel.run(
        "enum E { A }\nfunction broken(x: number): never {\n  throw new TypeError('bad ' + x)\n}\n\nbroken(1)"
    )
    assert (result.reply["ename"], result.reply["evalue"]) == ("TypeError", "bad 1")
    lines = result.traceback.split("\n")
    assert lines[0] == "TypeError: bad 1"
    assert [line.strip().split("cell_")[0] for line in lines[1:]] == ["at broken (", "at "]
    assert lines[1].endswith(".ts:3:9)")
    assert ".ts:6:1" in lines[2]


def test_an_error_after_an_await_shows_the_users_own_position(kernel):
    result = kernel.run(
        "const before = await 1; await null\nconst after: number = await (async () => { throw new Error('x') })()"
    )
    assert ".ts:2:50" in result.traceback
    assert "node:" not in result.traceback
    assert "polyrepl" not in result.traceback
    assert ".mjs" not in result.traceback


def test_a_function_of_an_earlier_cell_keeps_its_cell_in_traces(kernel):
    first = kernel.run("function early() {\n  throw new Error('x')\n}; await 0; throw new Error('mark')")
    file = first.traceback.split("cell_")[1].split(".ts")[0]
    assert f"at early (cell_{file}.ts:2:9)" in kernel.run("early()").traceback


def test_a_frame_in_a_local_file_is_kept(kernel):
    result = kernel.run("import { fail } from './bad.ts'; fail()")
    assert "bad.ts:3:9" in result.traceback
    assert "cell_" in result.traceback


SYNTAX_ERRORS = [
    ("let x = ", 1, 8),
    ("let a: number = 1\nlet b = {a: [1,2}", 2, 17),
    ("let d; let d", 1, 12),
    ("f()\ng()\nconst e = ;\nh()\ni()", 3, 11),
    ("{ a: }", 1, 6),
    ("const x: = 1", 1, 10),
    ("let n = <div/>", 1, 14),
]


@pytest.mark.parametrize(("code", "line", "column"), SYNTAX_ERRORS)
def test_a_syntax_error_shows_line_source_and_caret(kernel, code, line, column):
    result = kernel.run(code)
    assert result.reply["ename"] == "SyntaxError"
    place, source, caret, *_ = result.reply["traceback"]
    assert place.endswith(f".ts:{line}:{column}")
    assert source == code.split("\n")[line - 1]
    assert caret == " " * (column - 1) + "^"


def test_causes_and_aggregates_are_shown(kernel):
    result = kernel.run("throw new Error('outer', { cause: new RangeError('inner') })")
    assert "[cause]: RangeError: inner" in result.traceback
    result = kernel.run("await Promise.any([Promise.reject(new Error('one')), Promise.reject(new Error('two'))])")
    assert result.reply["ename"] == "AggregateError"
    assert "Error: one" in result.traceback
    assert "Error: two" in result.traceback


@pytest.mark.parametrize(
    ("thrown", "evalue"), [("'text'", "text"), ("42", "42"), ("null", "null"), ("{ a: 1 }", "{ a: 1 }")]
)
def test_something_thrown_that_is_no_error_is_reported(kernel, thrown, evalue):
    result = kernel.run(f"throw {thrown}")
    assert (result.status, result.reply["evalue"]) == ("error", evalue)
    assert result.traceback.startswith("Uncaught ")


def test_a_missing_export_is_a_syntax_error(kernel):
    result = kernel.run("import { nope } from 'node:fs'")
    assert result.reply["ename"] == "SyntaxError"
    assert "nope" in result.reply["evalue"]


def test_a_value_whose_inspection_fails_is_an_error_of_the_cell(kernel):
    result = kernel.run("({ [Symbol.for('nodejs.util.inspect.custom')]() { throw new Error('no look') } })")
    assert result.reply["evalue"] == "no look"


def test_late_errors_go_to_the_stderr_of_their_cell(kernel):
    code = (
        "setTimeout(() => { throw new Error('late') }, 30); setTimeout(() => Promise.reject(new Error('lost')), 30); 1"
    )
    first = kernel.send(code)
    kernel.collect(first)
    second = kernel.run("await new Promise(resolve => setTimeout(resolve, 1)); 2")
    assert second.text == "2"
    seen = ""
    while "late" not in seen or "lost" not in seen:
        message = kernel.wait_for(lambda m: m["msg_type"] == "stream")
        assert message["parent_header"]["msg_id"] == first
        assert message["content"]["name"] == "stderr"
        seen += message["content"]["text"]
    assert kernel.value("3") == "3"


# ---- output
