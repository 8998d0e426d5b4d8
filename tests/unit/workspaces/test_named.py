"""Directories that requests name: below those that are allowed, and one that hangs holds up no other."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InvalidRequest
from engine.workspaces.named import Naming
from engine.workspaces.run_directory import RunDir
from engine.workspaces.threads import Disk
from tests.harness.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_request_may_name_a_directory_below_those_that_are_allowed(run_dir: RunDir, tmp_path: Path):
    (tmp_path / "data/in").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "data/out").symlink_to(tmp_path / "other")
    (tmp_path / "way").symlink_to(tmp_path / "data")
    (tmp_path / "data/file").touch()
    allowed = [tmp_path / "data"]
    for path in ("data", "data/in", "way/in"):
        named = await run_dir.named(str(tmp_path / path), allowed)
        assert named is not None
        assert named.path == tmp_path / path.replace("way", "data")
    for path in ("other", "data/out", "data/../other", "."):
        with pytest.raises(InvalidRequest) as raised:
            await run_dir.named(str(tmp_path / path), allowed)
        assert raised.value.errors[0].error == f"must be in one of the allowed directories: {allowed[0]}"
    for path in ("data/file", "data/missing"):
        with pytest.raises(InvalidRequest, match="Invalid"):
            await run_dir.named(str(tmp_path / path), allowed)
    with pytest.raises(InvalidRequest):
        await run_dir.named(str(tmp_path), [])
    assert await run_dir.named(None, []) is None
    assert await run_dir.named("/home/user", []) is None


@pytest.mark.parametrize(("mode", "is_used"), [(0o777, True), (0o755, False), (0o700, False)])
async def test_the_default_of_the_compatible_apis_counts_if_the_users_of_contexts_may_write_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, is_used: bool
):
    home = tmp_path / "user"
    home.mkdir()
    home.chmod(mode)
    monkeypatch.setattr("engine.workspaces.named._DEFAULT", str(home))
    naming = Naming(Disk().names)
    assert (await naming.find(str(home), [tmp_path], for_others=True) is not None) is is_used
    assert await naming.find(str(home), [tmp_path]) is not None


async def test_a_directory_that_does_not_answer_holds_up_no_other(
    run_dir: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("hangs/below", "works"):
        (tmp_path / name).mkdir(parents=True)
    gate, real = threading.Event(), os.open

    def hang(path: Any, *args: Any, **options: Any) -> int:
        if "hangs" in str(path):
            gate.wait(60)
        return real(path, *args, **options)

    monkeypatch.setattr(os, "open", hang)
    monkeypatch.setattr("engine.workspaces.named._SECONDS", 0.01)
    for _ in range(20):
        with pytest.raises(InvalidRequest) as raised:
            await run_dir.named(str(tmp_path / "hangs/below"), [tmp_path])
        assert "did not answer" in raised.value.errors[0].error
    assert run_dir.disk.stuck == 2
    monkeypatch.setattr("engine.workspaces.named._SECONDS", 60.0)
    assert await run_dir.named(str(tmp_path / "works"), [tmp_path]) is not None
    gate.set()
    await until(lambda: run_dir.disk.stuck == 0)
