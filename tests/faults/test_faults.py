"""Faults around a server: a terminal that closes, a kill in the middle of a start, shared memory that its kernel leaves."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.client import Client, Repl
from tests.harness.dialects import PYTHON
from tests.harness.processes import is_running
from tests.harness.server import Server
from tests.harness.waiting import wait_until

SHARED_MEMORY = """
import os
from multiprocessing import get_context, shared_memory
memory = shared_memory.SharedMemory(create=True, size=100_000)
lock = get_context('spawn').Lock()
print(memory.name, 'sem.' + lock._semlock.name.strip('/'))
"""
WORKERS = "pool = get_context('fork').Pool(2)\n"
STUBBORN = "import subprocess\nsubprocess.Popen(['sh', '-c', 'trap \"\" INT TERM; while true; do sleep 1; done'])\n"


@pytest.fixture(scope="module", params=["forked", "spawned"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    forked = request.param == "forked"
    settings = {"zygote": str(forked), "pool_max": "0", "preload": "", "interrupt_grace": "0.2"}
    with Server(settings=settings) as server:
        if forked:
            server.zygote()
        client = server.client()
        yield client
        client.close()


def shared(repl: Repl, more: str = "") -> list[Path]:
    """The shared memory and the semaphore that a context has made."""
    result = repl.run(SHARED_MEMORY + more)
    made = [Path("/dev/shm") / name for name in " ".join(result.stdout).split()]
    assert len(made) == 2, result
    assert all(path.exists() for path in made)
    return made


def is_gone(made: list[Path]) -> bool:
    return not any(path.exists() for path in made)


@pytest.mark.parametrize("more", ["", WORKERS, STUBBORN])
def test_shared_memory_ends_with_its_context(client: Client, more: str) -> None:
    repl = Repl(client, "python")
    made = shared(repl, more)
    repl.delete()
    wait_until(lambda: is_gone(made), what="the shared memory is gone")


def test_shared_memory_ends_with_its_kernel(client: Client) -> None:
    for end in ("restart", "timeout", "kill"):
        repl = Repl(client, "python")
        made = shared(repl)
        if end == "restart":
            client.http.post(f"/contexts/{repl.id}/restart", json={}).raise_for_status()
        elif end == "timeout":
            assert repl.run(PYTHON.stubborn, timeout_ms=300)["context_state"] == "lost"
        else:
            os.kill(int(repl.run("print(os.getpid())").stdout[0]), signal.SIGKILL)
        wait_until(lambda made=made: is_gone(made), what=f"the shared memory is gone after {end}")
        repl.delete()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_server_takes_all_that_its_contexts_have_along(number: signal.Signals) -> None:
    with Server(settings={"pool_max": "0", "preload": ""}) as server:
        server.zygote()
        client = server.client()
        repl = Repl(client, "python")
        made = shared(repl, STUBBORN)
        begun = repl.start("print('begun')\nimport time\ntime.sleep(60)")
        client.wait_for_output(begun, "begun")
        pids = [process.pid for process in server.children()]
        status = server.terminate(by=number)
        client.close()
        wait_until(lambda: is_gone(made) and not [pid for pid in pids if is_running(pid)], what="nothing is left")
        if number is not signal.SIGKILL:
            assert status == -signal.SIGHUP
            assert list(server.run_dir.iterdir()) == []


@pytest.mark.parametrize("zygote", ["true", "false"])
def test_what_is_still_starting_does_not_outlive_a_killed_server(zygote: str) -> None:
    with Server(settings={"zygote": zygote, "pool_min": "1", "preload": ""}) as server:
        wait_until(server.children, what="a process is starting")
        pids = [process.pid for process in server.children()]
        server.kill()
        wait_until(lambda: not [pid for pid in pids if is_running(pid)], what="no process is left")
