"""Grace: an interrupted kernel has its seconds of a processor, however busy the machine is, but not for ever."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest

from engine.kernels import grace
from engine.kernels.run import Outcome

pytestmark = pytest.mark.anyio


class ScriptedRun:
    """Is over after so many waits; keeps how long each was."""

    def __init__(self, *, done_after: int | None = None) -> None:
        self.waits: list[float] = []
        self._done_after = done_after

    async def wait(self, timeout: float) -> Outcome:
        self.waits.append(round(timeout, 3))
        assert len(self.waits) < 1000
        return Outcome.DONE if self._done_after == len(self.waits) else Outcome.TIMEOUT


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> Any:
    def script(*looks: dict[str, float] | float) -> None:
        states = iter([look if isinstance(look, dict) else {"1": look} for look in looks])
        monkeypatch.setattr(grace, "_waits", lambda pid: next(states))

    return script


@pytest.mark.parametrize(
    ("looks", "waits"),
    [
        ((0.0, 0.0), [1.0]),  # it had a processor all the time
        ((5.0, 5.6, 5.6), [1.0, 0.6]),
        ((5.0, 5.6, 5.9, 5.9), [1.0, 0.6, 0.3]),
        (({"1": 0.0, "2": 0.0}, {"1": 0.1, "2": 0.4}, {"1": 0.1, "2": 0.4}), [1.0, 0.4]),
        (({"1": 3.0}, {}), [1.0]),  # it is gone
        (({}, {}), [1.0]),  # Linux does not tell
    ],
)
async def test_time_without_a_processor_does_not_count(waited: Any, looks: Sequence[Any], waits: list[float]):
    waited(*looks)
    run = ScriptedRun()
    assert await grace.wait_for_stop(run, 1, 1.0) is Outcome.TIMEOUT  # type: ignore[arg-type]
    assert run.waits == waits


async def test_a_kernel_that_stops_in_the_time_that_it_got_is_done(waited: Any):
    waited(0.0, 0.9)
    run = ScriptedRun(done_after=2)
    assert await grace.wait_for_stop(run, 1, 1.0) is Outcome.DONE  # type: ignore[arg-type]


async def test_a_machine_that_stays_busy_does_not_keep_a_kernel_for_ever(monkeypatch: pytest.MonkeyPatch):
    now = 0.0

    class Busy(ScriptedRun):
        async def wait(self, timeout: float) -> Outcome:
            nonlocal now
            now += timeout
            return await super().wait(timeout)

    class Clock:
        def time(self) -> float:
            return now

    monkeypatch.setattr(grace, "_waits", lambda pid: {"1": now})
    monkeypatch.setattr(grace.asyncio, "get_running_loop", Clock)
    run = Busy()
    assert await grace.wait_for_stop(run, 1, 1.0) is Outcome.TIMEOUT  # type: ignore[arg-type]
    assert sum(run.waits) == 5.0


async def test_linux_tells_of_a_process_of_ours_and_nothing_of_one_that_is_not_there():
    assert str(os.getpid()) in grace._waits(os.getpid())
    assert grace._waits(2**22 + 1) == grace._waits(None) == {}
