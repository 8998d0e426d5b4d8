"""What is said of a state: that it is new, kept or lost. A loss is said by the first answer that follows, and nothing copies it before."""

from __future__ import annotations

import pytest

from engine.core import Engine
from engine.errors import ContextNotFound, KernelStartFailed, StateLost
from engine.kernels.local import Local
from tests.harness.executions import only, run
from tests.unit.contexts.test_branches import never_comes
from tests.unit.contexts.world import fake_of

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("adopted")]


async def state(engine: Engine, code: str = "x", context_id: str = "c", **options: object) -> str | None:
    return (await run(engine, code, context_id, **options)).context_state


async def die(engine: Engine, context_id: str = "c") -> None:
    """The kernel of a context is killed between two cells."""
    kernel = engine.contexts.get(context_id)[0].kernel
    fake_of(kernel)._on_death(-9)
    assert kernel is not None
    await kernel.exited


class TestCreated:
    async def test_the_first_cell_of_a_context_says_created_however_it_was_made(self, engine):
        engine = await engine()
        assert [await state(engine) for _ in range(2)] == ["created", "preserved"]
        await engine.create_context(context_id="made")
        assert [await state(engine, context_id="made") for _ in range(2)] == ["created", "preserved"]

    async def test_a_cell_that_was_not_run_leaves_it_to_the_next(self, engine):
        engine = await engine()
        await engine.create_context(context_id="c")
        assert await state(engine, "fail", on_error="rollback") == "rolled_back"
        assert await state(engine) == "created"

    async def test_a_new_kernel_that_dies_unused_has_lost_nothing(self, engine):
        engine = await engine()
        await engine.create_context(context_id="c")
        await die(engine)
        assert await state(engine) == "created"

    async def test_a_copy_of_a_new_context_is_new(self, engine):
        engine = await engine()
        await engine.create_context(context_id="c")
        await engine.branching.fork("c", new_id="copy")
        kept = await engine.branching.keep("c")
        assert await state(engine, context_id="copy") == "created"
        assert await state(engine) == "created"
        await engine.branching.restore("c", kept.checkpoint)
        assert await state(engine) == "created"

    async def test_code_that_prepares_a_context_leaves_what_is_to_be_said(self, engine):
        engine = await engine()
        await run(engine, "x", prepares=True)
        assert await state(engine) == "created"
        await die(engine)
        await run(engine, "x", prepares=True)
        assert await state(engine) == "restarted"


class TestLost:
    async def test_a_death_between_cells_is_said_by_the_next_answer_with_its_reason(self, engine):
        engine = await engine()
        await run(engine)
        await die(engine)
        execution = await engine.execute("x", context_id="c")
        await execution.wait()
        assert execution.context_state == "restarted"
        assert "its kernel died (killed by SIGKILL)" in execution.notice
        assert await state(engine) == "preserved"

    async def test_an_answer_that_is_rolled_back_leaves_the_loss_to_the_next(self, engine):
        engine = await engine()
        await run(engine)
        await die(engine)
        assert await state(engine, "fail", on_error="rollback") == "rolled_back"
        with pytest.raises(StateLost):
            await engine.branching.fork("c")
        assert [await state(engine) for _ in range(2)] == ["restarted", "preserved"]

    async def test_a_lost_state_is_not_copied_until_an_answer_has_said_so(self, engine):
        engine = await engine()
        await run(engine)
        await die(engine)
        for copy in (engine.branching.fork, engine.branching.keep):
            with pytest.raises(
                StateLost, match=r"'c' is lost and cannot be copied: its kernel died \(killed by SIGKILL\)"
            ):
                await copy("c")
        assert [context.id for context in engine.contexts] == ["c"]
        assert len(only(engine).checkpoints) == 0
        assert await state(engine) == "restarted"
        await engine.branching.fork("c", new_id="copy")
        assert await state(engine, context_id="copy") == "preserved"

    async def test_a_new_kernel_that_is_there_already_does_not_hide_the_loss(self, engine):
        engine = await engine()
        await run(engine)
        await die(engine)
        await engine.create_context(context_id="c")
        await die(engine)
        await engine.create_context(context_id="c")
        with pytest.raises(StateLost):
            await engine.branching.keep("c")
        assert await state(engine) == "restarted"

    async def test_whoever_restarts_a_context_knows_and_may_copy_it(self, engine):
        engine = await engine()
        await run(engine)
        await die(engine)
        await only(engine).restart()
        await engine.branching.fork("c", new_id="copy")
        assert [await state(engine, context_id=each) for each in ("c", "copy")] == ["restarted", "restarted"]

    async def test_a_cell_that_loses_the_state_says_it_and_the_next_says_restarted(self, engine):
        engine = await engine()
        assert await state(engine, "die") == "lost"
        await engine.branching.fork("c", new_id="copy")
        assert [await state(engine) for _ in range(2)] == ["restarted", "preserved"]

    async def test_a_checkpoint_that_a_cell_kept_of_a_lost_state_says_so_when_it_is_restored(self, engine):
        engine = await engine()
        await run(engine)
        await die(engine)
        kept = (await run(engine, "x", checkpoint=True)).checkpoint
        await run(engine)
        await engine.branching.restore("c", kept)
        assert [await state(engine) for _ in range(2)] == ["restarted", "preserved"]

    async def test_a_checkpoint_brings_back_a_state_whose_kernel_has_died(self, engine):
        engine = await engine()
        await run(engine)
        kept = (await engine.branching.keep("c")).checkpoint
        await die(engine)
        await engine.branching.restore("c", kept)
        await engine.branching.fork("c", new_id="copy")
        assert [await state(engine, context_id=each) for each in ("c", "copy")] == ["preserved", "preserved"]

    async def test_a_restore_that_fails_in_the_middle_is_a_loss(self, engine, monkeypatch: pytest.MonkeyPatch):
        engine = await engine()
        await run(engine)
        kept = (await engine.branching.keep("c")).checkpoint
        with monkeypatch.context() as failing:
            failing.setattr(Local, "adopt", never_comes)
            with pytest.raises(KernelStartFailed):
                await engine.branching.restore("c", kept)
        with pytest.raises(StateLost):
            await engine.branching.fork("c")
        assert await state(engine) == "restarted"


class TestEnded:
    async def test_a_context_that_made_room_is_lost_and_says_by_what(self, engine):
        engine = await engine(max_contexts=1)
        await run(engine)
        await run(engine, "x", "other")
        await engine.create_context(context_id="c")
        with pytest.raises(StateLost, match="it was evicted to make room for another"):
            await engine.branching.keep("c")
        assert await state(engine) == "restarted"

    async def test_a_start_that_fails_does_not_forget_the_loss(self, engine, monkeypatch: pytest.MonkeyPatch):
        async def fails(*_: object, **__: object) -> None:
            raise KernelStartFailed("python", "no answer")

        engine = await engine(max_contexts=1)
        await run(engine)
        await run(engine, "x", "other")
        with monkeypatch.context() as failing:
            failing.setattr(Local, "start", fails)
            with pytest.raises(KernelStartFailed):
                await engine.create_context(context_id="c")
        with pytest.raises(ContextNotFound):
            engine.contexts.get("c")
        assert await state(engine) == "restarted"

    async def test_an_id_whose_end_is_no_longer_known_is_new(self, engine, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("engine.contexts.registry._REMEMBERED_ENDINGS", 2)
        engine = await engine(max_contexts=1)
        await run(engine)
        for number in range(4):
            await run(engine, "x", f"other-{number}")
        assert await state(engine) == "created"
