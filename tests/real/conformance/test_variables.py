"""Variables through a real server and real kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.harness.client import Client, Repl
from tests.harness.dialects import Dialect


def listing(repl: Repl, status: int = 200, **params: Any) -> dict[str, Any]:
    response: httpx.Response = repl.client.http.get(f"/contexts/{repl.id}/variables", params=params)
    assert response.status_code == status, response.text
    return dict(response.json())


def names(repl: Repl, **params: Any) -> list[str]:
    return [item["name"] for item in listing(repl, **params)["items"]]


@pytest.fixture
def own(new_repl: Callable[..., Repl]) -> Repl:
    """A python context that ends with the test."""
    return new_repl("python")


def test_a_python_context_tells_its_variables(own: Repl) -> None:
    own.run(
        "import math\nnumbers = [1, 2, 3]\nclass Odd:\n    def __repr__(self): return 'odd ' * 100\nodd = Odd()\n'in Out'"
    )
    found = {item.pop("name"): item for item in listing(own)["items"]}
    assert found["math"] == {"type": "module", "kind": "module", "preview": "<module 'math'>"}
    assert (found["numbers"]["length"], found["numbers"]["preview"]) == (3, "[1, 2, 3]")
    assert (found["odd"]["type"], len(found["odd"]["preview"])) == ("__main__.Odd", 120)
    assert list(found) == ["Odd", "math", "numbers", "odd"]


def test_a_typescript_context_tells_its_variables(new_repl: Callable[..., Repl]) -> None:
    repl = new_repl("typescript")
    repl.run(
        "import * as path from 'node:path';\nconst numbers: number[] = [1, 2, 3];\n"
        "class Odd { get trap() { throw new Error('ran') }; [Symbol.for('nodejs.util.inspect.custom')]() { throw 1 } }\n"
        "const odd = new Odd(); function add(a: number, b = 2) { return a + b }"
    )
    found = {item.pop("name"): item for item in listing(repl)["items"]}
    assert (found["path"]["type"], found["path"]["kind"]) == ("Module", "module")
    assert found["numbers"] == {"type": "Array", "kind": "value", "length": 3, "preview": "[ 1, 2, 3 ]"}
    assert (found["odd"]["type"], found["odd"]["preview"]) == ("Odd", "Odd {}")
    assert found["add"] == {"type": "Function", "kind": "function", "preview": "add(a, b = 2)"}
    assert list(found) == ["Odd", "add", "numbers", "odd", "path"]


def test_pages_and_searches_go_through(fresh: Repl, dialect: Dialect) -> None:
    fresh.run("\n".join(dialect.set(f"v{n:02}", n) for n in range(30)))
    page = listing(fresh, limit=10, after="v09", match="v")
    assert (page["items"][0]["name"], len(page["items"]), page["total"], page["truncated"]) == ("v10", 10, 30, True)


def test_a_context_that_has_not_run_anything_has_none(client: Client, fresh: Repl) -> None:
    client.create(fresh.language, fresh.id)
    assert listing(fresh) == {"items": [], "total": 0, "truncated": False}


def test_they_survive_an_interrupt_and_are_gone_after_a_restart(fresh: Repl, dialect: Dialect) -> None:
    fresh.run(dialect.set("kept", 1))
    fresh.run(dialect.loop, timeout_ms=300)
    assert names(fresh) == ["kept"]
    fresh.client.http.post(f"/contexts/{fresh.id}/restart")
    assert names(fresh) == []


def test_while_a_cell_runs_on_the_context_is_busy(fresh: Repl, dialect: Dialect) -> None:
    fresh.run(dialect.set("kept", 1))
    execution = fresh.start(dialect.then(dialect.print("'begun'"), dialect.loop))
    fresh.client.wait_for_output(execution, "begun")
    response = fresh.client.http.get(f"/contexts/{fresh.id}/variables")
    assert (response.status_code, "busy" in response.json()["message"]) == (409, True)
    assert int(response.headers["retry-after"]) > 0
    fresh.client.interrupt(execution)
    fresh.client.wait(execution)
    assert names(fresh) == ["kept"]


def test_what_comes_right_after_is_answered_in_its_turn(fresh: Repl, dialect: Dialect) -> None:
    execution = fresh.start(dialect.then(dialect.half_a_second, dialect.set("late", 1)))
    assert "late" in names(fresh)
    assert fresh.client.wait(execution).status == "ok"


def test_a_repr_that_nothing_can_stop_costs_no_state(own: Repl) -> None:
    # Longer than the server waits, on any machine.
    own.run(
        "import signal, time\nclass Deaf:\n    def __repr__(self):\n"
        "        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGALRM})\n"
        "        time.sleep(8)\n        signal.pthread_sigmask(signal.SIG_SETMASK, before)\n        return 'deaf'\n"
        "deaf = Deaf(); kept = 1"
    )
    assert "could not be read" in listing(own, 409)["message"]
    result = own.run("kept", timeout_ms=120_000)
    assert (result.text, result["context_state"]) == ("1", "preserved")


def test_a_repr_that_kills_the_kernel_is_told_as_its_death(own: Repl) -> None:
    own.run(
        "import os, signal\nclass Deadly:\n    def __repr__(self): os.kill(os.getpid(), signal.SIGKILL)\ndeadly = Deadly()"
    )
    assert "died" in listing(own, 500)["message"]
    assert own.run("1")["context_state"] == "restarted"


def test_a_slow_repr_does_not_take_the_time_of_a_cell(own: Repl) -> None:
    own.run("class Slow:\n    def __repr__(self):\n        while True: pass\nslow = [Slow() for n in range(100)]")
    assert "took too long" in listing(own)["items"][1]["preview"]
    assert own.run("1 + 1", timeout_ms=5000).text == "2"


def test_variables_that_code_of_an_ended_cell_keeps_from_being_read_are_a_409(new_repl: Callable[..., Repl]) -> None:
    repl = new_repl("typescript")
    # One turn after the cell has ended, whose outcome leaves in the first.
    repl.run("setImmediate(() => setImmediate(() => { for (;;); })); 0")
    assert "could not be read" in listing(repl, 409)["message"]


def test_a_cell_tells_what_it_changed_when_asked(fresh: Repl, dialect: Dialect) -> None:
    first = fresh.run(dialect.make_list_a_and_b, variables=True)
    assert first["variables"] == {"created": ["a", "b"], "changed": [], "removed": []}
    second = fresh.run(f"{dialect.extend_a_remove_b}\n{dialect.set('c', 3)}\n{dialect.fail}", variables=True)
    assert (second.status, second["variables"]) == ("error", {"created": ["c"], "changed": ["a"], "removed": ["b"]})
    assert "variables" not in fresh.run(dialect.set("d", 1))


def test_a_cell_that_is_stopped_tells_what_it_had_changed(fresh: Repl, dialect: Dialect) -> None:
    result = fresh.run(dialect.then(dialect.set("begun", 1), dialect.loop), variables=True, timeout_ms=500)
    assert (result.status, result["variables"]["created"]) == ("timeout", ["begun"])


def test_a_cell_that_takes_the_kernel_along_tells_nothing(fresh: Repl, dialect: Dialect) -> None:
    result = fresh.run(dialect.then(dialect.set("a", 1), dialect.kill_itself), variables=True)
    assert (result.status, "variables" in result) == ("died", False)


@pytest.mark.parametrize("language", ["bash", "stock"])
def test_other_languages_say_that_they_cannot(new_repl: Callable[..., Repl], language: str) -> None:
    repl = new_repl(language)
    repl.run("1")
    assert language in listing(repl, 501)["message"]
    body = {"code": "1", "variables": True, **repl.fields}
    assert repl.client.http.post("/execute", json=body).status_code == 501
