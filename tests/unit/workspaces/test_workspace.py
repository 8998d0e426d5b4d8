"""Workspaces: what is known of a context's directories, and goes with copies of them."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest

from engine.workspaces import RunDir, Workspace, copy_workspace, replace_files


def mark(workspace: Workspace) -> None:
    workspace.packages.mkdir()
    (workspace.packages / "replaces").touch()


def copied(source: Workspace, name: str) -> Workspace:
    target = source.within("copies", name)
    copy_workspace(source, target, max_bytes=1000, timeout=30)
    return target


def open_below(root: Path) -> list[str]:
    """The directories there that this process holds open."""
    found = []
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(fd))
    return [each for each in found if Path(each).is_relative_to(root)]


def test_that_packages_replace_those_of_the_interpreter_goes_with_a_copy_and_comes_back(workspace: Workspace):
    without = copied(workspace, "before")
    mark(workspace)
    having = copied(workspace, "after")
    assert [each.replaces_packages for each in (without, having, workspace)] == [False, True, True]
    replace_files(workspace, copied(without, "first"))
    assert not workspace.replaces_packages
    replace_files(workspace, copied(having, "second"))
    assert workspace.replaces_packages


def test_a_link_in_the_place_of_the_packages_is_not_followed(workspace: Workspace, tmp_path: Path):
    (tmp_path / "replaces").touch()
    os.symlink(tmp_path, workspace.packages)
    assert not workspace.replaces_packages


def test_after_the_end_nothing_is_known_of_packages(workspace: Workspace):
    mark(workspace)
    workspace.close()
    assert not workspace.replaces_packages


def test_a_copy_that_has_ended_holds_no_directory_open_and_leaves_its_workspace(workspace: Workspace):
    copy = copied(workspace, "ended")
    assert len(open_below(copy.root)) == 1  # it is known to be empty
    copy.close()
    assert open_below(copy.root) == []
    with pytest.raises(FileNotFoundError):
        copy.prepare()
    workspace.prepare()
    assert workspace.work.make() is False


class TestADirectoryThatARequestNamed:
    @pytest.fixture
    async def named(self, run_dir: RunDir, tmp_path: Path) -> Workspace:
        (tmp_path / "theirs").mkdir()
        return run_dir.new_workspace("c", await run_dir.named(str(tmp_path / "theirs"), [tmp_path]))

    @pytest.mark.anyio
    async def test_it_is_looked_at_in_threads_alone(self, named: Workspace, monkeypatch: pytest.MonkeyPatch):
        """It may be on a file system that does not answer."""
        asked: list[bool] = []
        assert named.named is not None
        theirs, real = named.named.hold().fd, os.fstat

        def fstat(fd: int) -> os.stat_result:
            if fd == theirs:
                asked.append(threading.current_thread() is threading.main_thread())
            return real(fd)

        monkeypatch.setattr(os, "fstat", fstat)
        await named.ready()
        assert asked == [False]

    @pytest.mark.anyio
    async def test_one_that_was_removed_is_opened_again(self, named: Workspace):
        named.cwd.rmdir()
        with pytest.raises(OSError, match="working directory cannot be used: No such file"):
            await named.ready()
        named.cwd.mkdir()
        await named.ready()
        with named.work.opened() as fd:
            assert os.path.samestat(os.fstat(fd), named.cwd.stat())

    @pytest.mark.anyio
    async def test_one_that_does_not_answer_is_named(self, named: Workspace, monkeypatch: pytest.MonkeyPatch):
        gate = threading.Event()
        monkeypatch.setattr("engine.workspaces.workspace._FIND_SECONDS", 0.01)
        monkeypatch.setattr("engine.workspaces.places.Anchor.find", lambda _: gate.wait(60))
        with pytest.raises(OSError, match="cannot be used: its file system does not answer"):
            await named.ready()
        gate.set()
