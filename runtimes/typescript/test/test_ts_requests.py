"""Input, environment, the other requests, and the life of the process."""

import json
import os
import signal
import subprocess

import pytest
from ts_kernel import DEADLINE, ROOT, Kernel, find_node


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
    assert tuple(map(int, info["protocol_version"].split("."))) >= (5, 4)
    language = info["language_info"]
    assert (language["name"], language["file_extension"], language["mimetype"]) == (
        "typescript",
        ".ts",
        "text/x-typescript",
    )
    assert language["version"] == kernel.value("process.versions.node").strip("'")
    assert language["version"] in info["banner"]
    assert all(link["url"].startswith("https://") for link in info["help_links"])


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


def test_compiled_code_is_written_at_the_end_of_the_kernel(directory, tmp_path, monkeypatch):
    monkeypatch.setenv("POLYREPL_CACHE_DIR", str(tmp_path))
    kernel = Kernel(directory)
    try:
        kernel.value("const typed: number = 1; typed")
        assert not any(path.is_file() for path in tmp_path.rglob("*"))
        kernel.request("shutdown_request", {"restart": False}, channel="control")
        assert kernel.manager.provisioner.process.wait(timeout=DEADLINE) == 0
        assert any(path.is_file() for path in tmp_path.rglob("*"))
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
