"""The engine: what it takes, what it refuses by field, and how an execution ends at its deadline."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import msgspec
import pytest

import engine.kernels.run
from engine.contexts.execution import Execution
from engine.core import Engine
from engine.errors import (
    ExecutionNotFound,
    InputNotExpected,
    InvalidRequest,
    PolyreplError,
    ShuttingDown,
)
from engine.kernels import Pool
from engine.kernels.provisioners.fake import Ask, Die, Hold, Misbehave, Say
from engine.models import InputRequest, Result, Stdout
from tests.harness.executions import ended, run
from tests.harness.waiting import until

pytestmark = pytest.mark.anyio

READY = Say("stream", {"name": "stdout", "text": "ready\n"})
SCRIPT = {
    "loop": [READY, Hold()],
    "stubborn": [READY, Hold(ignore_interrupts=True)],
    "mute": [READY, Misbehave(reply=False)],
    "never idle": [READY, Misbehave(idle=False)],
    "ask": [Ask("name? ")],
    "ask three": [Ask("1"), Ask("2"), Ask("3")],
}


async def fields(call: Any) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        await call
    return {wrong.field: wrong.error for wrong in caught.value.errors}


async def test_a_start_that_fails_leaves_no_run_directory(make_fake, monkeypatch: pytest.MonkeyPatch):
    def refuse(self: Pool) -> None:
        raise OSError("refused")

    fake = make_fake()
    monkeypatch.setattr(Pool, "start", refuse)
    with pytest.raises(OSError, match="refused"):
        await fake.engine.__aenter__()
    assert list(fake.engine.settings.run_dir.glob("s-*")) == []
    assert not fake.engine.is_ready
    monkeypatch.undo()
    async with fake.engine as engine:
        assert (await run(engine, "1")).status == "ok"


class TestTimeout:
    async def test_a_cell_that_yields_to_the_interrupt_keeps_its_state(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        result = await run(fake.engine, "loop", timeout=0.1)
        assert (result.status, result.context_state) == ("timeout", "created")
        assert result.error
        assert result.error.name == "TimeoutError"
        assert "100 ms" in result.error.value
        assert "the state is kept" in result.error.value
        assert "KeyboardInterrupt" in result.error.traceback
        assert result.logs.stdout == ["ready"]
        assert (await run(fake.engine, "x")).context_state == "preserved"
        assert len(fake.kernels) == 1

    @pytest.mark.parametrize("code", ["stubborn", "mute"])
    async def test_a_cell_that_does_not_yield_is_killed_and_says_that_its_state_is_lost(self, fake_engine, code: str):
        fake = await fake_engine(SCRIPT, interrupt_grace=0.1)
        result = await run(fake.engine, code, timeout=0.1)
        assert (result.status, result.context_state) == ("timeout", "lost")
        assert result.error
        assert "killed" in result.error.value
        assert result.logs.stdout == ["ready"]
        assert [(await run(fake.engine, "x")).context_state for _ in range(2)] == ["restarted", "preserved"]
        assert len(fake.kernels) == 2

    async def test_a_cell_that_the_first_signal_does_not_stop_gets_another_one_within_its_grace(
        self, fake_engine, monkeypatch: pytest.MonkeyPatch
    ):
        fake = await fake_engine(SCRIPT, interrupt_grace=0.2)
        execution = await fake.engine.execute("loop", context_id="c", timeout=0.1)
        await until(lambda: fake.kernels)
        kernel, signals = fake.kernels[0], []
        interrupt = kernel.interrupt
        monkeypatch.setattr(kernel, "interrupt", lambda: signals.append(1) or (len(signals) == 2 and interrupt()))
        result = await ended(execution)
        assert (result.status, result.context_state, len(signals)) == ("timeout", "created", 2)

    async def test_a_kernel_that_dies_of_the_interrupt_says_so(self, fake_engine, monkeypatch: pytest.MonkeyPatch):
        fake = await fake_engine(SCRIPT)
        execution = await fake.engine.execute("loop", context_id="c", timeout=0.1)
        await until(lambda: fake.kernels)
        monkeypatch.setattr(fake.kernels[0], "interrupt", lambda: fake.kernels[0]._on_death(-2))
        result = await ended(execution)
        assert (result.status, result.context_state) == ("timeout", "lost")
        assert result.error
        assert "died when interrupted" in result.error.value

    async def test_a_finished_cell_whose_kernel_never_turns_idle_ends(
        self, fake_engine, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(engine.kernels.run, "_IDLE_WAIT", 0.02)
        fake = await fake_engine(SCRIPT)
        assert (await run(fake.engine, "never idle")).status == "ok"
        assert (await run(fake.engine, "x")).status == "ok"

    async def test_the_time_spent_waiting_in_the_queue_does_not_count(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        first = await fake.engine.execute("loop", context_id="c", timeout=1.0)
        second = await fake.engine.execute("x", context_id="c", timeout=0.9)  # a busy machine needs some of it
        assert (await ended(first)).status == "timeout"
        assert (await ended(second)).status == "ok"

    async def test_the_next_call_never_sees_output_of_the_one_that_timed_out(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        first = await fake.engine.execute("loop", context_id="c", timeout=0.1)
        await ended(first)
        second = await fake.engine.execute("loop", context_id="c")
        await until(lambda: second.result().logs.stdout == ["ready"])
        fake.kernels[0].say("fake_1", "stream", {"name": "stdout", "text": "old\n"})
        await until(lambda: first.result().logs.stdout == ["ready", "old"])
        await fake.engine.interrupt(second.id)
        assert (await ended(second)).logs.stdout == ["ready"]
        assert first.result().logs.stdout == ["ready", "old"]

    async def test_without_a_timeout_the_default_applies(self, fake_engine):
        fake = await fake_engine(SCRIPT, default_timeout=0.1)
        result = await run(fake.engine, "loop")
        assert result.error
        assert "100 ms" in result.error.value

    @pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 3601])
    async def test_a_timeout_out_of_range_is_refused(self, fake_engine, timeout: float):
        fake = await fake_engine()
        error = (await fields(fake.engine.execute("x", timeout=timeout)))["timeout_ms"]
        assert "3600000" in error
        assert not fake.kernels

    async def test_the_largest_timeout_is_taken(self, fake_engine):
        fake = await fake_engine(max_timeout=50.0)
        assert (await run(fake.engine, "x", timeout=50)).status == "ok"


class TestInput:
    async def test_lines_given_with_the_request_answer_input(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        result = await run(fake.engine, "ask three", stdin=["a", "b"])
        assert result.logs.stdout == ["a", "b", "\x04"]

    async def test_a_plain_call_does_not_let_the_kernel_ask(self, fake_engine):
        fake = await fake_engine()
        await run(fake.engine, "x")
        await run(fake.engine, "x", stdin=[])
        assert [content["allow_stdin"] for content, _ in fake.kernels[0].requests] == [False, True]

    async def test_a_reader_answers_while_it_follows(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        execution = await fake.engine.execute("ask", interactive=True)
        seen = []
        async with asyncio.timeout(60), contextlib.aclosing(execution.follow()) as entries:
            async for entry in entries:
                assert entry
                seen.append(type(entry[1]))
                if isinstance(entry[1], InputRequest):
                    assert entry[1].prompt == "name? "
                    execution.provide_input("Ada")
        assert execution.result().logs.stdout == ["Ada"]
        assert InputRequest in seen

    async def test_an_input_request_that_nobody_answers_ends_at_the_deadline(self, fake_engine):
        fake = await fake_engine(SCRIPT, interrupt_grace=0.1)
        execution = await fake.engine.execute("ask", interactive=True, timeout=0.2)
        assert (await ended(execution)).status == "timeout"
        with pytest.raises(InputNotExpected):
            execution.provide_input("too late")


class TestResults:
    async def test_finished_executions_are_kept_within_their_bound(self, fake_engine):
        fake = await fake_engine(max_executions=3)
        ids = [(await run(fake.engine, str(number))).execution_id for number in range(5)]
        for execution_id in ids[:2]:
            with pytest.raises(ExecutionNotFound):
                fake.engine.executions.get(execution_id)
        assert [fake.engine.executions.get(each).status for each in ids[2:]] == ["ok"] * 3

    async def test_a_deleted_contexts_executions_are_forgotten(self, fake_engine):
        fake = await fake_engine()
        result = await run(fake.engine, "x")
        await fake.engine.delete_context("c")
        with pytest.raises(ExecutionNotFound):
            fake.engine.executions.get(result.execution_id)

    async def test_output_is_kept_within_its_limits_whatever_the_cell_prints(self, fake_engine):
        flood = [Say("stream", {"name": "stdout", "text": f"{number:06}" * 100}) for number in range(2_000)]
        fake = await fake_engine({"flood": flood}, max_stream_bytes=10_000, max_output_bytes=100_000)
        execution = await fake.engine.execute("flood", context_id="c")
        result = await ended(execution)
        assert execution.size < 150_000
        assert result.truncated
        assert result.truncated["stdout"].total_bytes == 1_200_000
        assert result.truncated["stdout"].kept_bytes == 10_000
        text = "\n".join(result.logs.stdout)
        assert text.startswith("000000")
        assert text.endswith("001999")
        assert len(msgspec.json.encode(result)) < 12_000

    async def test_json_nested_too_deep_for_an_answer_does_not_hurt_the_execution(self, fake_engine):
        script = {}
        for depth in (100, 250, 300, 500, 900, 950, 990, 1_100):
            raw = b'{"data":{"application/json":' + b"[" * depth + b"]" * depth + b"}}"
            script[str(depth)] = [Say("display_data", raw), READY]  # type: ignore[arg-type]
        fake = await fake_engine(script)
        for code in script:
            result = await run(fake.engine, code, timeout=5)
            assert result.status == "ok", code
            assert result.logs.stdout == ["ready"], code
            msgspec.json.encode(result)

    async def test_executions_are_counted_by_language_and_status(self, fake_engine):
        fake = await fake_engine({"die": [Die()]})
        await run(fake.engine, "x")
        await run(fake.engine, "die")
        text = fake.engine.metrics.render().decode()
        assert 'polyrepl_executions_total{language="python",status="ok"} 1.0' in text
        assert 'polyrepl_executions_total{language="python",status="died"} 1.0' in text
        assert 'polyrepl_kernel_deaths_total{language="python"} 1.0' in text
        assert 'polyrepl_contexts{language="python"} 1.0' in text

    async def test_an_engine_that_was_never_entered_takes_nothing(self, make_fake):
        with pytest.raises(ShuttingDown):
            await make_fake().engine.execute("x")

    async def test_many_contexts_and_calls_at_once_do_not_mix(self, fake_engine):
        fake = await fake_engine(max_contexts=20, queue_size=50)
        executions = [
            (f"{number}-{place}", await fake.engine.execute(f"{number}-{place}", context_id=f"c{number}"))
            for place in range(10)
            for number in range(20)
        ]
        for code, execution in executions:
            result = await ended(execution)
            assert [item.text for item in result.items] == [code]
        assert len(fake.kernels) == 20

    async def test_a_text_event_is_seen_before_the_end(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        execution = await fake.engine.execute("loop", context_id="c")
        async with asyncio.timeout(60), contextlib.aclosing(execution.follow()) as entries:
            async for entry in entries:
                if entry and isinstance(entry[1], Stdout):
                    break
        assert not execution.is_finished
        await fake.engine.interrupt(execution.id)
        await ended(execution)


RANDOM = {**SCRIPT, "die": [READY, Die()], "bad": [Say("error", {"ename": "E", "evalue": "v", "traceback": []})]}


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_every_execution_ends_once_and_nothing_is_left(
    make_fake, seed: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine.kernels.run, "_IDLE_WAIT", 0.02)
    before = asyncio.all_tasks()
    chance = random.Random(seed)
    fake = make_fake(RANDOM, max_contexts=3, queue_size=4, interrupt_grace=0.03, context_idle_timeout=0.08)
    executions: list[Execution] = []

    async def act(engine: Engine) -> None:
        context_id = chance.choice("abcd")
        match chance.randrange(12):
            case 0:
                for context in engine.contexts.get(context_id):
                    await context.restart()
            case 1:
                await engine.delete_context(context_id, chance.choice([None, "ts"]))
            case 2:
                await engine.create_context(context_id=context_id)
            case 3 | 4 if executions:
                await engine.interrupt(chance.choice(executions).id)
            case 5 if fake.kernels:
                fake.kernels[-1]._on_death(-9)
            case 6:
                for kernel in fake.kernels:
                    kernel.release()
            case 7:
                engine.contexts.cull()
            case _:
                code = chance.choice([*RANDOM, "x", "x"])
                language = chance.choice(["python", "python", "ts"])
                timeout = chance.choice([0.02, 0.1, 5.0 if code in ("x", "die", "bad") else 0.05])
                executions.append(await engine.execute(code, context_id=context_id, language=language, timeout=timeout))

    async def attempt(engine: Engine) -> None:
        with contextlib.suppress(PolyreplError):
            await act(engine)

    async with fake.engine as running:
        attempts = []
        async with asyncio.timeout(30):
            # How many are accepted depends on the machine's speed too.
            while len(attempts) < 150 or len(executions) <= 30:
                attempts.append(asyncio.create_task(attempt(running)))
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                if executions and chance.random() < 0.1:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(executions[-1].wait(), 0.02)
                assert len(running.contexts) <= 3
            await asyncio.gather(*attempts)
            for execution in executions[: len(executions) // 2]:
                await execution.wait()
    assert len(executions) > 30
    for execution in executions:
        assert execution.is_finished, execution
        numbers, events = zip(*execution.journal.read(0), strict=True)
        assert list(numbers) == list(range(1, len(numbers) + 1))
        assert [type(event).__name__ for event in events].count("Done") == 1
        result = msgspec.json.decode(msgspec.json.encode(execution.result()), type=Result)
        assert (result.error is not msgspec.UNSET) == (result.status != "ok")
        assert result.context_state in ("created", "preserved", "restarted", "lost", msgspec.UNSET)
    await until(lambda: asyncio.all_tasks() == before)
