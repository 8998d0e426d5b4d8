"""What a cell did to its files: told where looking is cheap or was asked for, the same for every language."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from engine.errors import FilesUnavailable, PolyreplError, TooManyFiles, TooManyOpenFiles
from engine.models import FileChange
from engine.workspaces.changes import ASKED_ENTRIES, MAX_CHANGES, UNASKED_ENTRIES, Watch, compare, snapshot, watch
from engine.workspaces.places import Place
from engine.workspaces.workspace import Workspace

pytestmark = pytest.mark.anyio


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path, tmp_path / "work", tmp_path / "tmp")
    made.prepare()
    return made


def told(changes: list[FileChange]) -> list[tuple[str, str]]:
    return [(each.path, each.change) for each in changes]


async def test_made_changed_and_deleted_files_are_told_by_path(workspace: Workspace):
    cwd = workspace.cwd
    for name in ("gone", "grown", "same", "replaced"):
        (cwd / name).write_text(name)
    watched = await watch(workspace, None)
    assert watched is not None
    (cwd / "gone").unlink()
    (cwd / "grown").write_text("larger than before")
    (cwd / "other").write_text("replaced")
    (cwd / "other").rename(cwd / "replaced")
    (cwd / "sub/deep").mkdir(parents=True)
    (cwd / "sub/deep/new").write_text("1234")
    (cwd / "link").symlink_to("grown")
    changes = await watched.changes()
    assert told(changes) == [
        ("gone", "deleted"),
        ("grown", "changed"),
        ("link", "created"),
        ("replaced", "changed"),
        ("sub/deep/new", "created"),
    ]
    assert [each.size for each in changes if each.path in ("gone", "sub/deep/new")] == [UNSET, 4]


async def test_nothing_is_told_where_nothing_changed(workspace: Workspace):
    (workspace.cwd / "a").touch()
    watched = await watch(workspace, None)
    (workspace.cwd / "directory").mkdir()
    assert await watched.changes() is UNSET


async def test_a_directory_that_is_not_made_yet_is_empty(workspace: Workspace):
    workspace.cwd.rmdir()
    watched = await watch(workspace, None)
    workspace.cwd.mkdir()
    (workspace.cwd / "a").touch()
    assert told(await watched.changes()) == [("a", "created")]


async def test_what_programs_make_for_themselves_is_passed_over(workspace: Workspace):
    watched = await watch(workspace, None)
    for name in ("node_modules/x/index.js", "__pycache__/m.pyc", "sub/.git/HEAD", "mine.js"):
        (workspace.cwd / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace.cwd / name).touch()
    assert told(await watched.changes()) == [("mine.js", "created")]


async def test_unasked_only_small_directories_of_our_own_are_looked_at(workspace: Workspace, tmp_path: Path):
    for number in range(UNASKED_ENTRIES):
        (workspace.cwd / str(number)).touch()
    assert await watch(workspace, None) is not None
    (workspace.cwd / "one more").touch()
    assert await watch(workspace, None) is None
    assert await watch(workspace, True) is not None
    theirs = Workspace(tmp_path / "root", tmp_path, tmp_path / "tmp")
    assert await watch(theirs, None) is None
    assert await watch(theirs, True) is not None
    workspace.cwd.joinpath("0").unlink()
    assert await watch(workspace, False) is None


async def test_a_cell_that_makes_many_files_in_an_empty_directory_is_told_of(workspace: Workspace):
    watched = await watch(workspace, None)
    for number in range(UNASKED_ENTRIES * 3):
        (workspace.cwd / f"{number:03}").touch()
    assert len(await watched.changes()) == UNASKED_ENTRIES * 3


async def test_asked_for_changes_in_a_large_directory_are_told_the_first_thousand(workspace: Workspace):
    for number in range(UNASKED_ENTRIES * 2):
        (workspace.cwd / f"old-{number:03}").touch()
    watched = await watch(workspace, True)
    for number in range(MAX_CHANGES + 5):
        (workspace.cwd / f"new-{number:05}").touch()
    changes = await watched.changes()
    assert len(changes) == MAX_CHANGES
    assert told(changes)[-1] == (f"new-{MAX_CHANGES - 1:05}", "created")


async def test_more_files_than_can_be_compared_are_refused_where_it_is_asked_for(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("engine.workspaces.changes.ASKED_ENTRIES", UNASKED_ENTRIES + 1)
    for number in range(UNASKED_ENTRIES + 2):
        (workspace.cwd / str(number)).touch()
    with pytest.raises(TooManyFiles):
        await watch(workspace, True)
    assert ASKED_ENTRIES > UNASKED_ENTRIES


def test_links_are_not_followed_and_names_that_are_no_text_not_told(workspace: Workspace, tmp_path: Path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").touch()
    (workspace.cwd / "link").symlink_to(tmp_path / "outside")
    Path(os.fsdecode(os.fsencode(workspace.cwd) + b"/\xff")).touch()
    assert told(compare({}, snapshot(workspace, 10))) == [("link", "created")]
    workspace.cwd.rename(tmp_path / "elsewhere")
    workspace.cwd.symlink_to(tmp_path / "outside")
    assert snapshot(workspace, 10) == {}


def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the looks at directories."""
    found: list[int] = []

    def count(workspace: Workspace, limit: int) -> Any:
        found.append(limit)
        return snapshot(workspace, limit)

    monkeypatch.setattr("engine.workspaces.changes.snapshot", count)
    return found


async def test_an_empty_directory_that_was_not_touched_is_not_looked_at(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    found = looks(monkeypatch)
    monkeypatch.setattr("engine.workspaces.changes._CLOSE", -(10**12))
    watched = await watch(workspace, None)
    assert watched is not None
    assert await watched.changes() is UNSET
    assert found == []
    (workspace.cwd / "a").touch()
    assert told(await watched.changes()) == [("a", "created")]
    assert len(found) == 1


async def test_an_empty_directory_that_has_changed_just_now_is_looked_at(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    """Two changes in a moment can have the same time."""
    found = looks(monkeypatch)
    monkeypatch.setattr("engine.workspaces.changes._CLOSE", 10**18)
    assert await watch(workspace, None) is not None
    assert len(found) == 1


async def test_a_directory_in_the_place_of_the_empty_one_is_looked_at(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("engine.workspaces.changes._CLOSE", -(10**12))
    watched = await watch(workspace, None)
    workspace.cwd.rename(tmp_path / "moved")
    workspace.cwd.mkdir()
    (workspace.cwd / "a").touch()
    assert told(await watched.changes()) == [("a", "created")]


async def test_a_directory_that_does_not_answer_keeps_no_result_back(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    gate = threading.Event()
    monkeypatch.setattr("engine.workspaces.changes.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("engine.workspaces.changes.snapshot", lambda *_: gate.wait(60))
    workspace.known_empty = None
    try:
        assert await watch(workspace, None) is None
        with pytest.raises(FilesUnavailable):
            await watch(workspace, True, context_id="c")
        assert await Watch(workspace, {}, asked=False).changes() is UNSET
    finally:
        gate.set()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES, errno.EIO])
async def test_what_cannot_be_looked_at_is_not_taken_for_deleted(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, code: int
):
    (workspace.cwd / "a").touch()
    watched = await watch(workspace, None)
    assert watched is not None

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Place, "opened", refuse)
    assert await watched.changes() is UNSET
    assert await watch(workspace, None) is None
    with pytest.raises(PolyreplError) as raised:
        await watch(workspace, wanted=True)
    assert isinstance(raised.value, TooManyOpenFiles) == (code == errno.EMFILE)
