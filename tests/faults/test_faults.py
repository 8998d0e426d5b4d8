"""Faults around a server: a terminal that closes, a kill in the middle of a start, shared memory that its kernel leaves."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
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
print(memory.name, 'sem.' + lock._semlock.name.strip('/'), os.getpid())
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


@dataclass(frozen=True)
class SharedMemory:
    """Files of shared memory, and the mounts that they are seen with: a context may have a /dev/shm of its own."""

    names: list[str]
    mounts: str

    def seen(self) -> set[str]:
        """Those that are there, for any process that has these mounts."""
        found: set[str] = set()
        for mounts in Path("/proc").glob("[0-9]*/ns/mnt"):
            with contextlib.suppress(OSError):  # the process is gone
                if os.readlink(mounts) == self.mounts:
                    found.update(os.listdir(mounts.parents[1] / "root/dev/shm"))
        return found & set(self.names)


def shared(repl: Repl, more: str = "") -> SharedMemory:
    """The shared memory and the semaphore that a context has made."""
    result = repl.run(SHARED_MEMORY + more)
    *names, pid = " ".join(result.stdout).split()
    made = SharedMemory(names, os.readlink(f"/proc/{repl.outside(int(pid))}/ns/mnt"))
    assert len(names) == 2, result
    assert made.seen() == set(names)
    return made


def is_gone(made: SharedMemory) -> bool:
    return not made.seen()


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
            os.kill(repl.outside(int(repl.run("print(os.getpid())").stdout[0])), signal.SIGKILL)
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
