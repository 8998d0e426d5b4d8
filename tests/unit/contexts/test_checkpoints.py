"""Checkpoints of a context, and cells that are rolled back to one, over scripted kernels."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

import pytest

from engine.contexts.branches import Brancher
from engine.contexts.checkpoints import Checkpoint, Checkpoints, Restoration
from engine.errors import (
    CannotBranch,
    CheckpointLost,
    CheckpointNotFound,
    KernelStartFailed,
    PolyreplError,
    TooManyCheckpoints,
)
from engine.kernels.kernel import Kernel
from engine.kernels.local import Local
from engine.kernels.provisioners.fake import Die
from engine.models import Obstacle
from tests.harness.executions import ended, held, only, run
from tests.unit.contexts.conftest import REFUSED, SCRIPT
from tests.unit.contexts.test_branches import never_comes

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("adopted")]


class TestCheckpoints:
    async def test_they_are_kept_until_they_are_removed(self, engine, adopted: list[Kernel]):
        engine = await engine()
        await run(engine)
        infos = [await engine.branching.keep("c", name=name) for name in ("first", "second")]
        assert await engine.branching.list("c") == infos
        engine.branching.remove("c", infos[0].checkpoint)
        assert await engine.branching.list("c") == infos[1:]
        await asyncio.wait(only(engine).checkpoints._ending)
        assert [kernel.is_alive for kernel in adopted] == [False, True]

    async def test_the_files_of_one_go_also_if_its_kernel_cannot_be_ended(
        self, engine, adopted: list[Kernel], monkeypatch: pytest.MonkeyPatch
    ):
        async def fail() -> None:
            await Kernel.kill(adopted[0])
            raise PermissionError(1, "refused")

        engine = await engine()
        await run(engine)
        kept = (await engine.branching.keep("c")).checkpoint
        (checkpoint,) = only(engine).checkpoints
        monkeypatch.setattr(adopted[0], "kill", fail)
        engine.branching.remove("c", kept)
        (ending,) = only(engine).checkpoints._ending
        with pytest.raises(PermissionError):
            await ending
        assert not checkpoint.branch.workspace.root.exists()

    async def test_they_end_with_their_context(self, engine, adopted: list[Kernel]):
        engine = await engine()
        await run(engine)
        await engine.branching.keep("c")
        root = only(engine).workspace.root
        assert list(root.glob("checkpoints-*/*"))
        await engine.delete_context("c")
        assert not adopted[0].is_alive
        assert not root.exists()
        assert engine.metrics.registry.get_sample_value("polyrepl_checkpoints") == 0

    async def test_there_is_a_limit(self, engine):
        engine = await engine(max_checkpoints=1)
        await run(engine)
        await engine.branching.keep("c")
        with pytest.raises(TooManyCheckpoints):
            await engine.branching.keep("c")
        result = await run(engine, checkpoint=True)
        assert (result.status, result.error.name) == ("error", "TooManyCheckpoints")
        assert (await run(engine, "fail", on_error="rollback")).context_state == "rolled_back"

    async def test_files_come_back(self, engine):
        engine = await engine()
        await run(engine)
        file = only(engine).workspace.cwd / "file"
        file.write_text("kept")
        kept = (await engine.branching.keep("c")).checkpoint
        file.write_text("changed")
        (file.parent / "more").touch()
        await engine.branching.restore("c", kept)
        assert [path.name for path in file.parent.iterdir()] == ["file"]
        assert file.read_text() == "kept"

    async def test_a_return_ends_what_runs_and_what_waits(self, engine):
        engine = await engine()
        await run(engine)
        kept = (await engine.branching.keep("c")).checkpoint
        cells = [await held(engine), await engine.execute("x", context_id="c")]
        await engine.branching.restore("c", kept)
        results = [await ended(cell) for cell in cells]
        assert [(each.status, each.error.name) for each in results] == [("interrupted", "ContextRestored")] * 2
        result = await run(engine)
        assert (result.status, result.context_state) == ("ok", "preserved")

    async def test_what_is_asked_during_a_return_waits_for_it(self, engine, fake_engine):
        engine = await engine()
        await run(engine)
        kept = (await engine.branching.keep("c")).checkpoint
        returning = asyncio.create_task(engine.branching.restore("c", kept))
        while only(engine)._slot._starting is None:
            await asyncio.sleep(0)
        result = await run(engine)
        await returning
        assert (result.status, result.context_state) == ("ok", "preserved")

    async def test_one_whose_process_ended_is_lost_and_the_context_is_left_alone(self, engine, adopted: list[Kernel]):
        engine = await engine()
        await run(engine)
        info = await engine.branching.keep("c")
        await adopted[0].kill()
        assert [each.state for each in await engine.branching.list("c")] == ["lost"]
        with pytest.raises(CheckpointLost, match="SIGKILL"):
            await engine.branching.restore("c", info.checkpoint)
        assert (await run(engine)).execution_count == 2

    async def test_a_return_that_fails_half_way_says_so_in_the_next_call(self, engine, monkeypatch: pytest.MonkeyPatch):
        engine = await engine()
        await run(engine)
        kept = (await engine.branching.keep("c")).checkpoint
        with monkeypatch.context() as failing:
            failing.setattr(Local, "adopt", never_comes)
            with pytest.raises(KernelStartFailed):
                await engine.branching.restore("c", kept)
        assert (await run(engine)).context_state == "restarted"
        await engine.branching.restore("c", kept)
        assert (await run(engine)).context_state == "preserved"

    async def test_unknown_ones_are_named(self, engine):
        engine = await engine()
        await run(engine)
        for action in (engine.branching.restore, engine.branching.fork):
            with pytest.raises(CheckpointNotFound, match="nothing"):
                await (
                    action("c", "nothing") if action == engine.branching.restore else action("c", checkpoint="nothing")
                )


class TestDeletion:
    @pytest.mark.parametrize("waits_in", [(Local, "adopt"), (Brancher, "copy_files")], ids=["kernel", "files"])
    @pytest.mark.parametrize("what", ["keep", "restore", "fork"])
    async def test_what_is_made_of_a_context_that_is_deleted_meanwhile_does_not_outlive_it(
        self, engine, adopted: list[Kernel], monkeypatch: pytest.MonkeyPatch, what: str, waits_in: tuple[type, str]
    ):
        engine = await engine()
        await run(engine)
        kept = (await engine.branching.keep("c")).checkpoint
        work = getattr(*waits_in)
        is_done, goes_on = asyncio.Event(), asyncio.Event()

        async def work_late(*args: Any, **keywords: Any) -> Any:
            done = await work(*args, **keywords)
            is_done.set()
            with contextlib.suppress(asyncio.CancelledError):
                await goes_on.wait()
            return done

        monkeypatch.setattr(*waits_in, work_late)
        calls = {
            "keep": lambda: engine.branching.keep("c"),
            "restore": lambda: engine.branching.restore("c", kept),
            "fork": lambda: engine.branching.fork("c", new_id="f", checkpoint=kept),
        }
        making = asyncio.create_task(calls[what]())
        await is_done.wait()
        deleting = [asyncio.create_task(engine.delete_context(each.id)) for each in engine.contexts]
        for _ in range(20):
            await asyncio.sleep(0)
        goes_on.set()
        await asyncio.wait({making, *deleting}, timeout=60)
        assert isinstance(making.exception(), PolyreplError)
        assert not any(kernel.is_alive for kernel in adopted)
        assert os.listdir(engine.run_dir.contexts) == []


class TestCells:
    async def test_a_checkpoint_of_before_it_is_named_in_the_result_and_in_the_last_event(self, engine):
        engine = await engine()
        execution = await engine.execute("x", context_id="c", checkpoint=True)
        result = await ended(execution)
        (info,) = await engine.branching.list("c")
        assert result.checkpoint == info.checkpoint
        assert execution.journal.read(0)[-1][1].checkpoint == info.checkpoint

    @pytest.mark.parametrize(
        ("code", "status"), [("fail", "error"), ("loop", "timeout"), ("stubborn", "timeout"), ("die", "died")]
    )
    async def test_a_failure_is_rolled_back(self, engine, code: str, status: str):
        engine = await engine()
        await run(engine)
        result = await run(engine, code, on_error="rollback", timeout=0.2)
        assert (result.status, result.context_state) == (status, "rolled_back")
        assert (await run(engine)).context_state == "preserved"
        assert len(only(engine).checkpoints) == 0

    async def test_success_is_kept(self, engine, adopted: list[Kernel]):
        engine = await engine()
        await run(engine)
        kernel = only(engine).kernel
        result = await run(engine, on_error="rollback")
        assert (result.status, result.context_state) == ("ok", "preserved")
        assert only(engine).kernel is kernel
        if only(engine).checkpoints._ending:
            await asyncio.wait(only(engine).checkpoints._ending)
        assert not adopted[0].is_alive

    async def test_a_rollback_that_fails_is_told_as_it_is(self, engine, monkeypatch: pytest.MonkeyPatch):
        async def stage(self: Checkpoints, checkpoint: Checkpoint) -> Restoration:
            raise CannotBranch("c", [Obstacle("files", "no space left")])

        engine = await engine()
        monkeypatch.setattr(Checkpoints, "stage", stage)
        result = await run(engine, "fail", on_error="rollback")
        assert (result.status, result.context_state) == ("error", "created")
        result = await run(engine, "die", on_error="rollback")
        assert (result.status, result.context_state) == ("died", "lost")

    async def test_what_cannot_be_kept_is_not_run(self, fake_engine):
        fake = await fake_engine({**SCRIPT, "fork_request": [REFUSED]}, pool_max=0)
        result = await run(fake.engine, "x", on_error="rollback")
        assert (result.status, result.error.name) == ("error", "CannotBranch")
        assert "poller" in result.error.value
        assert fake.kernels[0].requests == []
        assert (await run(fake.engine)).context_state == "created"

    async def test_a_checkpoint_that_does_not_come_up_leaves_the_state_and_the_code_alone(
        self, engine, monkeypatch: pytest.MonkeyPatch
    ):
        engine = await engine()
        await run(engine)
        with monkeypatch.context() as failing:
            failing.setattr(Local, "adopt", never_comes)
            result = await run(engine, checkpoint=True)
        assert (result.status, result.error.name) == ("error", "KernelStartFailed")
        assert (await run(engine)).execution_count == 2

    async def test_a_kernel_that_dies_while_it_is_to_be_copied_is_named(self, engine):
        engine = await engine({**SCRIPT, "fork_request": [Die()]})
        await run(engine)
        result = await run(engine, on_error="rollback")
        assert (result.status, result.error.name, result.context_state) == ("died", "KernelDied", "lost")
        assert (await run(engine)).context_state == "restarted"

    async def test_a_restart_during_a_cell_that_would_be_rolled_back_wins(self, engine):
        engine = await engine()
        execution = await held(engine, on_error="rollback")
        await only(engine).restart()
        result = await ended(execution)
        assert (result.status, result.context_state) == ("interrupted", "lost")
        assert (await run(engine)).context_state == "restarted"

    async def test_requests_that_differ_in_it_are_different_requests(self, engine):
        engine = await engine()
        first = await engine.execute("x", context_id="c", idempotency_key="k", on_error="rollback")
        assert await engine.execute("x", context_id="c", idempotency_key="k", on_error="rollback") is first
        with pytest.raises(Exception, match="Idempotency-Key"):
            await engine.execute("x", context_id="c", idempotency_key="k")
