"""TypeScript as people write it in cells."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from tests.harness.client import Json, Repl

PNG = base64.b64encode(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
).decode()


def only(items: list[Json]) -> Json:
    (item,) = items
    return item


def test_types_interfaces_and_generics_are_erased(typescript: Repl) -> None:
    code = """
    interface Point<T extends number = number> { readonly x: T; y?: T }
    type Pair<A, B> = [A, B];
    function swap<A, B>([a, b]: Pair<A, B>): Pair<B, A> { return [b, a] }
    const point = { x: 6 } satisfies Point as Point;
    const list: Array<Pair<string, number>> = [['a', point.x!]];
    swap(list[0])
    """
    assert typescript.run(code).text == "[ 6, 'a' ]"


def test_an_enum_is_a_value(typescript: Repl) -> None:
    typescript.run("enum Colour { Red, Green = 'green', Blue = 1 << 3 }")
    assert typescript.run("[Colour.Red, Colour.Green, Colour.Blue, Colour[0]]").text == "[ 0, 'green', 8, 'Red' ]"


def test_a_namespace_and_parameter_properties_work(typescript: Repl) -> None:
    typescript.run("namespace Geometry { export const sides = 4 }")
    typescript.run(
        "class Box { constructor(private readonly width: number, public label?: string) {} area() { return this.width ** 2 } }"
    )
    assert typescript.run("[Geometry.sides, new Box(3).area()]").text == "[ 4, 9 ]"


def test_a_declaration_may_be_repeated(typescript: Repl) -> None:
    for value in (1, 2):
        assert typescript.run(f"const again: number = {value}; class Again {{}}; again").text == str(value)
    assert typescript.run("let again = 'as a let'; again").text == "'as a let'"
    assert typescript.run("function again() { return 3 }; again()").text == "3"


def test_closures_see_a_redeclared_name(typescript: Repl) -> None:
    typescript.run("const rate = 2; const price = (n: number) => n * rate")
    assert typescript.run("const rate = 3; price(5)").text == "15"


def test_top_level_await_gives_its_value(typescript: Repl) -> None:
    assert typescript.run("const value: number = await Promise.resolve(41); value + 1").text == "42"
    assert typescript.run("value").text == "41"
    assert typescript.run(
        "for await (const x of (async function* () { yield 1; yield 2 })()) console.log(x)"
    ).stdout == ["1", "2"]


def test_a_promise_as_the_last_value_is_awaited(typescript: Repl) -> None:
    assert "7" in (typescript.run("Promise.resolve(7)").text or "")


def test_a_rejection_is_an_error_with_its_line(typescript: Repl) -> None:
    result = typescript.run("await 0\n\nawait Promise.reject(new RangeError('far'))")
    assert (result.error, result["error"]["value"]) == ("RangeError", "far")
    assert f"cell_{result['execution_count']}.ts:3:" in result.traceback


def test_node_modules_can_be_imported(typescript: Repl) -> None:
    assert (
        typescript.run(
            "import fs from 'node:fs'\nimport { join as glue } from 'path'\nimport * as os from 'node:os'"
        ).status
        == "ok"
    )
    assert (
        typescript.run("[typeof fs.readFileSync, glue('a', 'b'), typeof os.cpus]").text
        == "[ 'function', 'a/b', 'function' ]"
    )
    assert (
        typescript.run("(await import('node:crypto')).createHash('md5').update('').digest('hex').length").text == "32"
    )
    assert typescript.run("require('node:util').inspect({ a: 1 })").text == "'{ a: 1 }'"


def test_json_and_modules_of_the_working_directory_can_be_imported(typescript: Repl) -> None:
    data = json.dumps({"numbers": [1, 2, 3], "name": "Ünal"})
    typescript.run(
        "import fs from 'node:fs'\n"
        f"fs.writeFileSync('data.json', {json.dumps(data)})\n"
        "fs.writeFileSync('sums.mjs', 'export const sum = (list) => list.reduce((a, b) => a + b, 0)')\n"
        "fs.writeFileSync('typed.ts', 'export const half = (n: number): number => n / 2')"
    )
    code = (
        "import data from './data.json' with { type: 'json' }\nimport { sum } from './sums.mjs'\n"
        "import { half } from './typed.ts'\n[data.name, half(sum(data.numbers))]"
    )
    assert typescript.run(code).text == "[ 'Ünal', 3 ]"


def test_a_thrown_error_names_the_typescript_line(typescript: Repl) -> None:
    code = "interface A {\n  x: number\n}\nenum E { One }\nconst f = (a: A): never => {\n  throw new TypeError('bad ' + a.x)\n}\nf({ x: 1 })"
    result = typescript.run(code)
    cell = f"cell_{result['execution_count']}.ts"
    assert (result.error, result["error"]["value"]) == ("TypeError", "bad 1")
    assert f"{cell}:6:" in result.traceback
    assert f"{cell}:8:" in result.traceback


@pytest.mark.parametrize(("thrown", "value"), [("'text'", "text"), ("42", "42"), ("null", "null")])
def test_anything_can_be_thrown(typescript: Repl, thrown: str, value: str) -> None:
    result = typescript.run(f"throw {thrown}")
    assert result.status == "error"
    assert value in result["error"]["value"]


def test_a_plain_object_is_also_json(typescript: Repl) -> None:
    item = only(typescript.run("({ a: [1, null, 'ü'], b: { c: true } })")["items"])
    assert item["json"] == {"a": [1, None, "ü"], "b": {"c": True}}
    assert "text" in item


def test_undefined_is_no_value_and_null_is_one(typescript: Repl) -> None:
    assert typescript.run("undefined")["items"] == []
    assert typescript.run("null").text == "null"


@pytest.mark.parametrize(
    ("helper", "field", "value"),
    [
        ("html", "html", "<b>x</b>"),
        ("markdown", "markdown", "# x"),
        ("svg", "svg", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("latex", "latex", "$x$"),
        ("json", "json", {"a": [1]}),
        ("javascript", "javascript", "1"),
        ("png", "png", PNG),
    ],
)
def test_the_display_helpers_fill_their_field(typescript: Repl, helper: str, field: str, value: object) -> None:
    item = only(typescript.run(f"display.{helper}({json.dumps(value)})\n0;")["items"][:1])
    assert item[field] == value


def test_image_bytes_and_objects_that_know_how_are_rich(typescript: Repl) -> None:
    assert only(typescript.run(f"Buffer.from('{PNG}', 'base64')")["items"])["png"] == PNG
    own = "({ [Symbol.for('Jupyter.display')]: () => ({ 'text/html': '<i>own</i>', 'text/plain': 'own' }) })"
    assert only(typescript.run(own)["items"]) == {"is_primary": True, "text": "own", "html": "<i>own</i>"}


def test_several_displays_are_items_and_the_value_is_primary(typescript: Repl) -> None:
    items = typescript.run("display('one'); display({ two: 2 }); 'three'")["items"]
    assert [item["is_primary"] for item in items] == [False, False, True]
    assert items[1]["json"] == {"two": 2}


def test_a_display_can_be_updated_and_cleared(typescript: Repl) -> None:
    code = "display('old', { display_id: 'd' }); display('new', { display_id: 'd', update: true }); undefined"
    assert [item["text"] for item in typescript.run(code)["items"]] == ["'new'"]
    assert [
        item["text"] for item in typescript.run("display('a'); display.clear(); display('b'); undefined")["items"]
    ] == ["'b'"]


def test_a_spec_of_vega_lite_is_in_extra(typescript: Repl) -> None:
    code = "({ $schema: 'https://vega.github.io/schema/vega-lite/v5.json', mark: 'bar' })"
    item = only(typescript.run(code)["items"])
    assert item["extra"]["application/vnd.vegalite.v5+json"]["mark"] == "bar"


def test_output_of_child_processes_is_captured(typescript: Repl) -> None:
    code = "import { spawnSync } from 'node:child_process'\nspawnSync('sh', ['-c', 'echo out; echo err >&2'], { stdio: 'inherit' }).status"
    result = typescript.run(code)
    assert (result.text, result.stdout, result.stderr) == ("0", ["out"], ["err"])


def test_a_timer_goes_on_after_its_cell(typescript: Repl) -> None:
    typescript.run("const gone = new Promise<string>((go) => setTimeout(() => go('rang'), 50)); undefined")
    assert typescript.run("await gone").text == "'rang'"


def test_an_unhandled_rejection_does_not_end_the_kernel(new_repl: Callable[..., Repl]) -> None:
    repl = new_repl("typescript")
    repl.run(
        "const kept = 1; Promise.reject(new Error('nobody waits')); setTimeout(() => { throw new Error('in a timer') }, 0); undefined"
    )
    assert repl.run("await new Promise((go) => setTimeout(go, 50)); kept").text == "1"


def test_plain_javascript_runs_too(typescript: Repl) -> None:
    assert typescript.run("var a = [3, 1, 2].sort(); a.map(x => x * 2).join()").text == "'2,4,6'"


def test_output_of_console_methods_goes_where_node_sends_it(typescript: Repl) -> None:
    result = typescript.run(
        "console.info('i'); console.warn('w'); console.debug('d'); console.log('%s is %d', 'a', 1, { b: [2] })"
    )
    assert (result.stdout, result.stderr) == (["i", "d", "a is 1 { b: [ 2 ] }"], ["w"])
