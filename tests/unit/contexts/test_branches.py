"""Branches over scripted kernels: limits, refusals, files, and the order of things; the real ones are in tests/real/conformance."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from engine.core import Engine
from engine.errors import (
    CannotBranch,
    ContextBusy,
    ContextEnded,
    ContextExists,
    KernelStartFailed,
    MemoryShort,
    NotSupported,
    QueueFull,
    ShuttingDown,
    StorageFull,
    TooManyContexts,
)
from engine.kernels.kernel import Kernel
from engine.kernels.local import Local
from engine.kernels.memory import Memory
from engine.kernels.provisioners.fake import Say
from engine.languages import Language
from engine.models import Obstacle
from engine.workspaces import RunDir
from tests.harness.executions import held, only, run
from tests.unit.contexts.conftest import ABLE, REFUSED, SCRIPT

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("adopted")]


async def never_comes(self: Local, language: Language, stream: socket.socket, **keywords: Any) -> Kernel:
    """In the place of `Local.adopt`: the process does not say a word."""
    stream.close()
    raise KernelStartFailed("python", "no answer")


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

    async def test_a_fork_has_the_limits_of_its_source(self, engine):
        engine = await engine()
        limits = {"processes": 64, "cpus": 1}
        await run(engine, limits=limits)
        info = await engine.branching.fork("c", new_id="copy")
        assert limits.items() <= info.limits.items()

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
            await engine.execute("x", language="typescript", on_error="rollback")

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

    @pytest.mark.parametrize(("ended", "stays"), [("c", "copy"), ("copy", "c")])
    async def test_a_shared_directory_stays_when_one_of_its_contexts_ends(self, engine, tmp_path: Path, ended, stays):
        engine = await engine()
        (tmp_path / "shared").mkdir()
        await engine.create_context(context_id="c", cwd=str(tmp_path / "shared"))
        await engine.branching.fork("c", new_id="copy")
        await engine.delete_context(ended)
        assert (await engine.files(stays).list()).items == []
        assert (await run(engine, context_id=stays)).status == "ok"

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
        pairs = [[str(getattr(one, each)) for one in (here, there)] for each in ("cwd", "tmp", "packages", "state")]
        assert content["directories"] == pairs
        assert (content["force"], content["reseed"]) == (True, True)
        assert content["env"] == {"POLYREPL_KERNEL": content["tag"]}

    async def test_after_the_end_there_are_none(self, engine):
        engine = await engine()
        await engine.aclose()
        with pytest.raises(ShuttingDown):
            await engine.branching.fork("c")


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


@pytest.mark.parametrize("place", ["new_kernel_dir", "new_workspace"])
async def test_a_full_disk_refuses_a_branch_and_leaves_the_original_as_it_is(
    fake_engine, monkeypatch: pytest.MonkeyPatch, place: str
):
    fake = await fake_engine(SCRIPT)
    await run(fake.engine)

    def full(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunDir, place, full)
    with pytest.raises((CannotBranch, StorageFull), match="No space left") as refused:
        await fake.engine.branching.fork("c", new_id="d")
    assert isinstance(refused.value, CannotBranch if place == "new_kernel_dir" else StorageFull)
    assert [context.id for context in fake.engine.contexts] == ["c"]
    assert (await run(fake.engine)).context_state == "preserved"
