"""Contexts that the warm pool serves: what they get at once, what they never share, and what is left after them."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from engine.errors import TooManyBytes
from engine.kernels.channels.fake import FakeChannels
from engine.kernels.provisioners.fake import Hold, Say
from tests.harness import executions
from tests.harness.pools import hits, ready
from tests.harness.waiting import until

pytestmark = pytest.mark.anyio
run = partial(executions.run, context_id=None)  # each in a context of its own

READY = Say("stream", {"name": "stdout", "text": "ready\n"})


POOLED = {"pool_max": 2, "pool_languages": "python"}


class TestContexts:
    async def test_a_new_context_has_a_kernel_and_a_directory_at_once(self, fake_engine):
        fake = await fake_engine(**POOLED)
        await until(lambda: ready(fake.engine) == 2)
        context, is_new = fake.engine.contexts.get_or_create("c", fake.engine.check_language("python"))
        assert is_new
        assert context.kernel
        assert context.kernel.is_alive
        assert context.workspace.cwd.is_dir()
        result = await run(fake.engine, "x", context_id="c")
        assert (result.context_state, result.execution_count) == ("created", 1)
        await until(lambda: ready(fake.engine) == 2)
        assert len(fake.kernels) == 3

    async def test_contexts_taken_from_the_pool_share_no_directory_which_goes_with_them(self, fake_engine):
        fake = await fake_engine(**POOLED)
        await until(lambda: ready(fake.engine) == 2)
        contexts = [await fake.engine.create_context() for _ in range(2)]
        assert hits(fake.engine) == 2
        roots = {context.workspace.root for context in contexts}
        assert len(roots) == 2
        for context in contexts:
            await fake.engine.delete_context(context.id)
        assert not any(root.exists() for root in roots)

    async def test_a_context_with_a_directory_of_the_callers_or_of_another_language_takes_none(
        self, fake_engine, tmp_path: Path
    ):
        fake = await fake_engine(pool_max=2, pool_languages="python,typescript")
        await until(lambda: ready(fake.engine) == ready(fake.engine, "typescript") == 2)
        named = await fake.engine.create_context(cwd=str(tmp_path))
        assert named.info().cwd == str(tmp_path)
        assert hits(fake.engine) == 0
        first = await fake.engine.create_context(context_id="c")
        second = await fake.engine.create_context(context_id="c", language="ts")
        assert (hits(fake.engine), hits(fake.engine, "typescript")) == (1, 0)
        assert first.info().cwd == second.info().cwd

    async def test_an_execution_that_is_refused_leaves_no_context(self, fake_engine):
        fake = await fake_engine({"hold": [Hold()]}, total_queue_bytes=1024, **POOLED)
        await until(lambda: ready(fake.engine) == 2)
        await fake.engine.execute("hold", context_id="a")
        await fake.engine.execute("x" * 500_000, context_id="a")
        kept = len(fake.engine.contexts)
        with pytest.raises(TooManyBytes):
            await fake.engine.execute("x" * 500_000)
        assert hits(fake.engine) == 2
        assert len(fake.engine.contexts) == kept

    async def test_a_restart_keeps_the_directory(self, fake_engine):
        fake = await fake_engine(**POOLED)
        await until(lambda: ready(fake.engine) == 2)
        context = await fake.engine.create_context()
        before, kernel = context.info().cwd, context.kernel
        await context.restart()
        assert context.info().cwd == before
        assert context.kernel is not kernel
        assert hits(fake.engine) == 1

    async def test_members_are_no_contexts_and_take_no_contexts_place(self, fake_engine):
        fake = await fake_engine(max_contexts=1, **POOLED)
        await until(lambda: ready(fake.engine) == 2)
        assert len(fake.engine.contexts) == 0
        await fake.engine.create_context()
        assert len(fake.engine.contexts) == 1

    async def test_a_member_that_dies_is_replaced(self, fake_engine):
        fake = await fake_engine(**POOLED)
        await until(lambda: ready(fake.engine) == 2)
        fake.kernels[0]._on_death(-9)
        await until(lambda: len(fake.kernels) == 3 and ready(fake.engine) == 2)
        result = await run(fake.engine, "x")
        assert result.status == "ok"

    async def test_a_cell_that_ends_frees_the_core_that_a_start_waits_for(
        self, fake_engine, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("engine.kernels.stock._PATIENCE", 1e6)
        fake = await fake_engine({"loop": [READY, Hold()]}, **POOLED)
        await until(lambda: ready(fake.engine) == 2)
        fake.engine.pool._machine.cores = 1
        execution = await fake.engine.execute("loop")
        await until(lambda: fake.engine.pool._waits_for_cores)
        assert ready(fake.engine) == 1
        await fake.engine.interrupt(execution.id)
        await until(lambda: ready(fake.engine) == 2)

    async def test_a_pool_that_cannot_be_filled_leaves_the_server_ready_and_says_why(self, api):
        fake = await api({"start fails": []}, **POOLED)
        await until(lambda: fake.engine.pool.describe() != "ok")
        response = await fake.client.get("/readyz")
        assert response.status_code == 200
        assert "No such file" in response.json()["checks"]["pool"]
        text = (await fake.client.get("/metrics")).text
        assert 'polyrepl_pool_start_failures_total{language="python"}' in text
        assert not list(fake.engine.run_dir.contexts.iterdir())

    async def test_a_language_that_this_machine_lacks_is_named_with_the_reason(self, fake_engine):
        fake = await fake_engine(python="/nonexistent/python", **POOLED)
        await until(lambda: "/nonexistent/python does not run" in fake.engine.pool.describe())
        assert not fake.kernels

    async def test_the_end_of_the_engine_ends_the_members_and_nothing_is_left(self, make_fake, tmp_path: Path):
        before = asyncio.all_tasks()
        fake = make_fake(**POOLED)
        async with fake.engine:
            await until(lambda: ready(fake.engine) == 2)
        assert all(kernel._stopped for kernel in fake.kernels)
        assert repr(fake.engine.pool) == "<Pool CLOSED, [<Stock python, 0 ready>]>"
        assert fake.engine.pool.take(fake.engine.check_language("python")) is None
        assert list((tmp_path / "run").iterdir()) == []
        await until(lambda: asyncio.all_tasks() == before)

    async def test_a_start_in_flight_does_not_hold_the_end_up(self, make_fake):
        class Mute(FakeChannels):
            async def open(self) -> None:
                await asyncio.Event().wait()

        before = asyncio.all_tasks()
        fake = make_fake(channels=Mute, **POOLED)
        async with fake.engine:
            await until(lambda: fake.kernels)
            assert ready(fake.engine) == 0
        assert [kernel._stopped for kernel in fake.kernels] == [True]
        await until(lambda: asyncio.all_tasks() == before)
