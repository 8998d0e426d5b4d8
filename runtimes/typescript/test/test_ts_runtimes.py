"""The same program on Bun and Deno: what must hold there, too, and what they cannot do."""

import pytest
from ts_kernel import Kernel, find_program

MISSING = {name: find_program(name) is None for name in ("bun", "deno")}
RUNTIMES = [
    pytest.param(name, marks=pytest.mark.skipif(missing, reason=f"{name} is not installed"))
    for name, missing in MISSING.items()
]


@pytest.fixture(scope="module", params=RUNTIMES)
def kernel(request, directory):
    kernel = Kernel(directory, spec=f"polyrepl-{request.param}")
    kernel.runtime = request.param
    yield kernel
    kernel.close()


def test_the_kernel_says_where_it_runs(kernel):
    version = kernel.value(f"process.versions.{kernel.runtime}").strip("'")
    assert kernel.info["language_info"]["version"] == version
    assert kernel.runtime.capitalize() in kernel.info["banner"]


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("const typed: number[] = [1, 2]; typed", "[ 1, 2 ]"),
        ("enum Level { Low = 1 } Level.Low", "1"),
        ("await null; let later: string = 'x'; later", "'x'"),
        ("let out = 0; for await (const n of [1, 2]) out += n; out", "3"),
        ("import { readFileSync } from 'node:fs'; typeof readFileSync", "'function'"),
        ("import { three } from './types.ts'; three", "3"),
        ("import { pad } from 'left'; pad()", "'pad'"),
        ("require('node:os').EOL", "'\\n'"),
        ("require('node:child_process').execSync('echo hi').toString()", "'hi\\n'"),
        ("(await import('left')).default.trim()", "'trim'"),
        ("class Point { constructor(public x: number) {} } new Point(1)", "Point { x: 1 }"),
    ],
)
def test_the_language_is_the_same(kernel, code, value):
    assert kernel.value(code) == value


def test_output_keeps_its_order_and_jsx_is_html(kernel):
    result = kernel.run("console.log('a'); console.error('b'); process.stdout.write('c'); <b>d</b>")
    assert (result.stream(), result.stream("stderr")) == ("a\nc", "b\n")
    assert result.data["text/html"] == "<b>d</b>"


@pytest.mark.parametrize(
    ("code", "name", "place"),
    [
        ("1;\n\nthrow new RangeError('x')", "RangeError", "cell_{}.ts:3:"),
        ("function f() {\n  missing9\n}\nawait null; f()", "ReferenceError", "cell_{}.ts:2:"),
        ("let a = 1;\nlet b = ;", "SyntaxError", "cell_{}.ts:2:9"),
    ],
)
def test_errors_are_told_by_the_users_lines_alone(kernel, code, name, place):
    reply = kernel.run(code).reply
    trace = "\n".join(reply["traceback"])
    assert reply["ename"] == name
    assert place.format(reply["execution_count"]) in trace
    assert "evaluator" not in trace
    assert "vm" not in trace


def test_what_fails_late_and_what_exits_leaves_the_kernel(kernel):
    kernel.run("var kept = 1")
    code = "setTimeout(() => { throw new Error('late') }, 0); await new Promise((r) => setTimeout(r, 50))"
    msg_id = kernel.send(code)
    # Whose output Deno makes of it once a module has been imported is not certain.
    kernel.wait_for(lambda m: m["msg_type"] == "stream" and "Uncaught Error: late" in m["content"]["text"])
    assert kernel.collect(msg_id).status == "ok"
    assert kernel.run("process.exit(3)").reply["ename"] == "ProcessExit"
    assert kernel.run("await null; process.exit(3)").reply["ename"] == "ProcessExit"
    assert kernel.value("kept") == "1"


def test_a_cells_environment_is_its_own(kernel):
    child = "require('node:child_process').execSync('echo $ONLY').toString()"
    assert kernel.value(f"[process.env.ONLY, {child}]", metadata={"env_vars": {"ONLY": "o"}}) == "[ 'o', 'o\\n' ]"
    assert kernel.value("process.env.ONLY") is None


def test_input_is_read_in_every_way(kernel):
    for code in (
        "prompt('x')",
        "require('node:fs').readFileSync(0, 'utf8').trim()",
        "let all = ''; for await (const c of process.stdin) all += c; all.trim()",
    ):
        msg_id = kernel.send(code, allow_stdin=True)
        for line in ["Ada"] if "prompt" in code else ["Ada", "\x04"]:
            kernel.client.get_stdin_msg(timeout=30)
            kernel.client.input(line)
        assert kernel.collect(msg_id).text == "'Ada'", code


def test_variables_and_changes_are_told(kernel):
    result = kernel.run("const fresh = [1]; function fine(a: number) {}", metadata={"changes": True})
    assert result.metadata["changes"]["created"] == ["fine", "fresh"]
    items = {item["name"]: item["preview"] for item in kernel.request("variables_request", {"match": "f"})["items"]}
    assert (items["fresh"], items["fine"]) == ("[ 1 ]", "fine(a)")


def test_an_await_can_be_interrupted(kernel):
    kernel.run("var kept = 2; var cleaned = 0")
    msg_id = kernel.send("try { console.log(1); await new Promise(() => {}) } finally { cleaned++ }")
    kernel.wait_for(lambda m: m["msg_type"] == "stream")  # before it, nothing needs a clean-up
    kernel.interrupt()
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert kernel.value("kept + cleaned") == "3"


def test_a_loop_can_be_interrupted_on_bun(kernel):
    if kernel.runtime != "bun":
        pytest.skip("Deno stops no loop")
    kernel.run("var kept = 3")
    msg_id = kernel.send("for (;;) {}")
    kernel.wait_for(lambda m: m["msg_type"] == "execute_input")
    kernel.interrupt()
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert kernel.value("kept") == "3"
