"""A cell that writes frames of its own into its kernel's stream: it has a clear outcome, and the cells of others are answered."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness.client import Client, Repl
from tests.harness.server import Server

FORGE = """
import contextlib, json, os, select, struct

kernel = get_ipython().kernel
MANY = 1_000_000

def frame(msg_type, content, *, sizes=None, length=None):
    header = json.dumps({"msg_id": "forged", "msg_type": msg_type}).encode()
    parent = json.dumps({"msg_id": get_ipython().parent_header["header"]["msg_id"]}).encode()
    parts = [header, parent, b"{}", content]
    body = struct.pack("<4I", *(sizes or map(len, parts))) + b"".join(parts)
    return struct.pack("<IBBH", length or 4 + len(body), 1, 1, 4) + body

def send(data):
    rest = memoryview(data)
    with contextlib.ExitStack() as held:
        for lock in kernel.transport.locks:  # or frames of the kernel's own come between
            held.enter_context(lock)
        while rest:
            select.select([], [kernel.transport.fileno()], [])
            rest = rest[os.write(kernel.transport.fileno(), rest):]

lists = b"[" + b"[]," * MANY + b"[]]"
"""
SURVIVED = {
    "a large status": 'send(frame("status", b\'{"execution_state":"busy","x":\' + lists + b"}"))',
    "a large one of an unknown type": 'send(frame("unheard_of", b\'{"x":\' + lists + b"}"))',
    "a large reply": 'send(frame("execute_reply", b\'{"status":"ok","x":\' + lists + b"}"))',
    "brackets": 'send(frame("display_data", b\'{"data":{"application/json":\' + b"[" * MANY + b"]" * MANY + b"}}"))',
    "no JSON": 'send(frame("stream", os.urandom(MANY)))',
    "a text that is cut off": 'send(frame("stream", b\'{"text":"\' + b"x" * MANY))',
    "many small ones": 'send(frame("status", b\'{"execution_state":"busy"}\') * 20_000)',
}
FATAL = {
    "sizes that do not fit": 'send(frame("stream", b"{}", sizes=[1, 2, 3, 4]))',
    "a length beyond the maximum": 'send(frame("stream", b"{}", length=2**32 - 1))',
    "a frame that never ends": 'send(frame("stream", b"{}", length=60_000_000))',
}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Server(settings={"pool_max": "0", "preload": "", "interrupt_grace": "0.2"}) as server:
        client = server.client()
        yield client
        client.close()


@pytest.fixture(scope="module")
def neighbour(client: Client) -> Repl:
    return Repl(client, "python")


def forged(client: Client, neighbour: Repl, code: str, *, timeout_ms: int) -> tuple[Repl, dict[str, object]]:
    """The context, and the result of its cell, while the neighbour's cells are answered."""
    repl = Repl(client, "python")
    assert repl.run(FORGE)["status"] == "ok"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(repl.run, f"{code}\nprint('after')", timeout_ms=timeout_ms)
        answered = 0
        while not answered or not running.done():
            assert neighbour.run("print(6 * 7)").stdout == ["42"]
            answered += 1
    return repl, running.result()


@pytest.mark.parametrize("name", SURVIVED)
def test_a_cell_goes_on_after_a_message_that_is_none(client: Client, neighbour: Repl, name: str) -> None:
    repl, result = forged(client, neighbour, SURVIVED[name], timeout_ms=60_000)
    assert result["status"] == "ok", result
    assert repl.run("print('next')").stdout == ["next"]
    repl.delete()


@pytest.mark.parametrize("name", FATAL)
def test_a_broken_stream_ends_the_kernel_and_the_result_says_so(client: Client, neighbour: Repl, name: str) -> None:
    repl, result = forged(client, neighbour, FATAL[name], timeout_ms=2000)
    assert (result["status"], result["context_state"]) in (("died", "lost"), ("timeout", "lost")), result
    assert repl.run("print('next')").stdout == ["next"]
    repl.delete()
