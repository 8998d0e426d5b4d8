"""Branches over scripted kernels: limits, refusals, files, and the order of things; the real ones are in tests/real/conformance."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.contexts.branches import Brancher
from engine.contexts.checkpoints import Checkpoint, Checkpoints, Restoration
from engine.contexts.context import Context
from engine.contexts.execution import Execution
from engine.core import Engine
from engine.errors import (
    CannotBranch,
    CheckpointLost,
    CheckpointNotFound,
    ContextBusy,
    ContextEnded,
    ContextExists,
    KernelStartFailed,
    MemoryShort,
    NotSupported,
    PolyreplError,
    QueueFull,
    ShuttingDown,
    TooManyCheckpoints,
    TooManyContexts,
)
from engine.kernels.kernel import Kernel
from engine.kernels.local import Local
from engine.kernels.memory import Memory
from engine.kernels.provisioners.fake import Die, Hold, Say
from engine.languages import Language
from engine.models import Obstacle, Result, Stdout
from engine.workspaces.workspace import Workspace

pytestmark = pytest.mark.anyio

READY = Say("stream", {"name": "stdout", "text": "ready\n"})
FAIL = Say("error", {"ename": "ValueError", "evalue": "boom", "traceback": ["boom"]})
FORKED = Say("fork_reply", {"status": "ok", "not_carried": [{"kind": "native_thread", "name": "blas (1)"}]})
REFUSED = Say("fork_reply", {"status": "error", "obstacles": [{"kind": "thread", "name": "poller"}]})
SCRIPT = {"loop": [READY, Hold()], "stubborn": [READY, Hold(ignore_interrupts=True)], "die": [Die()], "fail": [FAIL]}
ABLE = {**SCRIPT, "fork_request": [FORKED]}


@pytest.fixture(autouse=True)
def adopted(monkeypatch: pytest.MonkeyPatch) -> list[Kernel]:
    """Branches are scripted kernels of their own, started where a real one would be adopted. Returns those that were made."""
    made: list[Kernel] = []

    async def adopt(
        self: Local,
        language: Language,
        stream: socket.socket,
        *,
        source: Kernel,
        directory: Path,
        pipes: Mapping[str, int],
        timeout: float,
    ) -> Kernel:
        stream.close()
        for fd in pipes.values():
            os.close(fd)
        made.append(await self.start(language, Workspace(directory, directory, directory)))
        return made[-1]

    monkeypatch.setattr(Local, "adopt", adopt)
    return made


@pytest.fixture
async def engine(fake_engine) -> Callable[..., Awaitable[Engine]]:
    async def start(script: Mapping[str, Any] = ABLE, **settings: Any) -> Engine:
        fake = await fake_engine(script, **{"pool_max": 0, **settings})
        return fake.engine

    return start


async def run(engine: Engine, code: str = "x", context_id: str = "c", **options: Any) -> Result:
    return await ended(await engine.execute(code, context_id=context_id, **options))


async def ended(execution: Execution) -> Result:
    async with asyncio.timeout(10):
        await execution.wait()
    return execution.result()


async def held(engine: Engine, code: str = "loop", **options: Any) -> Execution:
    execution = await engine.execute(code, context_id="c", **options)
    async with asyncio.timeout(10):
        async for entry in execution.follow():
            if entry and isinstance(entry[1], Stdout):
                return execution
    raise AssertionError(execution)


async def never_comes(self: Local, language: Language, stream: socket.socket, **keywords: Any) -> Kernel:
    """In the place of `Local.adopt`: the process does not say a word."""
    stream.close()
    raise KernelStartFailed("python", "no answer")


def only(engine: Engine, context_id: str = "c") -> Context:
    (context,) = engine.contexts.get(context_id)
    return context


def short(engine: Engine) -> None:
    engine.branching._brancher._seen = (time.monotonic() + 60, Memory(1, 2))


class TestForks:
    async def test_a_fork_is_a_context_like_any_other(self, engine):
        engine = await engine()
        await run(engine)
        info = await engine.branching.fork("c", new_id="copy")
        assert (info.id, info.branched_from, info.files, info.execution_count) == ("copy", "c", "copied", 1)
        assert info.not_carried == [Obstacle("native_thread", "blas (1)")]
        assert (await run(engine, context_id="copy")).context_state == "preserved"
        assert {context.id for context in engine.contexts} == {"c", "copy"}

    async def test_obstacles_are_named_and_nothing_is_left(self, engine):
        engine = await engine({**SCRIPT, "fork_request": [REFUSED]})
        await run(engine)
        files = set(engine.run_dir.contexts.iterdir())
        with pytest.raises(CannotBranch) as raised:
            await engine.branching.fork("c")
        assert raised.value.obstacles == [Obstacle("thread", "poller")]
        assert [context.id for context in engine.contexts] == ["c"]
        await asyncio.wait(engine.contexts._closing.values())
        assert set(engine.run_dir.contexts.iterdir()) == files

    @pytest.mark.parametrize(
        "reply",
        [
            {},
            {"status": 5},
            {"status": "ok", "not_carried": "all"},
            {"status": "ok", "not_carried": [{"kind": 1, "name": "x"}]},
        ],
    )
    async def test_an_answer_that_is_none_is_a_refusal(self, engine, reply: dict[str, Any]):
        engine = await engine({**SCRIPT, "fork_request": [Say("fork_reply", reply)]})
        await run(engine)
        with pytest.raises(CannotBranch, match="answer"):
            await engine.branching.fork("c")

    async def test_an_id_is_given_once(self, engine):
        engine = await engine()
        await run(engine)
        with pytest.raises(ContextExists):
            await engine.branching.fork("c", new_id="c")
        both = await asyncio.gather(
            *(engine.branching.fork("c", new_id="copy") for _ in range(2)), return_exceptions=True
        )
        assert sorted(type(each).__name__ for each in both) == ["BranchInfo", "ContextExists"]

    async def test_other_languages_cannot(self, engine):
        engine = await engine()
        await run(engine, language="typescript")
        with pytest.raises(NotSupported, match="typescript"):
            await engine.branching.fork("c")
        with pytest.raises(NotSupported):
            await engine.execute("x", language="typescript", rolls_back=True)

    async def test_of_several_languages_the_one_that_can_is_taken(self, engine):
        engine = await engine()
        await run(engine, language="typescript")
        await run(engine, language="python")
        assert (await engine.branching.fork("c")).language == "python"

    async def test_it_waits_its_turn_and_not_for_ever(self, engine):
        engine = await engine(branch_timeout=0.2)
        cell = await held(engine)
        with pytest.raises(ContextBusy):
            await engine.branching.fork("c")
        waiting = asyncio.create_task(engine.branching.fork("c"))
        await engine.interrupt(cell.id)
        assert (await waiting).branched_from == "c"
        assert (await run(engine)).status == "ok"

    async def test_a_restart_refuses_what_waits_for_its_turn(self, engine):
        engine = await engine()
        await held(engine)
        waiting = asyncio.create_task(engine.branching.fork("c"))
        while not only(engine)._queue:
            await asyncio.sleep(0)
        await only(engine).restart()
        with pytest.raises(ContextEnded):
            await waiting

    async def test_a_turn_counts_in_the_queue(self, engine):
        engine = await engine(queue_size=1)
        await held(engine)
        await engine.execute("x", context_id="c")
        with pytest.raises(QueueFull):
            await engine.branching.fork("c")

    async def test_branches_count_as_contexts_and_never_take_the_place_of_their_parent(self, engine):
        engine = await engine(max_contexts=1)
        await run(engine)
        with pytest.raises(TooManyContexts):
            await engine.branching.fork("c")
        assert (await run(engine)).execution_count == 2

    async def test_short_memory_is_a_refusal(self, engine):
        engine = await engine()
        await run(engine)
        short(engine)
        with pytest.raises(MemoryShort):
            await engine.branching.fork("c")
        with pytest.raises(MemoryShort):
            await engine.branching.keep("c")
        assert len(engine.contexts) == 1

    async def test_a_directory_that_is_too_large_is_a_refusal(self, engine):
        engine = await engine(max_copy_bytes=10)
        await run(engine)
        (only(engine).workspace.cwd / "large").write_bytes(b"x" * 11)
        with pytest.raises(CannotBranch, match="10 bytes"):
            await engine.branching.fork("c")

    async def test_files_that_cannot_be_copied_are_not_carried(self, engine):
        engine = await engine()
        await run(engine)
        os.mkfifo(only(engine).workspace.cwd / "pipe")
        info = await engine.branching.fork("c")
        assert [each.name.split(":")[0] for each in info.not_carried if each.kind == "file"] == ["pipe"]

    async def test_a_directory_of_the_users_is_shared(self, engine, tmp_path: Path):
        engine = await engine()
        await engine.create_context(context_id="c", cwd=str(tmp_path))
        info = await engine.branching.fork("c")
        assert (info.files, info.cwd) == ("shared", str(tmp_path))

    async def test_a_branch_whose_process_never_comes_is_no_context(self, engine, monkeypatch: pytest.MonkeyPatch):
        engine = await engine()
        await run(engine)
        monkeypatch.setattr(Local, "adopt", never_comes)
        with pytest.raises(KernelStartFailed):
            await engine.branching.fork("c")
        assert [context.id for context in engine.contexts] == ["c"]

    async def test_the_kernel_is_told_where_the_files_went(self, fake_engine):
        fake = await fake_engine(ABLE, pool_max=0)
        await run(fake.engine)
        asked: list[dict[str, Any]] = []
        receive = fake.kernels[0].receive
        fake.kernels[0].receive = lambda *request: (asked.append(request[3]), receive(*request))
        info = await fake.engine.branching.fork("c", force=True)
        (content,) = asked
        here, there = only(fake.engine).workspace, only(fake.engine, info.id).workspace
        pairs = [[str(getattr(one, each)) for one in (here, there)] for each in ("cwd", "tmp", "packages")]
        assert content["directories"] == pairs
        assert (content["force"], content["reseed"]) == (True, True)
        assert content["env"] == {"POLYREPL_KERNEL": content["tag"]}

    async def test_after_the_end_there_are_none(self, engine):
        engine = await engine()
        await engine.aclose()
        with pytest.raises(ShuttingDown):
            await engine.branching.fork("c")


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
        assert (await run(engine, "fail", rolls_back=True)).context_state == "rolled_back"

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
        await asyncio.wait({making, *deleting}, timeout=10)
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
        result = await run(engine, code, rolls_back=True, timeout=0.2)
        assert (result.status, result.context_state) == (status, "rolled_back")
        assert (await run(engine)).context_state == "preserved"
        assert len(only(engine).checkpoints) == 0

    async def test_success_is_kept(self, engine, adopted: list[Kernel]):
        engine = await engine()
        await run(engine)
        kernel = only(engine).kernel
        result = await run(engine, rolls_back=True)
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
        result = await run(engine, "fail", rolls_back=True)
        assert (result.status, result.context_state) == ("error", "preserved")
        result = await run(engine, "die", rolls_back=True)
        assert (result.status, result.context_state) == ("died", "lost")

    async def test_what_cannot_be_kept_is_not_run(self, fake_engine):
        fake = await fake_engine({**SCRIPT, "fork_request": [REFUSED]}, pool_max=0)
        result = await run(fake.engine, "x", rolls_back=True)
        assert (result.status, result.error.name) == ("error", "CannotBranch")
        assert "poller" in result.error.value
        assert fake.kernels[0].requests == []
        assert (await run(fake.engine)).context_state == "preserved"

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
        result = await run(engine, rolls_back=True)
        assert (result.status, result.error.name, result.context_state) == ("died", "KernelDied", "lost")
        assert (await run(engine)).context_state == "restarted"

    async def test_a_restart_during_a_cell_that_would_be_rolled_back_wins(self, engine):
        engine = await engine()
        execution = await held(engine, rolls_back=True)
        await only(engine).restart()
        result = await ended(execution)
        assert (result.status, result.context_state) == ("interrupted", "lost")
        assert (await run(engine)).context_state == "restarted"

    async def test_requests_that_differ_in_it_are_different_requests(self, engine):
        engine = await engine()
        first = await engine.execute("x", context_id="c", idempotency_key="k", rolls_back=True)
        assert await engine.execute("x", context_id="c", idempotency_key="k", rolls_back=True) is first
        with pytest.raises(Exception, match="Idempotency-Key"):
            await engine.execute("x", context_id="c", idempotency_key="k")


class TestApi:
    async def test_statuses_and_bodies(self, api):
        app = await api(ABLE, pool_max=0, max_checkpoints=1)
        post = app.client.post
        await post("/execute", json={"code": "x", "context_id": "c"})
        answer = await post("/contexts/c/fork", json={"context_id": "copy"})
        assert answer.status_code == 201
        assert answer.headers["location"] == "/contexts/copy"
        assert answer.json()["not_carried"] == [{"kind": "native_thread", "name": "blas (1)"}]
        kept = await post("/contexts/c/checkpoints", json={"name": "n"})
        assert kept.status_code == 201
        checkpoint = kept.json()["checkpoint"]
        assert (await app.client.get("/contexts/c/checkpoints")).json() == {"items": [kept.json()]}
        full = await post("/contexts/c/checkpoints")
        assert (full.status_code, full.headers["retry-after"]) == (429, "5")
        assert (await post("/contexts/c/restore", json={"checkpoint": checkpoint})).json()["id"] == "c"
        place = f"/contexts/c/checkpoints/{checkpoint}"
        assert [(await app.client.delete(place)).status_code for _ in range(2)] == [204, 404]

    async def test_obstacles_are_in_the_body(self, api):
        app = await api({**SCRIPT, "fork_request": [REFUSED]}, pool_max=0)
        await app.client.post("/execute", json={"code": "x", "context_id": "c"})
        for action in ("fork", "checkpoints"):
            answer = await app.client.post(f"/contexts/c/{action}")
            assert answer.status_code == 409
            assert answer.json()["obstacles"] == [{"kind": "thread", "name": "poller"}]

    @pytest.mark.parametrize(
        ("path", "body", "field"),
        [
            ("/contexts/c/fork", {"context_id": "not an id"}, "context_id"),
            ("/contexts/c/fork", {"force": "yes"}, "force"),
            ("/contexts/c/checkpoints", {"name": "n" * 201}, "name"),
            ("/contexts/c/restore", {}, "checkpoint"),
            ("/execute", {"code": "x", "on_error": "explode"}, "on_error"),
            ("/execute", {"code": "x", "checkpoint": 1}, "checkpoint"),
            ("/contexts/c/fork", {"language": "cobol"}, "language"),
        ],
    )
    async def test_wrong_fields_are_named(self, api, path: str, body: dict[str, Any], field: str):
        app = await api(ABLE, pool_max=0)
        answer = await app.client.post(path, json=body)
        assert answer.status_code == 400
        assert [each["field"] for each in answer.json()["errors"]] == [field]
