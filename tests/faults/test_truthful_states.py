"""Contexts that lose, keep, copy and take back their state in any order: every answer says what became of it, and nothing is left."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.harness.client import Client, Repl, Result
from tests.harness.dialects import PYTHON, TYPESCRIPT, Dialect
from tests.harness.processes import is_running
from tests.harness.server import Server
from tests.harness.waiting import wait_until

STEPS = 60
COUNT = {
    PYTHON: "try: n += 1\nexcept NameError: n = 1\nprint(n, flush=True)",
    TYPESCRIPT: "globalThis.n = (globalThis.n ?? 0) + 1\nconsole.log(n)",
}
COMMON = ("count", "count", "fail", "time_out", "interrupt", "die", "be_killed", "be_killed_idle", "restart", "delete")
OF_BRANCHES = ("keep", "keep", "return_to", "return_to", "fork", "undo", "undo_a_timeout", "undo_a_death")


class Counter:
    """A context that counts, and what it must say. `n`: 0 where nothing was counted; `found`: what the next answer says of the state."""

    def __init__(self, client: Client, dialect: Dialect, seed: int) -> None:
        self.dialect = dialect
        self.repl = Repl(client, dialect.name)
        self.n = 0
        self.found = "created"
        self.kept: list[tuple[str, int, str]] = []
        self.done: list[str] = []
        self._random = random.Random(seed)

    def step(self) -> None:
        names = COMMON + OF_BRANCHES if self.dialect is PYTHON else COMMON
        self.done.append(self._random.choice(names))
        getattr(self, self.done[-1])()

    def check(self, result: Result, status: str, state: str = "", *, counted: int | None = None) -> None:
        """`state`: other than what the cell found; `counted`: what it printed."""
        expected = state or self.found
        printed = [str(counted)] if counted is not None else []
        told = (result.status, result["context_state"], [line for line in result.stdout if line != "begun"])
        assert told == (status, expected, printed), (self.done, result)
        events = list(self.repl.client.follow(result["execution_id"]))
        assert [event["type"] for event in events].count("done") == 1
        assert events[-1]["type"] == "done"
        assert events[-1]["context_state"] == expected
        if state != "rolled_back":
            self.found = "preserved"

    def lose(self) -> None:
        self.n, self.found = 0, "restarted"

    def count(self) -> None:
        self.n += 1
        self.check(self.repl.run(COUNT[self.dialect]), "ok", counted=self.n)

    def fail(self) -> None:
        self.n += 1
        self.check(self.repl.run(f"{COUNT[self.dialect]}\n{self.dialect.fail}"), "error", counted=self.n)

    def time_out(self) -> None:
        self.check(self.repl.run(self.dialect.loop, timeout_ms=50), "timeout")

    def die(self) -> None:
        self.check(self.repl.run(self.dialect.kill_itself), "died", "lost")
        self.lose()

    def begin_a_loop(self) -> str:
        execution = self.repl.start(self.dialect.then(self.dialect.print("'begun'"), self.dialect.loop))
        self.repl.client.wait_for_output(execution, "begun")
        return execution

    def interrupt(self) -> None:
        execution = self.begin_a_loop()
        self.repl.client.interrupt(execution)
        self.check(self.repl.client.wait(execution), "interrupted")

    def pid(self) -> int:
        result = self.repl.run(self.dialect.pid)
        self.check(result, "ok")
        return self.repl.outside(int(result.text or 0))

    def be_killed(self) -> None:
        pid = self.pid()
        execution = self.begin_a_loop()
        os.kill(pid, signal.SIGKILL)
        self.check(self.repl.client.wait(execution), "died", "lost")
        self.lose()

    def be_killed_idle(self) -> None:
        os.kill(self.pid(), signal.SIGKILL)
        wait_until(lambda: (self.repl.info or {}).get("state") == "dead", what="the death is noticed")
        self.lose()

    def restart(self) -> None:
        self.post("restart", params={"language": self.dialect.name})
        self.lose()

    def delete(self) -> None:
        self.repl.delete()
        self.n, self.found, self.kept = 0, "created", []
        self.count()

    def post(self, action: str, **options: object) -> dict[str, str]:
        response = self.repl.client.http.post(f"/contexts/{self.repl.id}/{action}", **options)  # type: ignore[arg-type]
        assert response.is_success or (action == "restart" and response.status_code == 404), (self.done, response.text)
        return dict(response.json())

    def keep(self) -> None:
        self.n += 1
        found = self.found
        result = self.repl.run(COUNT[self.dialect], checkpoint=True)
        self.check(result, "ok", counted=self.n)
        self.kept.append((result["checkpoint"], self.n - 1, found))

    def return_to(self) -> None:
        if self.kept:
            checkpoint, self.n, self.found = self._random.choice(self.kept)
            self.post("restore", json={"checkpoint": checkpoint})
            self.count()

    def fork(self) -> None:
        self.count()
        fork = Counter(self.repl.client, self.dialect, 0)
        fork.n, fork.done, fork.found = self.n, self.done, "preserved"
        self.post("fork", json={"context_id": fork.repl.id})
        fork.count()
        fork.repl.delete()

    def undo(self) -> None:
        code = f"{COUNT[self.dialect]}\n{self.dialect.fail}"
        self.check(self.repl.run(code, on_error="rollback"), "error", "rolled_back", counted=self.n + 1)

    def undo_a_timeout(self) -> None:
        code = self.dialect.then(self.dialect.set("n", -1), self.dialect.loop)
        self.check(self.repl.run(code, on_error="rollback", timeout_ms=100), "timeout", "rolled_back")

    def undo_a_death(self) -> None:
        code = f"{COUNT[self.dialect]}\n{self.dialect.kill_itself}"
        result = self.repl.run(code, on_error="rollback")
        self.check(result, "died", "rolled_back", counted=self.n + 1)


@pytest.fixture
def server() -> Iterator[Server]:
    """Without a pool: every process is of a context."""
    with Server(settings={"pool_max": "0", "max_checkpoints": str(STEPS)}) as server:
        yield server


def test_many_contexts_tell_the_truth_whatever_happens_to_them_and_leave_nothing(server: Server) -> None:
    server.zygote()
    client = server.client()
    counters = [Counter(client, PYTHON, seed) for seed in (1, 2, 3)] + [Counter(client, TYPESCRIPT, 4)]

    def work(counter: Counter) -> None:
        counter.count()
        for _ in range(STEPS if counter.dialect is PYTHON else STEPS // 3):
            counter.step()
        counter.repl.delete()

    with ThreadPoolExecutor(len(counters)) as pool:
        list(pool.map(work, counters))
    assert client.http.get("/contexts").json() == {"items": []}
    wait_until(lambda: not server.kernels(), what="no kernel and no checkpoint is left")
    wait_until(lambda: not list(server.run_dir.glob("s-*/contexts/*/*")), what="no file of theirs is left")
    wait_until(lambda: len(list(server.run_dir.glob("s-*/contexts/*"))) == server.spares(), what="nor a place for them")
    processes = [process.pid for process in psutil.Process(server.pid).children(recursive=True)]
    client.close()
    server.terminate()
    wait_until(lambda: not [pid for pid in processes if is_running(pid)], what="no process is left")
    assert list(server.run_dir.iterdir()) == []
    assert "Traceback" not in server.log_text
    assert "[error" not in server.log_text
