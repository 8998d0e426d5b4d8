"""What a cell sends: streams, limits, rich results."""

import base64
import json
from itertools import groupby
from pathlib import Path

import pytest


def resident_mb(kernel):
    return int(Path(f"/proc/{kernel.pid}/status").read_text().partition("VmRSS:")[2].split()[0]) // 1024


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
    kinds = [kind for kind, _ in groupby(m["msg_type"] for m in result.messages)]  # lines may come one by one
    assert kinds == ["status", "execute_input", "stream", "display_data", "stream", "execute_result", "status"]
    assert result.stream() == "1\n3\n4\n"


def test_many_small_writes_are_coalesced(kernel):
    result = kernel.run("for (let i = 0; i < 2000; i++) console.log(i)")
    assert result.stream() == "".join(f"{i}\n" for i in range(2000))
    assert len(result.streams()) < 1000


def test_late_output_belongs_to_the_cell_that_started_it(kernel):
    first = kernel.send("setTimeout(() => console.log('from the first'), 1000); 0")
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


def test_one_huge_string_arrives_whole_and_is_not_kept(fresh_kernel):
    before = resident_mb(fresh_kernel)
    result = fresh_kernel.run("process.stdout.write('start ' + 'y'.repeat(50e6) + ' end'); 'after'")
    text = result.stream()
    assert (len(text), text[:6], text[-4:], result.text) == (50_000_010, "start ", " end", "'after'")
    assert resident_mb(fresh_kernel) - before < 200


def test_a_huge_string_is_interrupted_in_the_middle(kernel):
    msg_id = kernel.send("console.log('go'); for (;;) process.stdout.write('z'.repeat(50e6))")
    kernel.wait_for(lambda m: m["msg_type"] == "stream")
    kernel.interrupt()
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert kernel.run("console.log('hi')").stream() == "hi\n"


# ---- other threads and processes


THREAD = "const w = new (require('node:worker_threads').Worker)({}, {{ eval: true }}); await new Promise((done) => w.on('exit', done))"


def test_output_of_a_worker_thread_belongs_to_the_cell_that_started_it(kernel):
    code = json.dumps("console.log('one'); console.error('two'); process.stdout.write('three')")
    result = kernel.run(THREAD.format(code))
    assert (result.stream(), result.stream("stderr")) == ("one\nthree", "two\n")


def test_a_worker_thread_may_fail_or_exit_and_the_kernel_stays(kernel):
    assert kernel.run(THREAD.format(json.dumps("process.exit(4)"))).text == "4"
    failing = json.dumps("Promise.reject(new Error('lost in a thread'))")
    assert "lost in a thread" in kernel.run(THREAD.format(failing)).stream("stderr")
    code = """
    import { Worker } from 'node:worker_threads'
    const thread = new Worker('throw new TypeError("t")', { eval: true })
    await new Promise((done) => thread.on('error', (error) => done(error.name)))
    """
    assert kernel.value(code) == "'TypeError'"


def test_a_child_process_talks_through_pipes_and_messages(kernel):
    code = """
    import { execFile, fork } from 'node:child_process'
    import { promisify } from 'node:util'
    import { writeFileSync } from 'node:fs'
    writeFileSync('child.cjs', "process.send({ got: process.argv[2] })")
    const { stdout } = await promisify(execFile)('sh', ['-c', 'echo out'])
    const [message] = await new Promise((done) => fork('./child.cjs', ['word']).on('message', (...all) => done(all)))
    ;[stdout, message.got]
    """
    assert kernel.value(code) == "[ 'out\\n', 'word' ]"


@pytest.mark.parametrize(
    "code",
    [
        "process.nextTick(() => { throw new Error('late') })",
        "queueMicrotask(() => { throw new Error('late') })",
        "setImmediate(() => { throw new Error('late') })",
        "setTimeout(() => { throw new Error('late') }, 0)",
        "Promise.reject(new Error('late'))",
        "process.emitWarning('late')",
        "new (require('node:events'))().emit('error', new Error('late'))",
    ],
)
def test_what_fails_beside_the_cell_is_told_and_the_kernel_stays(kernel, code):
    result = kernel.run(f"{code}; await new Promise((done) => setTimeout(done, 20)); 1")
    told = result.stream("stderr") + result.traceback
    assert "late" in told
    assert kernel.value("2") == "2"


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


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("[{ a: 1 }, { a: 2 }]", {"text/html", "text/plain"}),
        ("[1, 2]", {"text/plain"}),
        ("({ a: { b: [] } })", {"text/plain"}),
        ("display([{ a: 1 }])", {"text/html", "text/plain"}),
        ("display.table({ a: [1, 2] })", {"text/html", "text/plain"}),
        ("display.json([{ a: 1 }])", {"application/json"}),
        ("display({ 'application/json': [1], 'text/html': '<p>' }, { raw: true })", {"application/json", "text/html"}),
        ("({ [Symbol.for('Jupyter.display')]: () => ({ 'application/json': { a: 1 } }) })", {"application/json"}),
    ],
)
def test_front_ends_of_jupyter_get_json_only_of_what_is_shown_as_json(kernel, code, shown):
    result = kernel.run(code, {"items": False})
    bundles = [m["content"]["data"] for m in result.messages if m["msg_type"] in ("display_data", "execute_result")]
    assert [set(bundle) for bundle in bundles] == [shown]
    assert "application/json" in set().union(*[m["content"].get("data", {}) for m in kernel.run(code).messages])


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


@pytest.mark.parametrize("wrapped", ["{}", "[{}]", "({{ a: {{ b: {} }} }})"])
def test_a_crowded_object_shows_its_first_properties(kernel, wrapped):
    kernel.run("var crowd = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, i]))")
    data = kernel.run(wrapped.format("crowd")).data
    assert "k0: 0,\n" in data["text/plain"]
    assert "k9999: 9999,\n" in data["text/plain"]
    assert "'...': 10000 more properties\n" in data["text/plain"]
    assert "k10000" not in data["text/plain"]
    assert '"k19999": 19999' in json.dumps(data["application/json"])


def test_an_object_of_many_more_keys_is_text_alone(kernel):
    kernel.run("var huge = Object.fromEntries(Array.from({ length: 250_000 }, (_, i) => [i, i]))")
    data = kernel.run("huge").data
    assert set(data) == {"text/plain"}
    assert "'...': 240000 more properties" in data["text/plain"]
    assert kernel.run("huge[0] = 1; 0", metadata={"changes": True}).metadata["changes"]["changed"] == []
