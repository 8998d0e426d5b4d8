"""Contexts: one per (id, language), a bounded queue each, a limit on all, and a truthful answer about their state."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from engine.contexts.registry import Context
from engine.core import Engine
from engine.errors import ContextNotFound, KernelStartFailed, QueueFull, TooManyBytes, TooManyContexts
from engine.kernels.channels.fake import FakeChannels
from engine.kernels.provisioners.fake import Die, FakeKernel, Hold, Say
from tests.harness.executions import ended, held, only, run
from tests.harness.waiting import until

pytestmark = pytest.mark.anyio

READY = Say("stream", {"name": "stdout", "text": "ready\n"})
SCRIPT = {"loop": [READY, Hold()], "stubborn": [READY, Hold(ignore_interrupts=True)], "die": [READY, Die()]}


def codes(kernel: FakeKernel) -> list[str]:
    return [content["code"] for content, _ in kernel.requests]


class TestIdentity:
    async def test_a_context_keeps_its_kernel_over_executions(self, fake_engine):
        fake = await fake_engine()
        results = [await run(fake.engine, "x") for _ in range(3)]
        assert len(fake.kernels) == 1
        assert [result.execution_count for result in results] == [1, 2, 3]
        assert [result.context_state for result in results] == ["created", "preserved", "preserved"]

    async def test_without_an_id_every_execution_has_a_context_of_its_own(self, fake_engine):
        fake = await fake_engine()
        results = [await run(fake.engine, "x", None) for _ in range(3)]
        assert len({result.context_id for result in results}) == len(fake.kernels) == 3

    async def test_one_id_holds_one_kernel_per_language_which_share_a_working_directory(self, fake_engine):
        fake = await fake_engine()
        for language in ("python", "ts", "py", "javascript"):
            await run(fake.engine, "x", language=language)
        contexts = fake.engine.contexts.get("c")
        assert [context.language.name for context in contexts] == ["python", "typescript"]
        assert len(fake.kernels) == 2
        assert len({context.info().cwd for context in contexts}) == 1

    async def test_the_working_directory_lives_as_long_as_the_last_language_of_its_id(self, fake_engine):
        fake = await fake_engine()
        await run(fake.engine, "x", language="python")
        await run(fake.engine, "x", language="typescript")
        cwd = Path(only_of(fake.engine, "python").info().cwd)
        await fake.engine.delete_context("c", "python")
        assert cwd.is_dir()
        await fake.engine.delete_context("c", "typescript")
        assert not cwd.exists()

    async def test_a_further_language_never_takes_the_working_directory_of_its_id_away(self, fake_engine):
        fake = await fake_engine(max_contexts=1)
        await run(fake.engine, "x", language="python")
        cwd = Path(only(fake.engine).info().cwd)
        (cwd / "file").write_text("made by python")
        await run(fake.engine, "x", language="typescript")
        await until(lambda: len(fake.engine.contexts) == 1 and not fake.engine.contexts._closing)
        assert (Path(only(fake.engine).info().cwd) / "file").exists()

    async def test_a_working_directory_that_a_cell_removed_is_there_again_for_the_next_kernel(self, fake_engine):
        fake = await fake_engine()
        await run(fake.engine, "x")
        workspace = only(fake.engine).workspace
        shutil.rmtree(workspace.root)
        await only(fake.engine).restart()
        assert workspace.cwd.is_dir()
        assert workspace.tmp.is_dir()

    async def test_a_context_tells_about_itself(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        execution = await held(fake.engine)
        await fake.engine.execute("x", context_id="c")
        info = only(fake.engine).info()
        assert (info.id, info.language, info.state, info.queued, info.execution_count) == ("c", "python", "busy", 1, 1)
        assert repr(only(fake.engine)) == "<Context c python busy, 1 queued>"
        await fake.engine.interrupt(execution.id)
        await ended(execution)


def only_of(engine: Engine, language: str) -> Context:
    (context,) = engine.contexts.get("c", language)
    return context


class TestQueue:
    async def test_executions_of_a_context_run_one_after_the_other_in_their_order(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        first = await held(fake.engine)
        waiting = [await fake.engine.execute(str(number), context_id="c") for number in range(5)]
        assert [execution.status for execution in waiting] == ["queued"] * 5
        fake.kernels[0].release()
        results = [await ended(execution) for execution in (first, *waiting)]
        assert codes(fake.kernels[0]) == ["loop", "0", "1", "2", "3", "4"]
        assert [result.execution_count or 0 for result in results[1:]] == [2, 3, 4, 5, 6]

    async def test_contexts_do_not_wait_for_each_other(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        await held(fake.engine, context_id="a")
        assert (await run(fake.engine, "x", "b")).status == "ok"

    async def test_a_full_queue_refuses_and_takes_again_when_there_is_room(self, fake_engine):
        fake = await fake_engine(SCRIPT, queue_size=2)
        await held(fake.engine)
        waiting = [await fake.engine.execute("x", context_id="c") for _ in range(2)]
        with pytest.raises(QueueFull) as caught:
            await fake.engine.execute("x", context_id="c")
        assert caught.value.retry_after >= 1
        assert (await run(fake.engine, "x", "another")).status == "ok"
        fake.kernels[0].release()
        for execution in waiting:
            await ended(execution)
        assert (await run(fake.engine, "x")).status == "ok"

    async def test_a_queue_refuses_what_its_bytes_have_no_room_for_and_gives_all_of_them_back(self, fake_engine):
        fake = await fake_engine(SCRIPT, queue_bytes=100_000)
        queues = fake.engine.budgets.queues
        await held(fake.engine)
        large = "x" * 40_000
        waiting = [await fake.engine.execute(large, context_id="c") for _ in range(2)]
        for more in ({"code": large}, {"code": "x", "stdin": [large]}, {"code": "x", "env_vars": {"NAME": large}}):
            with pytest.raises(
                TooManyBytes, match=r"The queue of context 'c' holds 8\d+ bytes, at most 100000"
            ) as caught:
                await fake.engine.execute(context_id="c", **more)
            assert caught.value.retry_after >= 1
        assert (await run(fake.engine, large, "another")).status == "ok"
        await fake.engine.interrupt(waiting[0].id)
        waiting[0] = await fake.engine.execute(large, context_id="c")
        fake.kernels[0].release()
        for execution in waiting:
            await ended(execution)
        share = only(fake.engine, "c").relays.share
        assert (share.held, queues.held) == (0, 0)

    @pytest.mark.parametrize("end", ["restart", "delete"])
    async def test_a_queue_that_is_cut_off_holds_nothing(self, fake_engine, end: str):
        fake = await fake_engine(SCRIPT)
        first = await held(fake.engine)
        for _ in range(3):
            await fake.engine.execute("x" * 300_000, context_id="c")
        context = only(fake.engine)
        assert context.relays.share.held > 900_000
        await (context.restart() if end == "restart" else fake.engine.delete_context("c"))
        await ended(first)
        assert (context.relays.share.held, fake.engine.budgets.queues.held) == (0, 0)

    async def test_when_all_queues_are_full_a_small_request_is_still_taken_and_a_large_one_leaves_no_context(
        self, fake_engine
    ):
        fake = await fake_engine(SCRIPT, total_queue_bytes=500_000)
        await held(fake.engine)
        await fake.engine.execute("x" * 700_000, context_id="c")
        with pytest.raises(TooManyBytes, match="All queues together hold"):
            await fake.engine.execute("x" * 400_000, context_id="new")
        assert [context.id for context in fake.engine.contexts] == ["c"]
        assert (await run(fake.engine, "1", "new")).status == "ok"

    async def test_the_kernel_of_a_new_context_starts_with_its_first_execution(self, fake_engine):
        fake = await fake_engine()
        execution = await fake.engine.execute("1", context_id="c")
        assert only(fake.engine).state == "starting"
        assert (await ended(execution)).status == "ok"
        assert len(fake.kernels) == 1

    async def test_a_burst_on_a_new_context_starts_one_kernel(self, fake_engine):
        fake = await fake_engine()
        executions = await asyncio.gather(*(fake.engine.execute(str(n), context_id="c") for n in range(10)))
        for execution in executions:
            assert (await ended(execution)).status == "ok"
        assert len(fake.kernels) == 1

    async def test_a_failed_cell_does_not_take_those_behind_it_along(self, fake_engine):
        error = {"ename": "E", "evalue": "v", "traceback": []}
        fake = await fake_engine({**SCRIPT, "bad": [Say("error", error)]})
        await held(fake.engine)
        bad, good = [await fake.engine.execute(code, context_id="c") for code in ("bad", "good")]
        fake.kernels[0].release()
        assert [(await ended(each)).status for each in (bad, good)] == ["error", "ok"]


class TestLimit:
    async def test_the_context_idle_for_longest_makes_room_for_a_new_one(self, fake_engine):
        fake = await fake_engine(max_contexts=2)
        for context_id in ("a", "b", "a", "c"):
            await run(fake.engine, "x", context_id)
        assert {context.id for context in fake.engine.contexts} == {"a", "c"}
        with pytest.raises(ContextNotFound, match="evicted"):
            fake.engine.contexts.get("b")

    async def test_an_evicted_context_comes_back_with_the_truth_about_its_state(self, fake_engine):
        fake = await fake_engine(max_contexts=1)
        await run(fake.engine, "x", "a")
        await run(fake.engine, "x", "b")
        assert (await run(fake.engine, "x", "a")).context_state == "restarted"
        assert (await run(fake.engine, "x", "a")).context_state == "preserved"

    async def test_a_busy_context_is_never_evicted(self, fake_engine):
        fake = await fake_engine(SCRIPT, max_contexts=1)
        execution = await held(fake.engine)
        with pytest.raises(TooManyContexts) as caught:
            await fake.engine.execute("x", context_id="b")
        assert caught.value.retry_after >= 1
        assert not fake.engine.contexts.has_room
        fake.kernels[0].release()
        assert (await ended(execution)).status == "ok"
        assert (await run(fake.engine, "x", "b")).status == "ok"

    async def test_a_context_whose_kernel_starts_is_never_evicted(self, make_fake):
        opened = asyncio.Event()

        class Slow(FakeChannels):
            async def open(self) -> None:
                await opened.wait()
                await super().open()

        fake = make_fake(channels=Slow, max_contexts=1)
        async with fake.engine as engine:
            making = asyncio.create_task(engine.create_context(context_id="a"))
            await until(lambda: fake.kernels)
            with pytest.raises(TooManyContexts):
                await engine.execute("x", context_id="b")
            opened.set()
            assert (await making).id == "a"

    async def test_an_evicted_kernel_is_ended(self, fake_engine):
        fake = await fake_engine(max_contexts=1)
        await run(fake.engine, "x", "a")
        kernel = only(fake.engine, "a").kernel
        await run(fake.engine, "x", "b")
        assert kernel is not None
        async with asyncio.timeout(60):
            await kernel.exited


class TestCulling:
    async def test_a_context_idle_for_too_long_is_ended_by_itself(self, fake_engine):
        fake = await fake_engine(SCRIPT, context_idle_timeout=0.05)
        execution = await held(fake.engine)
        kernel = only(fake.engine).kernel
        fake.kernels[0].release()
        await ended(execution)
        await until(lambda: not len(fake.engine.contexts))
        assert kernel is not None
        async with asyncio.timeout(60):
            await kernel.exited

    async def test_afterwards_the_answers_say_what_happened(self, fake_engine):
        fake = await fake_engine(context_idle_timeout=0.05)
        await run(fake.engine, "x")
        await until(lambda: not len(fake.engine.contexts))
        with pytest.raises(ContextNotFound, match=r"'c' not found: it was ended after 0\.05 s without activity"):
            fake.engine.contexts.get("c")
        assert (await run(fake.engine, "x")).context_state == "restarted"

    async def test_a_busy_context_is_not_culled(self, fake_engine):
        fake = await fake_engine(SCRIPT, context_idle_timeout=0.02)
        execution = await held(fake.engine)
        await run(fake.engine, "x", "idle")
        await until(lambda: len(fake.engine.contexts) == 1)
        assert only(fake.engine).current is execution
        fake.kernels[0].release()
        assert (await ended(execution)).status == "ok"

    async def test_the_working_directory_goes_with_a_culled_context(self, fake_engine):
        fake = await fake_engine(SCRIPT, context_idle_timeout=0.02)
        execution = await held(fake.engine)
        root = only(fake.engine).workspace.root
        fake.kernels[0].release()
        await ended(execution)
        await until(lambda: not root.exists())


class TestDeath:
    async def test_a_death_in_the_middle_names_itself_and_the_next_call_is_fresh_and_says_so(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        result = await run(fake.engine, "die")
        assert (result.status, result.context_state) == ("died", "lost")
        assert result.error
        assert result.error.name == "KernelDied"
        assert "SIGKILL" in result.error.value
        assert result.logs.stdout == ["ready"]
        assert [(await run(fake.engine, "x")).context_state for _ in range(2)] == ["restarted", "preserved"]
        assert len(fake.kernels) == 2

    async def test_those_behind_a_death_run_on_a_fresh_kernel(self, fake_engine):
        fake = await fake_engine({**SCRIPT, "hold and die": [READY, Hold(), Die()]})
        first = await held(fake.engine, "hold and die")
        waiting = [await fake.engine.execute("x", context_id="c") for _ in range(2)]
        fake.kernels[0].release()
        assert (await ended(first)).status == "died"
        results = [await ended(execution) for execution in waiting]
        assert [(result.status, result.context_state) for result in results] == [
            ("ok", "restarted"),
            ("ok", "preserved"),
        ]

    async def test_a_death_while_idle_is_noticed_and_the_next_call_is_fresh_and_says_so(self, fake_engine):
        fake = await fake_engine()
        await run(fake.engine, "x")
        kernel = only(fake.engine).kernel
        assert kernel is not None
        fake.kernels[0]._on_death(-11)
        async with asyncio.timeout(60):
            await asyncio.shield(kernel.exited)
        assert only(fake.engine).info().state == "dead"
        assert (await run(fake.engine, "x")).context_state == "restarted"

    async def test_a_kernel_that_does_not_start_is_an_execution_that_says_so(self, fake_engine):
        fake = await fake_engine({"start fails": []})
        result = await run(fake.engine, "x")
        assert result.status == "died"
        assert result.error
        assert result.error.name == "KernelStartFailed"
        assert only(fake.engine).is_idle
        assert (await run(fake.engine, "x")).error

    async def test_making_a_context_whose_kernel_does_not_start_is_an_error_and_leaves_no_context(self, fake_engine):
        fake = await fake_engine({"start fails": []})
        with pytest.raises(KernelStartFailed):
            await fake.engine.create_context(context_id="c")
        with pytest.raises(ContextNotFound):
            fake.engine.contexts.get("c")
