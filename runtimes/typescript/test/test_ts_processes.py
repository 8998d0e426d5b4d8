"""Child processes that a cell waits for, and cells that end their own process, on every runtime that is installed."""

import os
import select

import pytest
from ts_kernel import Kernel, find_program

SPECS = {"node": "polyrepl-typescript", "bun": "polyrepl-bun", "deno": "polyrepl-deno"}
RUNTIMES = [
    pytest.param(name, marks=pytest.mark.skipif(find_program(name) is None, reason=f"{name} is not installed"))
    for name in SPECS
]
CHILD = "require('node:child_process')"
# The shell says that it runs, and what it does with signals is decided by then.
BLOCKED = {
    "execSync": f"{CHILD}.execSync('echo go >&2; sleep 600', {{ stdio: ['ignore', 'pipe', said] }})",
    "spawnSync": f"{CHILD}.spawnSync('sh', ['-c', 'echo go >&2; sleep 600'], {{ stdio: ['ignore', 'pipe', said] }}); 1",
    "a child of the child": f"{CHILD}.execSync('sleep 600 & echo go >&2; wait', {{ stdio: ['ignore', 'pipe', said] }})",
    "a deaf child": f"""{CHILD}.execSync('trap "" INT TERM; echo go >&2; sleep 600; sleep 600', {{ stdio: ['ignore', 'pipe', said] }})""",
    "in an async function": f"""await (async () => {{
      await null
      {CHILD}.execSync('echo go >&2; sleep 600', {{ stdio: ['ignore', 'pipe', said] }})
    }})()""",
}
LAST_WORDS = "console.log('step 1'); process.stdout.write('step 2\\n'); "
DEATHS = {"a signal": "process.kill(process.pid, 'SIGKILL')", "abort": "process.abort()"}


@pytest.fixture(scope="module", params=RUNTIMES)
def kernel(request, directory):
    kernel = Kernel(directory, spec=SPECS[request.param])
    kernel.run("var kept = 'kept'; const { openSync } = require('node:fs')")
    yield kernel
    kernel.close()


@pytest.fixture
def fifo(kernel, tmp_path):
    """What the child says on its standard error, from the other end."""
    path = tmp_path / "said"
    os.mkfifo(path)
    end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    kernel.run(f"var said = openSync({str(path)!r}, 'w')")
    yield end
    kernel.run("require('node:fs').closeSync(said)")
    os.close(end)


@pytest.mark.parametrize("name", BLOCKED)
def test_an_interrupt_ends_the_child_that_the_cell_waits_for(kernel, fifo, name):
    msg_id = kernel.send(BLOCKED[name], stop_on_error=False)
    assert select.select([fifo], [], [], 30)[0], "the child runs"
    kernel.interrupt()
    reply = kernel.collect(msg_id).reply
    assert (reply["ename"], reply["evalue"]) == ("KeyboardInterrupt", "Execution interrupted")
    assert kernel.value("kept") == "'kept'"


def test_an_interrupt_leaves_the_children_of_earlier_cells(kernel):
    kernel.run(f"var server = {CHILD}.spawn('sleep', ['600']); await new Promise((done) => server.once('spawn', done))")
    msg_id = kernel.send("console.log('go'); await new Promise(() => {})")
    kernel.wait_for(lambda m: m["msg_type"] == "stream")
    kernel.interrupt()
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert kernel.value("[server.exitCode, server.signalCode]") == "[ null, null ]"
    kernel.run("server.kill('SIGKILL')")


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_a_cell_wrote_before_its_process_died_is_there(runtime, death, directory):
    kernel = Kernel(directory, spec=SPECS[runtime])
    try:
        kernel.send(LAST_WORDS + death)
        text = ""
        while "step 2\n" not in text:
            message = kernel.client.get_iopub_msg(timeout=30)
            text += message["content"]["text"] if message["msg_type"] == "stream" else ""
        assert text == "step 1\nstep 2\n"
    finally:
        kernel.close()
