"""Retention: finished executions within bounds, and what all of them hold, weighed as it grows."""

from __future__ import annotations

from typing import Any

import pytest

from engine.contexts.execution import Execution, Request
from engine.contexts.executions import Executions
from engine.contexts.keys import Keys
from engine.errors import ExecutionNotFound, ResultGone
from engine.jupyter.messages import Channel, Message
from engine.options import ExecuteOptions
from engine.output.buffers import OutputLimits

pytestmark = pytest.mark.anyio

LIMITS = OutputLimits(stream_bytes=100_000, item_bytes=100_000, items=100, output_bytes=1_000_000)


def make(listener: Any = None, **options: Any) -> Execution:
    return Execution(
        Request("x", 10.0, ExecuteOptions(**options)),
        context_id="c",
        language="python",
        limits=LIMITS,
        max_events=1000,
        listener=listener,
    )


def say(execution: Execution, msg_type: str, **content: Any) -> None:
    execution.receive(Message(Channel.IOPUB, msg_type, "", content=content))


def printed(execution: Execution, text: str) -> None:
    say(execution, "stream", name="stdout", text=text)


def retention(*, max_finished: int = 100, retained_bytes: int = 10**9, total_bytes: int = 10**9) -> Executions:
    return Executions(
        max_finished=max_finished,
        retained_bytes=retained_bytes,
        total_bytes=total_bytes,
        keys=Keys(max_ended=10, seconds=1000),
    )


class Ledger:
    """Keeps executions as the engine does."""

    def __init__(self, executions: Executions) -> None:
        self.executions = executions

    def execution_grew(self, execution: Execution) -> None:
        self.executions.note_grown(execution)

    def execution_ended(self, execution: Execution) -> None:
        self.executions.note_finished(execution)

    def running(self) -> Execution:
        execution = make(self)
        self.executions.add(execution)
        execution.start()
        return execution

    def finished(self) -> Execution:
        execution = self.running()
        execution.end("ok", context_state="preserved")
        return execution


async def test_output_that_comes_after_the_end_is_weighed_as_it_comes():
    ledger = Ledger(retention(retained_bytes=400_000))
    quiet, *noisy = [ledger.finished() for _ in range(8)]
    for execution in noisy:
        for _ in range(20):
            printed(execution, "x" * 10_000)
            assert ledger.executions.size <= 400_000 + execution.size
    with pytest.raises(ExecutionNotFound):
        ledger.executions.get(quiet.id)
    assert ledger.executions.get(noisy[-1].id) is noisy[-1]
    assert ledger.executions.size == sum(each.size for each in noisy if each.id in ledger.executions._by_id)


async def test_late_output_has_the_limits_of_its_execution():
    execution = Ledger(retention()).finished()
    for _ in range(50):
        printed(execution, "x" * 10_000)
        say(execution, "display_data", data={"text/plain": "y" * 10_000}, metadata={})
    assert execution.size <= 2 * LIMITS.output_bytes
    cut = execution.result().truncated
    assert cut["stdout"].total_bytes == 500_000


async def test_above_the_total_what_runs_and_grows_keeps_nothing_more_and_says_what_is_missing():
    ledger = Ledger(retention(total_bytes=1_500_000))
    first, second = ledger.running(), ledger.running()
    for execution in (first, second):
        for _ in range(90):
            say(execution, "display_data", data={"text/plain": "y" * 10_000}, metadata={})
    most = ledger.executions.size
    for _ in range(90):
        say(second, "display_data", data={"text/plain": "y" * 10_000}, metadata={})
        printed(second, "x" * 10_000)
    assert ledger.executions.size - most < 100_000
    second.end("ok", context_state="preserved")
    result = second.result()
    assert result.truncated["items"].total == 180
    assert result.truncated["stdout"].total_bytes == 900_000
    assert [each.status for each in (first, second)] == ["running", "ok"]


async def test_above_the_total_each_execution_still_keeps_a_little():
    ledger = Ledger(retention(total_bytes=1_000_000))
    large, small = ledger.running(), ledger.running()
    for _ in range(90):
        say(large, "display_data", data={"text/plain": "y" * 10_000}, metadata={})
    printed(small, "hello")
    small.end("ok", context_state="preserved")
    assert small.stdout == "hello"
    assert not small.was_truncated


async def test_the_lines_for_input_go_with_the_end():
    execution = make(stdin=["x" * 1000] * 3)
    execution.end("ok", context_state="preserved")
    assert not execution._answers


async def test_an_unknown_id_is_not_found():
    with pytest.raises(ExecutionNotFound, match="nope"):
        retention(max_finished=1, retained_bytes=1).get("nope")


async def test_the_oldest_finished_ones_go_and_running_ones_stay():
    executions = retention(max_finished=2)
    active, *finished = [make() for _ in range(5)]
    executions.add(active)
    for execution in finished:
        executions.add(execution)
        execution.end("ok", context_state="preserved")
        executions.note_finished(execution)
    assert len(executions) == 3
    assert executions.get(active.id) is active
    for execution in finished[:2]:
        with pytest.raises(ExecutionNotFound):
            executions.get(execution.id)
    for execution in finished[2:]:
        assert executions.get(execution.id) is execution


async def test_finished_ones_are_kept_within_a_number_of_bytes_but_the_last_always():
    executions = retention(max_finished=100, retained_bytes=50_000)
    made = []
    for _ in range(5):
        execution = make()
        execution.start()
        executions.add(execution)
        printed(execution, "x" * 15_000)
        execution.end("ok", context_state="preserved")
        executions.note_finished(execution)
        made.append(execution)
    assert 1 <= len(executions) < 5
    assert executions.get(made[-1].id) is made[-1]


async def test_the_finished_ones_of_an_ended_context_are_forgotten():
    executions = retention(max_finished=10)
    execution = make()
    executions.add(execution, key="k", fingerprint=b"a")
    execution.end("ok", context_state="preserved")
    executions.note_finished(execution)
    executions.forget_context("another")
    executions.forget_context("c", "typescript")
    assert len(executions) == 1
    executions.forget_context("c")
    assert len(executions) == 0
    with pytest.raises(ResultGone):
        executions.find_key("k", b"a")
