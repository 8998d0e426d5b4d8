"""What the checker may read: regular files of one context, by plain names, within bounds."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine.kernels.checking import sources
from engine.kernels.checking.sources import Sources, names_of
from engine.workspaces import RunDir, Workspace

pytestmark = pytest.mark.anyio


@pytest.fixture
def workspace(run_dir: RunDir) -> Workspace:
    made = run_dir.new_workspace("c")
    made.prepare()
    return made


def of(workspace: Workspace, seconds: float = 30.0) -> Sources:
    return Sources(workspace, deadline=time.monotonic() + seconds)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../b", "a//b", ".", "a/", "a\0b", 3, None, "x/" * 100 + "x", "x" * 5000]
)
def test_what_is_no_path_below_the_directory(path: object):
    assert names_of(path) is None


async def test_files_and_directories_are_told_and_nothing_else(workspace: Workspace):
    here = workspace.cwd
    (here / "a.ts").write_text("let a")
    (here / "below").mkdir()
    os.symlink(here / "a.ts", here / "link.ts")
    os.mkfifo(here / "pipe.ts")
    listed = await of(workspace).answer({"list": ""})
    assert isinstance(listed, dict)
    assert {name: kind[0] for name, kind in listed.items()} == {"a.ts": "f", "below": "d"}


async def test_a_version_changes_with_the_file(workspace: Workspace):
    file = workspace.cwd / "a.ts"
    versions = []
    for text in ("one", "other"):
        file.write_text(text)
        listed = await of(workspace).answer({"list": ""})
        assert isinstance(listed, dict)
        versions.append(listed["a.ts"])
    assert versions[0] != versions[1]


async def test_a_file_is_read_and_no_link_or_pipe(workspace: Workspace, tmp_path: Path):
    here = workspace.cwd
    (tmp_path / "secret.ts").write_text("secret")
    (here / "below").mkdir()
    (here / "below" / "a.ts").write_bytes(b"let a\xff")
    os.symlink(tmp_path / "secret.ts", here / "link.ts")
    os.symlink(tmp_path, here / "there")
    os.mkfifo(here / "pipe.ts")
    asked = of(workspace)
    assert await asked.answer({"read": "below/a.ts"}) == "let a\ufffd"
    for path in ("link.ts", "there/secret.ts", "pipe.ts", "below", "none.ts"):
        assert await asked.answer({"read": path}) is None
    assert await asked.answer({"list": "there"}) is None
    assert await asked.answer({"write": "a.ts"}) is None


async def test_what_is_asked_for_is_bounded(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    (workspace.cwd / "a.ts").write_text("12345678")
    monkeypatch.setattr(sources, "_FILE_BYTES", 7)
    assert await of(workspace).answer({"read": "a.ts"}) is None
    monkeypatch.setattr(sources, "_FILE_BYTES", 8)
    monkeypatch.setattr(sources, "_MOST_BYTES", 10)
    asked = of(workspace)
    assert [await asked.answer({"read": "a.ts"}) for _ in range(3)] == ["12345678", "12345678", None]
    monkeypatch.setattr(sources, "_MOST_ASKED", 1)
    asked = of(workspace)
    assert [await asked.answer({"read": "a.ts"}) for _ in range(2)] == ["12345678", None]


async def test_nothing_is_read_after_the_deadline_or_the_end_of_the_context(workspace: Workspace):
    (workspace.cwd / "a.ts").write_text("a")
    assert await of(workspace, -1.0).answer({"read": "a.ts"}) is None
    workspace.close()
    assert await of(workspace).answer({"read": "a.ts"}) is None
