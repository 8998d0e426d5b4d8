"""What a cell gives: values, names, errors."""

import random
import re
import subprocess

import pytest
from ts_kernel import find_node


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


@pytest.mark.parametrize(
    ("code", "line", "column"), [("f()\ng()\n\tconst e = ;\nh()", 3, 12), ("let n = <div></b>", 1, 16)]
)
def test_a_syntax_error_shows_line_source_and_caret(kernel, code, line, column):
    result = kernel.run(code)
    assert result.reply["ename"] == "SyntaxError"
    place, source, caret, *_ = result.reply["traceback"]
    assert place.endswith(f".ts:{line}:{column}")
    assert source == code.split("\n")[line - 1]
    assert caret.expandtabs() == " " * len(source[: column - 1].expandtabs()) + "^"


def test_no_trace_shows_how_a_cell_is_run(kernel):
    late = "await null\nconst f = async () => { await null; null!.x }\nawait f()"
    for code in (late, "import './none'", "require('./none')", "using a = 1 as any", "<Gone/>", "@gone class A {}"):
        trace = kernel.run(code).traceback
        assert ".ts:" in trace
        for word in (".mjs", "node:", "__polyrepl", "tslib"):
            assert word not in trace, trace


def test_a_value_whose_inspection_fails_is_an_error_of_the_cell(kernel):
    result = kernel.run("({ [Symbol.for('nodejs.util.inspect.custom')]() { throw new Error('no look') } })")
    assert result.reply["evalue"] == "no look"


def test_late_errors_go_to_the_stderr_of_their_cell(kernel):
    code = (
        "setTimeout(() => { throw new Error('late') }, 30); setTimeout(() => Promise.reject(new Error('lost')), 30); 1"
    )
    first = kernel.send(code)
    kernel.collect(first)
    second = kernel.send("await new Promise(resolve => setTimeout(resolve, 1)); 2")
    seen, results = "", []
    while (
        "late" not in seen or "lost" not in seen or not results
    ):  # on a busy machine the errors come before the result
        message = kernel.wait_for(lambda m: m["msg_type"] in ("stream", "execute_result"))
        if message["msg_type"] == "execute_result":
            assert message["parent_header"]["msg_id"] == second
            results.append(message["content"]["data"]["text/plain"])
            continue
        assert message["parent_header"]["msg_id"] == first
        assert message["content"]["name"] == "stderr"
        seen += message["content"]["text"]
    assert results == ["2"]
    assert kernel.client.get_shell_msg(timeout=30)["content"]["status"] == "ok"
    assert kernel.value("3") == "3"


CONSOLE = """
class Point { constructor() { this.x = 1 } static s = 2 }
const cycle = { name: 'c' }; cycle.self = cycle
console.log('%s is %d, %i, %f, %j, %o, %O, %c, %%', 'a', 1.5, 1.5, '2.5', { j: 1 }, [1], { o: {} }, 'css', 'rest')
console.log(new Point(), Point, cycle, [undefined, null, , -0], new Map([[{ k: 1 }, new Set([1])]]), Symbol('s'), 10n)
console.log({ deep: { deeper: { deepest: { hidden: 1 } } } }, 'x'.repeat(200), Array.from({ length: 120 }, (_, i) => i))
console.error(Object.assign(Object.create({ inherited: 1 }), { own: 1 }), async () => 1, function* g() {}, /r/g, new Date(0))
console.table([{ a: 1, b: 'x' }, { a: 2, c: [1, { d: 1 }] }]); console.table([[1, 2], [3]]); console.table(new Map([['k', 1]]))
console.table([{ a: 1, b: 2 }], ['b']); console.table(5); console.table([])
console.group('one'); console.log('in\\nside'); console.group(); console.warn({ a: [1, 2] }); console.groupEnd(); console.groupEnd()
console.dir({ a: { b: { c: { d: 1 } } } }, { depth: 1 }); console.dirxml(new Set(['x']), 2)
console.count(); console.count('k'); console.count(); console.countReset('k'); console.count('k'); console.countReset('no')
console.assert(true, 'not shown'); console.assert(false); console.assert(false, 'shown %s', 'so'); console.assert(false, { o: 1 })
console.timeEnd('never'); console.info(); console.debug('')
console.log(Buffer.from('abc'), new Uint8Array(3), new Error('e').message, [new Proxy({ p: 1 }, {})], Object.create(null))
"""


def test_the_console_prints_what_node_prints(kernel):
    node = subprocess.run([find_node(), "-e", CONSOLE], capture_output=True, text=True, timeout=30, check=True)
    result = kernel.run(CONSOLE)
    assert result.status == "ok", result.traceback
    assert result.stream("stdout") == node.stdout
    assert result.stream("stderr").replace("(node)", "") == re.sub(
        r"\(node:\d+\)|\(Use `node --trace-warnings.*\n", "", node.stderr
    )


METADATA = """
const all = new WeakMap()
Reflect.defineMetadata = (key, value, target) => { all.set(target, { ...all.get(target), [key]: value }) }
Reflect.getMetadata = (key, target) => all.get(target)?.[key]
Reflect.metadata = (key, value) => (target) => Reflect.defineMetadata(key, value, target)
"""
CLASSIC = """
const column = (target: any, key: string) => Reflect.defineMetadata('column', key, target)
class Entity {
  @column id!: number
}
Reflect.getMetadata('column', Entity.prototype)
"""


def test_decorators_are_the_classic_ones_once_their_metadata_is_there(fresh_kernel, directory):
    package = directory / "node_modules" / "reflect-metadata"
    package.mkdir(exist_ok=True)
    (package / "index.js").write_text(METADATA)
    assert fresh_kernel.run(CLASSIC).status == "error"
    assert fresh_kernel.value("import 'reflect-metadata'\n" + CLASSIC) == "'id'"
    assert fresh_kernel.value(CLASSIC.replace("id!", "name!")) == "'name'"
    code = "const service = (target: any) => target\n@service class Served { constructor(a: string, b: Date) {} }\n"
    assert fresh_kernel.value(code + "Reflect.getMetadata('design:paramtypes', Served).length") == "2"
    (directory / "entity.ts").write_text(CLASSIC.replace("class", "export class"))
    assert (
        fresh_kernel.value("import { Entity as E } from './entity'; Reflect.getMetadata('column', E.prototype)")
        == "'id'"
    )


def test_decorators_are_the_classic_ones_in_a_cell_that_imports_what_needs_their_metadata(fresh_kernel, directory):
    package = directory / "node_modules" / "orm"
    package.mkdir(exist_ok=True)
    (package / "package.json").write_text(
        '{"name": "orm", "version": "1.0.0", "peerDependencies": {"reflect-metadata": "*"}}'
    )
    (package / "index.js").write_text(METADATA)
    assert fresh_kernel.value("import 'orm'\n" + CLASSIC) == "'id'"


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("const a = 1\rthrow new Error('x')", "2:7"),
        ("await 1\rconst a = 1\rthrow new Error('x')", "3:7"),
        ("const a: number = 1\rthrow new Error('x')", "2:7"),
        ("enum Ends { A }\rthrow new Error('x')", "2:7"),
        ("await 1\r\nconst a: number = 1\r\nthrow new Error('x')", "3:7"),
        ("// one\u2028await 1; throw new Error('x')", "2:16"),
        ("const a = `\u2029`; await 1\nthrow new Error('x')", "3:7"),
        ("const e = <a>{'\u2028'}</a>\nthrow new Error('x')", "3:7"),
        ("const a = '\u2028'\r\nlet b: number = ;", "3:17"),
        ("const a: string = '\u2028'\nconst e = <div><b>x</div>", "3:17"),
    ],
)
def test_an_error_has_its_place_whatever_ends_the_lines_before_it(kernel, code, place):
    result = kernel.run(code)
    assert f"cell_{result.reply['execution_count']}.ts:{place}" in result.traceback
