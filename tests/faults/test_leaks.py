"""What a real server leaves behind after much work, after its end, and after its violent end: nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import psutil
import pytest

from tests.harness.client import Client, Repl
from tests.harness.dialects import PYTHON, TYPESCRIPT, Dialect
from tests.harness.processes import is_running
from tests.harness.server import Server
from tests.harness.waiting import wait_until

MIB = 1024 * 1024
SHUTDOWN_DEADLINE = 12.0
FDS_OF_A_SPARE = ("/proc", "run/s-N/contexts/N", "anon_inode:[pidfd]", "socket:[N]")
ENDED_ORDERLY = (0, -signal.SIGTERM)  # uvicorn repeats the signal that it has handled
PLAIN_CELLS = {
    PYTHON: ("1 + 1", "print('x' * 1000)", "1 / 0", "display({'text/html': '<b>x</b>'}, raw=True)", "input()"),
    TYPESCRIPT: (
        "1 + 1",
        "console.log('x'.repeat(1000))",
        "throw new Error('x')",
        "display.html('<b>x</b>')",
        "prompt()",
    ),
}


@dataclass(frozen=True)
class Footprint:
    """What a server holds, apart from memory and threads, of which idle ones end after a while. Nor do boxes count that are
    ready for contexts to come, with their descriptors and directories: demand decides how many there are."""

    processes: frozenset[int]  # without those that boxes begin with
    boxes: int
    fds: dict[str, int]
    files: dict[str, int]

    @classmethod
    def of(cls, server: Server) -> Footprint:
        spares = server.spares()
        fds = Counter(re.sub(r"^/.*/run/s-N", "run/s-N", target) for target in server.fds())
        fds.subtract(dict.fromkeys(FDS_OF_A_SPARE, spares))
        places = (path.relative_to(server.run_dir) for path in server.files() if "cache" not in path.parts)
        files = Counter(re.sub(r"^(s-[^/]+)/(contexts|k)/[^/]+", r"\1/\2/N", str(place)) for place in places)
        (root,) = (name for name in files if "/" not in name)
        files.subtract({f"{root}/contexts/N": spares, f"{root}/k/N": spares})
        boxes = server.boxes()
        return cls(
            frozenset(process.pid for process in server.children() if process not in boxes),
            len(boxes) - spares,
            {target: count for target, count in fds.items() if count},
            {name: count for name, count in files.items() if count},
        )

    @property
    def descriptors(self) -> int:
        return sum(self.fds.values())

    @property
    def without_descriptors(self) -> Footprint:
        return dataclasses.replace(self, fds={})

    @property
    def held(self) -> tuple[int, int, dict[str, int], int]:
        """What stays the same where kernels are replaced by others."""
        return len(self.processes), self.boxes, self.fds, sum(self.files.values())


def settled(server: Server, expected: Footprint) -> Footprint:
    """What the server holds, once that is what is expected, or after a minute."""
    found = expected

    def is_expected() -> bool:
        nonlocal found
        found = Footprint.of(server)
        return found == expected

    with contextlib.suppress(AssertionError):
        wait_until(is_expected, deadline=60)
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Without a pool: every process is of a context."""
    with Server(settings={"pool_max": "0"}) as server:
        yield server


def run_cells(server: Server, dialect: Dialect, count: int) -> None:
    client = server.client()
    repl = Repl(client, dialect.name)
    for code in islice(cycle(PLAIN_CELLS[dialect]), count):
        assert repl.run(code, env_vars={"A": "b"}).status in ("ok", "error")
    repl.delete()
    client.close()


def use_context(client: Client, dialect: Dialect) -> None:
    context = client.create(dialect.name)
    repl = Repl(client, dialect.name, context["id"])
    assert repl.run("6 * 7").text == "42"
    repl.delete()


def work(server: Server, *, executions: int, contexts: int) -> None:
    """A fourth of the executions and a tenth of the contexts are typescript's."""
    with ThreadPoolExecutor(4) as pool:
        dialects = (PYTHON, PYTHON, PYTHON, TYPESCRIPT)
        list(pool.map(lambda dialect: run_cells(server, dialect, executions // 4), dialects))
        client = server.client()
        dialects = tuple(TYPESCRIPT if number % 10 == 9 else PYTHON for number in range(contexts))
        list(pool.map(lambda dialect: use_context(client, dialect), dialects))
        client.close()


def fill_thread_pool(server: Server) -> None:
    """Have the server use every thread that it ever will."""
    client = server.client()
    with ThreadPoolExecutor(32) as pool:
        assert {response.status_code for response in pool.map(client.http.get, ["/languages"] * 64)} == {200}
    client.close()


def test_hundreds_of_executions_and_contexts_leave_nothing_behind(server: Server) -> None:
    assert server.url
    fill_thread_pool(server)
    work(server, executions=100, contexts=10)
    wait_until(lambda: not server.kernels(), what="no kernel is left of the warm-up")
    before, memory, threads = Footprint.of(server), server.memory(), server.threads()
    work(server, executions=400, contexts=40)
    assert settled(server, before) == before
    wait_until(lambda: server.threads() <= threads, what="no thread is left")
    growth = server.memory() - memory
    assert growth < 20 * MIB, f"grew by {growth / MIB:.1f} MiB"
    assert "Traceback" not in server.log_text


def test_executions_of_a_living_context_leave_no_descriptor_and_no_thread_in_its_kernel(server: Server) -> None:
    client = server.client()
    for dialect in (PYTHON, TYPESCRIPT):
        repl = Repl(client, dialect.name)
        kernel = psutil.Process(repl.outside(int(repl.run(dialect.pid).text or 0)))
        for code in PLAIN_CELLS[dialect]:
            repl.run(code)
        before = (kernel.num_fds(), kernel.num_threads())
        for code in islice(cycle(PLAIN_CELLS[dialect]), 100):
            repl.run(code)
        assert (kernel.num_fds(), kernel.num_threads()) <= before
        repl.delete()
    client.close()


def test_timeouts_deaths_and_readers_that_leave_leave_nothing_behind(server: Server) -> None:
    fill_thread_pool(server)
    client = server.client()
    wait_until(lambda: not server.kernels(), what="no kernel is left of other tests")
    before = Footprint.of(server).without_descriptors

    def disturb() -> None:
        repl = Repl(client, "python")
        assert repl.run(PYTHON.loop, timeout_ms=50).status == "timeout"
        with client.stream(PYTHON.loop, **repl.fields, on_disconnect="interrupt") as events:
            next(events)
        assert repl.run(PYTHON.kill_itself).status == "died"
        assert repl.run("1")["context_state"] == "restarted"
        client.http.post(f"/contexts/{repl.id}/restart")
        repl.delete()

    disturb()
    wait_until(lambda: Footprint.of(server).without_descriptors == before, what="the warm-up is gone")
    descriptors, threads = Footprint.of(server).descriptors, server.threads()
    for _ in range(5):
        disturb()
    wait_until(lambda: Footprint.of(server).descriptors <= descriptors, what="no descriptor is left")
    wait_until(lambda: Footprint.of(server).without_descriptors == before, what="everything is gone")
    wait_until(lambda: server.threads() <= threads, what="no thread is left")
    client.close()


def test_contexts_taken_from_the_pool_leave_nothing_but_a_full_pool() -> None:
    with Server(settings={"pool_languages": "typescript", "pool_min": "2", "pool_max": "2"}) as server:
        client = server.client()
        fill_thread_pool(server)

        def is_full() -> bool:
            return 'polyrepl_pool_ready{language="typescript"} 2.0' in client.http.get("/metrics").text

        def is_settled() -> bool:
            """The pool is full, and of what was started or ended before nothing is on its way."""
            return is_full() and len(server.kernels()) == 2 and Footprint.of(server).boxes in (0, 2)

        server.zygote()
        wait_until(is_settled, what="the pool is full")
        use_context(client, TYPESCRIPT)
        wait_until(is_settled, what="the pool is full again")
        before = Footprint.of(server)
        for _ in range(10):
            use_context(client, TYPESCRIPT)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: is_settled() and Footprint.of(server).held == before.held, deadline=60)
        assert Footprint.of(server).held == before.held
        assert 'polyrepl_pool_takes_total{language="typescript",outcome="hit"}' in client.http.get("/metrics").text
        client.close()
        assert server.terminate(deadline=SHUTDOWN_DEADLINE) in ENDED_ORDERLY
        assert left_in(server.run_dir) == set()
        assert "Traceback" not in server.log_text


def left_in(run_dir: Path) -> set[str]:
    """What servers left there."""
    return {path.name for path in run_dir.iterdir()}


def processes_of(server: Server, repls: list[tuple[Repl, Dialect]]) -> list[int]:
    """Kernels that are busy in many ways, with children of their own, and requests that wait."""
    for repl, dialect in repls:
        assert repl.run(dialect.child).status == "ok"
        begun = repl.start(dialect.print("'begun'") + "\n" + dialect.loop)
        repl.client.wait_for_output(begun, "begun")
        repl.start("1")
    return [process.pid for process in server.children()]


def test_a_terminated_server_ends_in_time_with_all_that_it_started() -> None:
    with Server() as server:
        client = server.client()
        repls = [
            (Repl(client, "python"), PYTHON),
            (Repl(client, "python"), PYTHON),
            (Repl(client, "typescript"), TYPESCRIPT),
        ]
        pids = processes_of(server, repls)
        stubborn = Repl(client, "python")
        begun = stubborn.start("print('begun')\n" + PYTHON.stubborn)
        client.wait_for_output(begun, "begun")
        reader: list[str] = []
        with client.stream(PYTHON.loop) as events:
            next(events)
            follower = threading.Thread(target=lambda: reader.extend(event["type"] for event in events))
            follower.start()
            client.start("1", language="typescript")  # its kernel is starting
            pids += [process.pid for process in server.children()]
            assert len(set(pids)) >= 8
            assert server.terminate(deadline=SHUTDOWN_DEADLINE) in ENDED_ORDERLY
            follower.join(SHUTDOWN_DEADLINE)
        assert reader[-1] == "done"
        client.close()
        wait_until(lambda: not [pid for pid in pids if is_running(pid)], what="no process is left")
        assert left_in(server.run_dir) == set()
        assert "Traceback" not in server.log_text


def test_kernels_of_a_killed_server_end_and_the_next_server_removes_its_directory() -> None:
    with Server() as first:
        client = first.client()
        idle, busy = Repl(client, "python"), Repl(client, "typescript")
        idle.run("1")
        busy.run("1")
        begun = busy.start(TYPESCRIPT.print("'begun'") + "\n" + TYPESCRIPT.loop)
        client.wait_for_output(begun, "begun")
        also_busy = Repl(client, "python")
        begun = also_busy.start("print('begun')\n" + PYTHON.loop)
        client.wait_for_output(begun, "begun")
        pids = [process.pid for process in first.children()]
        assert len(pids) >= 3
        first.kill()
        client.close()
        wait_until(lambda: not [pid for pid in pids if is_running(pid)], what="its kernels end")
        left = left_in(first.run_dir)
        assert left
        with Server(run_dir=first.run_dir) as second:
            assert second.url
            assert not left & left_in(first.run_dir)


def test_a_server_refuses_new_work_while_it_ends_and_says_so() -> None:
    with Server() as server:
        client = server.client()
        repl = Repl(client, "python")
        execution = repl.start("print('begun')\n" + PYTHON.loop)
        client.wait_for_output(execution, "begun")
        ended: list[str] = []
        caller = threading.Thread(target=lambda: ended.append(repl.run("'waits behind it'").status))
        caller.start()
        wait_until(lambda: (repl.info or {}).get("queued") == 1, what="the second call waits")
        assert server.terminate(deadline=SHUTDOWN_DEADLINE) in ENDED_ORDERLY
        caller.join(SHUTDOWN_DEADLINE)
        assert ended == ["interrupted"]
        client.close()
