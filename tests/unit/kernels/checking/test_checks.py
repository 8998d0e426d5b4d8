"""Checks in the words of a scripted process: turns, deadlines, and what becomes of a process that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec

from engine.kernels import types_of
from engine.kernels.checking import Checked, Checks, checks
from engine.kernels.checking.process import CheckerFailed
from engine.models import Diagnostic
from engine.resources import kernelspecs_dir
from engine.settings import Settings
from engine.workspaces import RunDir, Workspace
from tests.harness.waiting import until

pytestmark = pytest.mark.anyio

FOUND = {"line": 1, "column": 1, "end_line": 1, "end_column": 2, "code": 2307, "severity": "error", "message": "m"}


class Kernel:
    """What a check needs of one."""

    def __init__(self, name: str = "polyrepl-typescript", **ours: Any) -> None:
        metadata = {"polyrepl": {"types": "node", **ours}}
        self.types = types_of(KernelSpec(resource_dir=str(kernelspecs_dir() / name), metadata=metadata))


class Process:
    """Answers with what its script says for the last cell; `hang`: never."""

    made: list[Process]
    fails = False

    def __init__(self, *_: object) -> None:
        self.is_alive = False
        self.pid = 1
        self.asked: list[dict[str, Any]] = []
        self.made.append(self)

    async def start(self) -> None:
        if self.fails:
            raise CheckerFailed("there is none")
        self.is_alive = True

    async def ask(self, request: dict[str, Any], files: object) -> dict[str, Any]:
        self.asked.append(request)
        match request["cells"][-1]:
            case "hang":
                await asyncio.Event().wait()
            case "die":
                self.is_alive = False
                raise CheckerFailed("it has ended")
            case "late":
                return {"late": True}
            case "fault":
                raise RuntimeError("nobody expects this")
            case "nonsense":
                return {"diagnostics": [{"line": "x"}]}
        return {"diagnostics": [FOUND]}

    async def aclose(self) -> None:
        self.is_alive = False


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    class Scripted(Process):
        made: list[Process] = []  # noqa: RUF012 - of this test

    monkeypatch.setattr(checks, "CheckerProcess", Scripted)
    return Scripted.made


@pytest.fixture
async def all_checks(run_dir: RunDir, processes: list[Process]) -> AsyncIterator[Checks]:
    made = Checks(Settings(check_timeout=0.3, check_idle_timeout=30.0), [], run_dir)
    yield made
    await made.aclose()
    assert not any(each.is_alive for each in processes)


@pytest.fixture
def workspace(run_dir: RunDir) -> Workspace:
    return run_dir.new_workspace("c")


async def test_a_check_is_asked_with_the_cells_before_it(
    all_checks: Checks, processes: list[Process], workspace: Workspace
):
    kernel, other = Kernel(), Kernel()
    for code in ("one", "two"):
        all_checks.note(kernel, code)  # type: ignore[arg-type]
    all_checks.note(other, "of another")  # type: ignore[arg-type]
    checked = await all_checks.begin(kernel, "three", workspace)  # type: ignore[arg-type]
    assert checked == Checked([Diagnostic(**FOUND)])  # type: ignore[arg-type]
    (process,) = processes
    (request,) = process.asked
    assert (request["cells"], request["partial"], request["runtime"]) == (["one", "two", "three"], False, "node")
    assert 0 < request["seconds"] <= 0.3


async def test_one_process_serves_all(all_checks: Checks, processes: list[Process], workspace: Workspace):
    await asyncio.gather(*(all_checks.begin(Kernel(), "x", workspace) for _ in range(5)))  # type: ignore[arg-type]
    assert [len(each.asked) for each in processes] == [5]


async def test_other_kernels_are_not_checked(all_checks: Checks, processes: list[Process], workspace: Workspace):
    for kernel in (Kernel(types=None), Kernel(types="ruby"), Kernel("../elsewhere/spec")):
        all_checks.note(kernel, "x")  # type: ignore[arg-type]
        checked = await all_checks.begin(kernel, "x", workspace)  # type: ignore[arg-type]
        assert checked == Checked(reason="Only cells of our TypeScript kernels are checked.")
    assert processes == []


async def test_a_process_that_hangs_is_late_then_killed_and_its_kernel_has_to_wait(
    all_checks: Checks, processes: list[Process], workspace: Workspace
):
    kernel = Kernel()
    late = Checked(reason="The type check took longer than 0.3 s, the setting check_timeout.")
    assert await all_checks.begin(kernel, "hang", workspace) == late  # type: ignore[arg-type]
    await until(lambda: not processes[0].is_alive)
    again = await all_checks.begin(kernel, "x", workspace)  # type: ignore[arg-type]
    assert again.reason == "A cell of this context has stopped the type checker. Try again in a minute."
    assert (await all_checks.begin(Kernel(), "x", workspace)).diagnostics  # type: ignore[arg-type]
    assert len(processes) == 2


async def test_those_behind_one_that_hangs_are_late_and_no_more(
    all_checks: Checks, processes: list[Process], workspace: Workspace
):
    first = all_checks.begin(Kernel(), "hang", workspace)  # type: ignore[arg-type]
    second = all_checks.begin(Kernel(), "x", workspace)  # type: ignore[arg-type]
    reasons = [each.reason for each in await asyncio.gather(first, second)]
    assert reasons == ["The type check took longer than 0.3 s, the setting check_timeout."] * 2


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("die", "The type checker failed: it has ended."),
        ("late", "The type check took longer than 0.3 s, the setting check_timeout."),
        ("nonsense", "The type checker failed on this code."),
        ("fault", "The type checker failed on this code."),
    ],
)
async def test_what_is_no_answer_is_a_reason(all_checks: Checks, workspace: Workspace, code: str, reason: str):
    assert (await all_checks.begin(Kernel(), code, workspace)).reason == reason  # type: ignore[arg-type]
    assert (await all_checks.begin(Kernel(), "x", workspace)).diagnostics  # type: ignore[arg-type]


async def test_one_that_does_not_start_is_a_reason(
    all_checks: Checks, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Process, "fails", True)
    assert (await all_checks.begin(Kernel(), "x", workspace)).reason == "The type checker failed: there is none."  # type: ignore[arg-type]
    monkeypatch.setattr(Process, "fails", False)
    assert (await all_checks.begin(Kernel(), "x", workspace)).diagnostics  # type: ignore[arg-type]


async def test_it_ends_when_nobody_asks(run_dir: RunDir, processes: list[Process], workspace: Workspace):
    made = Checks(Settings(check_timeout=5.0, check_idle_timeout=0.01), [], run_dir)
    for number in (1, 2):
        await made.begin(Kernel(), "x", workspace)  # type: ignore[arg-type]
        await until(lambda: not processes[-1].is_alive)
        assert len(processes) == number
    await made.aclose()


async def test_nothing_is_begun_after_the_end(all_checks: Checks, processes: list[Process], workspace: Workspace):
    await all_checks.aclose()
    assert (await all_checks.begin(Kernel(), "x", workspace)).reason == "The server is shutting down."  # type: ignore[arg-type]
    assert processes == []


def test_a_cell_that_has_run_has_found_its_modules():
    checked = Checked([Diagnostic(**FOUND)])  # type: ignore[arg-type]
    assert checked.of_run(is_ok=True) == Checked([])
    assert checked.of_run(is_ok=False) is checked
    late = Checked(reason="late")
    assert late.of_run(is_ok=True) is late
