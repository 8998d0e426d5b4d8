"""TypeScript on Bun and on Deno: the same contexts, and what is said where they cannot stop a cell."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.kernels.interpreters import runtime_problem
from tests.harness.client import Client, Repl
from tests.harness.dialects import TYPESCRIPT

LOOP_IN_A_FUNCTION = "await (async () => { await null; for (;;); })()"


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.skipif(bool(runtime_problem(name)), reason=str(runtime_problem(name))))
        for name in ("bun", "deno")
    ]
)
def repl(request: pytest.FixtureRequest, new_repl: Callable[..., Repl]) -> Repl:
    return new_repl(request.param)


def test_a_context_runs_cells_and_keeps_state(client: Client, repl: Repl) -> None:
    assert repl.run("const kept: number = 1; console.log('out'); [kept]").stdout == ["out"]
    result = repl.run("({ kept })", variables=True)
    assert (result.text, result["items"][0]["json"]) == ("{ kept: 1 }", {"kept": 1})
    listed = client.http.get(f"/contexts/{repl.id}/variables", params={"language": repl.language}).json()
    assert [item["name"] for item in listed["items"]] == ["kept"]
    languages = {each["name"]: each for each in client.http.get("/languages").json()["items"]}
    assert languages[repl.language]["available"]
    assert repl.run(f"process.versions.{repl.language}").text == f"'{languages[repl.language]['version']}'"


def test_what_waits_is_interrupted_and_keeps_its_state(repl: Repl) -> None:
    repl.run("var kept = 1")
    result = repl.run(TYPESCRIPT.wait, timeout_ms=300)
    assert (result.status, result["context_state"]) == ("timeout", "preserved")
    assert repl.run("kept").text == "1"


@pytest.mark.parametrize("code", [TYPESCRIPT.loop, LOOP_IN_A_FUNCTION])
def test_what_cannot_be_stopped_is_replaced_and_said_to_be_lost(repl: Repl, code: str) -> None:
    repl.run("var kept = 1")
    result = repl.run(code, timeout_ms=300)
    can_stop = repl.language == "bun" and code == TYPESCRIPT.loop
    assert (result.status, result["context_state"]) == ("timeout", "preserved" if can_stop else "lost")
    assert repl.run("typeof kept").text == ("'number'" if can_stop else "'undefined'")
