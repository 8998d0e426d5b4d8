"""Interrupts, restarts and the end of contexts, over scripted kernels."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import ContextNotFound, PolyreplError, ShuttingDown
from engine.kernels.channels.fake import FakeChannels
from engine.kernels.provisioners.fake import Say
from tests.harness.executions import ended, held, only, run
from tests.harness.waiting import until
from tests.unit.contexts.test_contexts import SCRIPT, codes

pytestmark = pytest.mark.anyio


class TestInterrupt:
    async def test_an_interrupt_stops_the_running_execution_and_keeps_the_state(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        execution = await held(fake.engine)
        await fake.engine.interrupt(execution.id)
        result = await ended(execution)
        assert (result.status, result.context_state) == ("interrupted", "created")
        assert result.error
        assert result.error.name == "KeyboardInterrupt"
        assert (await run(fake.engine, "x")).context_state == "preserved"
        assert len(fake.kernels) == 1

    async def test_an_interrupt_of_a_waiting_execution_ends_it_and_nothing_else(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        first = await held(fake.engine)
        second, third = [await fake.engine.execute(code, context_id="c") for code in ("2", "3")]
        await fake.engine.interrupt(second.id)
        assert second.status == "interrupted"
        assert first.status == "running"
        fake.kernels[0].release()
        assert (await ended(third)).status == "ok"
        assert codes(fake.kernels[0]) == ["loop", "3"]

    async def test_an_interrupt_while_the_kernel_starts_ends_the_execution(self, make_fake):
        opened = asyncio.Event()

        class Slow(FakeChannels):
            async def open(self) -> None:
                await opened.wait()
                await super().open()

        fake = make_fake(channels=Slow)
        async with fake.engine as engine:
            execution = await engine.execute("x", context_id="c")
            await until(lambda: fake.kernels)
            await engine.interrupt(execution.id)
            assert execution.status == "interrupted"
            opened.set()
            assert (await run(engine, "y")).status == "ok"
            assert codes(fake.kernels[0]) == ["y"]

    async def test_an_interrupt_while_the_request_is_on_its_way_is_not_lost(self, make_fake):
        opened = asyncio.Event()

        class Slow(FakeChannels):
            async def open_stdin(self) -> None:
                await opened.wait()

        fake = make_fake(SCRIPT, channels=Slow)
        async with fake.engine as engine:
            execution = await engine.execute("loop", context_id="c", stdin=[], timeout=20)
            await until(lambda: execution.status == "running")
            await engine.interrupt(execution.id)
            opened.set()
            assert (await ended(execution)).status == "interrupted"

    async def test_an_interrupt_of_a_finished_execution_changes_nothing(self, fake_engine):
        fake = await fake_engine()
        execution = await fake.engine.execute("x", context_id="c")
        await ended(execution)
        assert (await fake.engine.interrupt(execution.id)).status == "ok"
        assert (await run(fake.engine, "x")).status == "ok"

    async def test_an_error_that_nobody_asked_for_is_no_interrupt(self, fake_engine):
        error = {"ename": "KeyboardInterrupt", "evalue": "", "traceback": []}
        fake = await fake_engine({"raise": [Say("error", error)]})
        assert (await run(fake.engine, "raise")).status == "error"


class TestRestart:
    async def test_a_restart_gives_a_fresh_kernel_and_the_next_call_says_so(self, fake_engine):
        fake = await fake_engine()
        await run(fake.engine, "x")
        await only(fake.engine).restart()
        assert len(fake.kernels) == 2
        assert [(await run(fake.engine, "x")).context_state for _ in range(2)] == ["restarted", "preserved"]

    async def test_a_restart_ends_what_runs_and_what_waits(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        first = await held(fake.engine, "stubborn")
        second = await fake.engine.execute("x", context_id="c")
        await only(fake.engine).restart()
        for execution in (first, second):
            result = await ended(execution)
            assert (result.status, result.context_state) == ("interrupted", "lost")
            assert result.error
            assert result.error.name == "ContextRestarted"

    @pytest.mark.parametrize("before", [None, "x", "loop", "stubborn"])
    async def test_an_execution_that_comes_during_a_restart_runs_on_the_fresh_kernel(self, fake_engine, before):
        fake = await fake_engine(SCRIPT)
        if before in ("loop", "stubborn"):
            await held(fake.engine, before)
        else:
            await run(fake.engine, before or "x")
        restart = asyncio.create_task(only(fake.engine).restart())
        results = []
        for _ in range(4):
            results.append(await fake.engine.execute("y", context_id="c"))
            await asyncio.sleep(0)
        await restart
        states = [(await ended(execution)).context_state for execution in results if execution.status != "interrupted"]
        assert states[:1] in ([], ["restarted"])
        assert set(states[1:]) <= {"preserved"}
        assert {(await ended(execution)).status for execution in results} <= {"ok", "interrupted"}
        assert (await run(fake.engine, "z")).status == "ok"
        assert codes(fake.kernels[0]).count("y") == 0

    async def test_a_context_that_is_deleted_while_it_restarts_leaves_no_kernel(self, fake_engine):
        fake = await fake_engine()
        await run(fake.engine, "x")
        context = only(fake.engine)
        restart = asyncio.create_task(context.restart())
        await asyncio.sleep(0)
        await fake.engine.delete_context("c")
        await asyncio.wait({restart}, timeout=60)
        assert isinstance(restart.exception(), PolyreplError | None)
        await until(lambda: all(kernel._task is None or kernel._task.done() for kernel in fake.kernels))


class TestEnd:
    async def test_deleting_ends_what_runs_and_what_waits_at_once(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        first = await held(fake.engine, "stubborn")
        second = await fake.engine.execute("x", context_id="c")
        root = only(fake.engine).workspace.root
        await fake.engine.delete_context("c")
        for execution in (first, second):
            result = await ended(execution)
            assert result.status == "interrupted"
            assert result.error
            assert "deleted" in result.error.value
        assert not root.exists()
        with pytest.raises(ContextNotFound, match="was deleted"):
            fake.engine.contexts.get("c")

    async def test_a_deleted_context_made_anew_has_lost_nothing(self, fake_engine):
        fake = await fake_engine()
        await run(fake.engine, "x")
        await fake.engine.delete_context("c")
        assert (await run(fake.engine, "x")).context_state == "created"

    async def test_deleting_one_language_leaves_the_other(self, fake_engine):
        fake = await fake_engine()
        await run(fake.engine, "x", language="python")
        await run(fake.engine, "x", language="typescript")
        await fake.engine.delete_context("c", "ts")
        assert [context.language.name for context in fake.engine.contexts.get("c")] == ["python"]

    async def test_an_unknown_context_cannot_be_deleted(self, fake_engine):
        fake = await fake_engine()
        with pytest.raises(ContextNotFound, match=r"'nope' not found$"):
            await fake.engine.delete_context("nope")

    async def test_shutdown_ends_everything_and_refuses_what_comes(self, make_fake):
        fake = make_fake(SCRIPT)
        async with fake.engine as engine:
            running = await held(engine, "stubborn", "a")
            waiting = await engine.execute("x", context_id="a")
            await run(engine, "x", "b")
            kernels = [context.kernel for context in engine.contexts]
            assert engine.run_dir is not None
            path = engine.run_dir.path
        for execution in (running, waiting):
            assert (await ended(execution)).status == "interrupted"
        assert all(kernel is not None and kernel.exited.done() for kernel in kernels)
        assert len(engine.contexts) == 0
        assert not path.exists()
        assert not engine.is_ready
        with pytest.raises(ShuttingDown):
            await engine.execute("x")
        await engine.aclose()

    async def test_nothing_runs_on_after_shutdown(self, make_fake):
        fake = make_fake(SCRIPT)
        before = asyncio.all_tasks()
        async with fake.engine as engine:
            await held(engine, "stubborn", "a")
            await engine.execute("x", context_id="a")
            await run(engine, "x", "b")
        await until(lambda: asyncio.all_tasks() == before)
