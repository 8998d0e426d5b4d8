"""The Python kernel on a stream: what the transport promises, and interrupts at any time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.real.kernels.stream_kernel import (
    CONTROL,
    IOPUB,
    SHELL,
    STDIN,
    StreamKernel,
    reply,
    value,
    wait_until_childless,
    wait_until_gone,
)

ANNOUNCED = {"after_interrupt": True}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamKernel]:
    kernel = StreamKernel(tmp_path_factory.mktemp("kernel"))
    kernel.run("import asyncio, os, subprocess, time; import numpy as np; n = 0")
    yield kernel
    kernel.close()


@pytest.fixture
def own_kernel(tmp_path: Path) -> Iterator[StreamKernel]:
    kernel = StreamKernel(tmp_path)
    yield kernel
    kernel.close()


def test_the_first_message_is_starting_and_a_request_may_come_before_it(own_kernel: StreamKernel):
    request = own_kernel.request("1 + 1")
    first = next(own_kernel.messages())
    assert (first["channel"], first["msg_type"], first["parent"]) == (IOPUB, "status", "")
    assert first["content"] == {"execution_state": "starting"}
    assert value(own_kernel.until(request, "status", execution_state="idle")) == "2"


def test_messages_come_in_the_order_of_their_causes(kernel: StreamKernel):
    messages = kernel.run("print('a'); import os; os.write(1, b'b\\n'); os.system('echo c'); print('d'); 5")
    types = [each["msg_type"] for each in messages]
    assert types[:2] == ["status", "execute_input"]
    assert types[-3:] == ["execute_result", "execute_reply", "status"]
    text = "".join(each["content"]["text"] for each in messages if each["msg_type"] == "stream")
    assert text.index("a") < text.index("c") < text.index("d")
    assert "b\n" in text


def test_channels_are_those_of_the_protocol(kernel: StreamKernel):
    request = kernel.request("input('name? ')", allow_stdin=True)
    asked = kernel.until(request, "input_request")[-1]
    assert (asked["channel"], asked["content"]) == (STDIN, {"prompt": "name? ", "password": False})
    kernel.send(STDIN, "input_reply", {"value": "Ada"})
    messages = kernel.until(request, "status", execution_state="idle")
    assert value(messages) == "'Ada'"
    assert {each["channel"] for each in messages} == {SHELL, IOPUB}


def answered(kernel: StreamKernel, request: str) -> list[tuple[int, str]]:
    messages = kernel.until(request, "status", execution_state="idle")
    return [(each["channel"], each["msg_type"]) for each in messages]


INFO = [(IOPUB, "status"), (CONTROL, "kernel_info_reply"), (IOPUB, "status")]


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "while True: await asyncio.sleep(0.01)",
        "try:\n    input()\nexcept KeyboardInterrupt:\n    print(1)\n    time.sleep(60)",
    ],
)
def test_a_control_request_is_answered_while_a_cell_runs(kernel: StreamKernel, code: str):
    request = kernel.request(code, allow_stdin=True)
    kernel.until(request, "input_request" if "input" in code else "execute_input")
    for _ in range(2):
        assert answered(kernel, kernel.send(CONTROL, "kernel_info_request", {})) == INFO
    if "input" in code:
        kernel.interrupt()
        kernel.until(request, "stream")
        assert answered(kernel, kernel.send(CONTROL, "kernel_info_request", {})) == INFO
    later = kernel.request("n")
    kernel.interrupt()
    assert reply(kernel.until(request, "status", execution_state="idle"))["ename"] == "KeyboardInterrupt"
    assert value(kernel.until(later, "status", execution_state="idle")) == "0"
    assert answered(kernel, kernel.send(CONTROL, "kernel_info_request", {})) == INFO


def test_requests_that_come_while_a_cell_runs_keep_their_order_and_input_is_not_late(kernel: StreamKernel):
    request = kernel.request("time.sleep(0.2); seen = [input(), input()]; time.sleep(0.2)", allow_stdin=True)
    for answer in ("a", "b"):
        kernel.until(request, "input_request")
        kernel.send(STDIN, "input_reply", {"value": answer})
    kernel.send(CONTROL, "kernel_info_request", {})

    def send() -> str:
        for number in range(300):
            kernel.request(f"seen.append({number})")
        return kernel.request("seen == ['a', 'b', *range(300)]")

    # Where the machine is slow the cell ends before all are sent, and a kernel that waits for its reader takes no requests.
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        result = next(each for each in kernel.messages() if each["msg_type"] == "execute_result")
    assert (result["parent"], value([result])) == (sending.result(), "True")
    kernel.until(result["parent"], "status", execution_state="idle")


def test_a_shutdown_request_on_control_ends_a_busy_kernel(own_kernel: StreamKernel):
    own_kernel.until(own_kernel.request("while True: pass"), "execute_input")
    request = own_kernel.send(CONTROL, "shutdown_request", {"restart": False})
    assert [channel for channel, kind in answered(own_kernel, request) if kind == "shutdown_reply"] == [CONTROL]
    assert own_kernel.process.wait(20) == 0


def test_a_kernel_whose_client_does_not_read_waits_and_loses_nothing(own_kernel: StreamKernel):
    own_kernel.run("pass")
    line = 100_000
    request = own_kernel.request(f"for i in range(1000): print(f'{{i:05}}' + 'x' * {line - 6})")
    resident = Path(f"/proc/{own_kernel.process.pid}/status")
    sizes = []
    texts = []
    for message in own_kernel.messages():
        if message["parent"] != request:
            continue
        if message["msg_type"] == "stream":
            texts.append(message["content"]["text"])
            sizes.append(int(resident.read_text().partition("VmRSS:")[2].split()[0]) // 1024)
        elif message["content"].get("execution_state") == "idle":
            break
    text = "".join(texts)
    assert len(text) == 1000 * line
    assert [int(each[:5]) for each in text.splitlines()] == list(range(1000))
    assert max(sizes) - sizes[0] < 50


def test_a_kernel_ends_with_its_client_and_so_does_what_it_started(own_kernel: StreamKernel):
    child = int(value(own_kernel.run("import subprocess; subprocess.Popen(['sleep', '300']).pid")))
    own_kernel.request("while True: pass")  # busy: it does not read that the client is gone
    own_kernel.close()
    wait_until_gone(child)


def test_a_request_that_is_no_message_is_answered(kernel: StreamKernel):
    request = kernel.send(SHELL, "execute_request", ["not an object"])
    messages = kernel.until(request, "status", execution_state="idle")
    assert reply(messages)["status"] == "error"
    assert value(kernel.run("1")) == "1"


CELLS = {
    "sync": "n += 1\nwhile True: pass",
    "try": "n += 1\nwhile True:\n    try: 1 / 0\n    except ZeroDivisionError: pass",
    "await": "n += 1\nawait asyncio.sleep(60)",
    "tasks": "n += 1\nasync def spin():\n    while True: await asyncio.sleep(0)\nawait asyncio.gather(spin(), spin())",
    "print": "n += 1\nwhile True: print('x' * 50)",
    "display": "n += 1\nwhile True: display(1)",
    "subprocess": "n += 1\nsubprocess.run(['sleep', '60'])",
    "shell": "n += 1\nwhile True:\n    !sleep 60",
    "numpy": "n += 1\na = np.ones((200, 200))\nwhile True: a = np.tanh(a @ a)",
    "sleep": "n += 1\ntime.sleep(60)",
    "input": "n += 1\ninput()",
    "finalizer": "class C:\n    def __del__(self): len([i for i in range(1000)])\nn += 1\nwhile True: C()",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_an_interrupt_at_any_time_stops_its_cell_and_no_other(kernel: StreamKernel, name: str):
    chance = random.Random(name)
    (before,) = [int(value(kernel.run("n")))]
    limits = {"output_limits": {"stream_bytes": 100_000, "item_bytes": 100_000}}
    for _ in range(30):
        request = kernel.request(CELLS[name], allow_stdin=True, metadata={**ANNOUNCED, **limits})
        kernel.until(request, "execute_input")
        wait_a_moment(chance)
        kernel.interrupt()
        answer = reply(kernel.until(request, "status", execution_state="idle"))
        assert (answer["status"], answer["ename"]) == ("error", "KeyboardInterrupt")
        after = kernel.run("n", metadata=ANNOUNCED)
        assert reply(after)["status"] == "ok"
        assert before <= int(value(after)) <= before + 1
        before = int(value(after))
    wait_until_childless(kernel.process.pid)


SWALLOWING = """
import time

class Held:
    def __del__(self):
        try:
            print("closing", flush=True)
            time.sleep(0.2)
        except:
            pass
"""


def test_an_interrupt_that_a_finalizer_of_a_library_would_swallow_comes_after_it(kernel: StreamKernel):
    module = f"import types\nlibrary = types.ModuleType('library')\nexec({SWALLOWING!r}, vars(library))"
    assert reply(kernel.run(module))["status"] == "ok"
    request = kernel.request("held = library.Held()\ndel held\nwhile True: pass")
    kernel.until(request, "stream")
    kernel.interrupt()
    answer = reply(kernel.until(request, "status", execution_state="idle"))
    assert answer["ename"] == "KeyboardInterrupt"


@pytest.mark.slow
def test_an_interrupt_that_is_quicker_than_its_request_is_not_lost(kernel: StreamKernel):
    chance = random.Random(1)
    for number in range(200):
        request = kernel.request(CELLS[("sync", "await", "sleep")[number % 3]])
        wait_a_moment(chance, most=300)
        kernel.interrupt()
        answer = reply(kernel.until(request, "status", execution_state="idle"))
        assert answer.get("ename") == "KeyboardInterrupt"
        assert reply(kernel.run("n", metadata=ANNOUNCED))["status"] == "ok"


def test_an_interrupt_of_an_idle_kernel_does_nothing(kernel: StreamKernel):
    kernel.interrupt()
    assert reply(kernel.run("1", metadata=ANNOUNCED))["status"] == "ok"
    assert reply(kernel.run("1"))["status"] == "ok"


def wait_a_moment(chance: random.Random, *, most: int = 3000) -> None:
    """Some work of random length: the moment of the interrupt is what varies."""
    for _ in range(chance.choice((0, 0, chance.randrange(most), chance.randrange(100 * most)))):
        pass
