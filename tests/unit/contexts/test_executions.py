"""Executions: one cell as a resource with numbered events, a result at any moment, and one end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.contexts.answers import END_OF_INPUT
from engine.contexts.execution import Execution, Request
from engine.errors import InputNotExpected
from engine.jupyter.messages import Channel, Message
from engine.models import Done, ErrorInfo, Event, InputRequest, Started, Stdout
from engine.options import ExecuteOptions
from engine.output.buffers import OutputLimits

pytestmark = pytest.mark.anyio

LIMITS = OutputLimits(stream_bytes=100_000, item_bytes=100_000, items=100, output_bytes=1_000_000)


class FakeRun:
    """Takes the answers to input requests."""

    def __init__(self) -> None:
        self.answers: list[str] = []

    def reply_input(self, value: str) -> None:
        self.answers.append(value)


def asked(*, code: str = "x", timeout: float = 10.0, **options: Any) -> Request:
    return Request(code, timeout, ExecuteOptions(**options))


def make(**request: Any) -> Execution:
    return Execution(
        asked(**request),
        context_id="c",
        language="python",
        limits=LIMITS,
        max_events=1000,
    )


def running(**request: Any) -> tuple[Execution, FakeRun]:
    execution, run = make(**request), FakeRun()
    execution.start()
    execution.attach(run)  # type: ignore[arg-type]
    return execution, run


def say(execution: Execution, msg_type: str, **content: Any) -> None:
    execution.receive(Message(Channel.IOPUB, msg_type, "", content=content))


def printed(execution: Execution, text: str) -> None:
    say(execution, "stream", name="stdout", text=text)


def events(execution: Execution, after: int = 0) -> list[tuple[int, str]]:
    return [(number, type(event).__name__) for number, event in execution.journal.read(after)]


async def followed(execution: Execution, after: int = 0) -> list[tuple[int, Event]]:
    async with asyncio.timeout(60):
        return [entry async for entry in execution.follow(after) if entry is not None]


async def test_it_is_queued_then_running_then_ended():
    execution = make()
    assert execution.status == execution.result().status == "queued"
    assert execution.duration is None
    execution.start()
    assert execution.result().status == "running"
    assert execution.duration is not None
    execution.end("ok", context_state="preserved")
    assert execution.is_finished
    assert execution.result().status == "ok"


async def test_its_events_are_numbered_and_end_with_done():
    execution, _ = running()
    printed(execution, "a")
    say(execution, "execute_result", data={"text/plain": "2"}, execution_count=1)
    execution.end("ok", context_state="preserved")
    assert events(execution) == [(1, "Started"), (2, "Stdout"), (3, "ItemAdded"), (4, "Done")]
    done = execution.journal.read(3)[0][1]
    assert isinstance(done, Done)
    assert (done.status, done.execution_count, done.primary_index, done.context_state) == ("ok", 1, 0, "preserved")
    assert done.duration_ms == execution.result().duration_ms


async def test_its_result_can_be_seen_before_its_end():
    execution, _ = running()
    printed(execution, "so far\n")
    result = execution.result()
    assert (result.status, result.logs.stdout) == ("running", ["so far"])


async def test_only_the_first_end_counts():
    execution, _ = running()
    execution.end("timeout", context_state="lost", error=ErrorInfo("TimeoutError", "v", "t"))
    execution.end("ok", context_state="preserved")
    assert execution.result().status == "timeout"
    assert events(execution) == [(1, "Started"), (2, "Failed"), (3, "Done")]


async def test_an_execution_that_ends_in_the_queue_never_started():
    execution = make()
    execution.end("interrupted", context_state=None, error=ErrorInfo("KeyboardInterrupt", "", ""))
    assert [kind for _, kind in events(execution)] == ["Failed", "Done"]
    assert execution.duration is None


async def test_what_it_runs_is_forgotten_at_the_end():
    execution, _ = running(code="secret", env_vars={"TOKEN": "secret"})
    execution.end("ok", context_state="preserved")
    assert execution.request is None


async def test_a_reader_follows_from_any_number_to_the_end():
    execution, _ = running()
    readers = [asyncio.create_task(followed(execution, after)) for after in (0, 1, 2, 3, 9)]
    await asyncio.sleep(0)
    printed(execution, "a")
    await asyncio.sleep(0)
    execution.end("ok", context_state="preserved")
    numbers = [[number for number, _ in await reader] for reader in readers]
    assert numbers == [[1, 2, 3], [2, 3], [3], [], []]


async def test_a_reader_that_comes_late_gets_everything():
    execution, _ = running()
    printed(execution, "a")
    execution.end("ok", context_state="preserved")
    assert [type(event) for _, event in await followed(execution)] == [Started, Stdout, Done]


async def test_a_reader_is_told_of_silence():
    execution, _ = running()
    entries = []
    async with asyncio.timeout(60):
        async for entry in execution.follow(1, ping=0.01):
            entries.append(entry)
            if len(entries) == 2:
                execution.end("ok", context_state="preserved")
    assert entries[:2] == [None, None]
    assert entries[-1] is not None


async def test_a_reader_that_leaves_is_forgotten():
    execution, _ = running()
    reader = execution.follow()
    await anext(reader)
    await reader.aclose()
    assert not execution.journal._wakers


async def test_waiting_returns_at_the_end_for_everybody_who_waits():
    execution, _ = running()
    waiting = [asyncio.create_task(execution.wait()) for _ in range(3)]
    gone = asyncio.create_task(execution.wait())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    execution.end("ok", context_state="preserved")
    async with asyncio.timeout(60):
        await asyncio.gather(*waiting, execution.wait())


async def test_lines_given_beforehand_answer_input_then_comes_the_end_of_input():
    execution, run = running(stdin=("a", "b"))
    for _ in range(3):
        say(execution, "input_request", prompt="?")
    assert run.answers == ["a", "b", END_OF_INPUT]
    assert [kind for _, kind in events(execution)] == ["Started"]


async def test_an_interactive_reader_is_asked_and_can_answer_once():
    execution, run = running(interactive=True)
    say(execution, "input_request", prompt="name? ")
    assert isinstance(execution.journal.read(1)[0][1], InputRequest)
    execution.provide_input("Ada")
    assert run.answers == ["Ada"]
    with pytest.raises(InputNotExpected):
        execution.provide_input("again")


async def test_after_lines_given_beforehand_a_reader_is_not_asked_either():
    execution, run = running(interactive=True, stdin=("first",))
    say(execution, "input_request", prompt="1")
    say(execution, "input_request", prompt="2")
    assert run.answers == ["first", END_OF_INPUT]
    assert [kind for _, kind in events(execution)] == ["Started"]


async def test_input_is_not_expected_before_the_start_or_after_the_end():
    execution = make(interactive=True)
    with pytest.raises(InputNotExpected, match="queued"):
        execution.provide_input("x")
    execution, _ = running(interactive=True)
    say(execution, "input_request", prompt="?")
    execution.end("timeout", context_state="lost")
    with pytest.raises(InputNotExpected, match="timeout"):
        execution.provide_input("x")


@pytest.mark.parametrize(
    ("given", "allowed"), [({}, False), ({"stdin": ()}, True), ({"stdin": ("a",)}, True), ({"interactive": True}, True)]
)
async def test_a_cell_may_ask_only_where_somebody_can_answer(given: dict[str, Any], allowed: bool):
    assert ExecuteOptions(**given).allow_stdin is allowed


async def test_late_output_is_added_to_the_result_and_done_stays_the_last_event():
    execution, _ = running()
    printed(execution, "in time\n")
    execution.end("ok", context_state="preserved")
    printed(execution, "late\n")
    say(execution, "display_data", data={"text/plain": "late item"})
    result = execution.result()
    assert result.logs.stdout == ["in time", "late"]
    assert [item.text for item in result.items] == ["late item"]
    assert [kind for _, kind in events(execution)] == ["Started", "Stdout", "Done"]


async def test_a_reader_that_is_slow_sees_done_last_whatever_comes_before_it_reads():
    execution, _ = running()
    reader = execution.follow()
    assert isinstance((await anext(reader) or (0, None))[1], Started)
    printed(execution, "in time\n")
    execution.end("interrupted", context_state="lost")
    printed(execution, "late\n")
    seen = [entry[1] async for entry in reader if entry]
    assert [type(event) for event in seen] == [Stdout, Done]


async def test_a_late_error_does_not_change_how_it_ended():
    execution, _ = running()
    execution.end("ok", context_state="preserved")
    before = execution.result()
    say(execution, "error", ename="E", evalue="v", traceback=["late trouble"])
    say(execution, "execute_reply", status="error", ename="E", evalue="v", traceback=[])
    after = execution.result()
    assert (after.status, after.error) == (before.status, before.error)


@pytest.mark.parametrize("traceback", [["a", "b"], "text", 5, None, {"a": 1}])
async def test_any_late_message_is_taken(traceback: Any):
    execution, _ = running()
    execution.end("ok", context_state="preserved")
    say(execution, "error", ename="E", evalue="v", traceback=traceback)
    say(execution, "input_request", prompt="?")
    say(execution, "clear_output", wait=False)
    assert execution.result().status == "ok"


async def test_the_error_of_a_deadline_replaces_the_interrupt_that_it_caused():
    execution, _ = running()
    execution.deadline_passed = True
    say(execution, "error", ename="KeyboardInterrupt", evalue="", traceback=["KeyboardInterrupt"])
    execution.end("timeout", context_state="preserved", error=ErrorInfo("TimeoutError", "v", "t"))
    assert [kind for _, kind in events(execution)] == ["Started", "Failed", "Done"]
    assert execution.result().error == ErrorInfo("TimeoutError", "v", "t")


async def test_it_shows_its_state():
    execution, _ = running()
    assert repr(execution) == f"<Execution {execution.id} running, 1 events>"
