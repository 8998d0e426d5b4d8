"""Removing what code has left: however deep, without rights, and while it is written to; what is left is said."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import threading
from pathlib import Path

import pytest

from engine.workspaces.removal import _GETFLAGS, _SETFLAGS, remove_at, remove_tree

DEPTH = 1100  # more than Python's limit of recursion


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    path.mkdir()
    return path


def nest(directory: Path, depth: int, name: str) -> None:
    fd = os.open(directory, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


@pytest.mark.parametrize(("depth", "name"), [(DEPTH, "d"), (30, "n" * 250)])
def test_neither_depth_nor_the_length_of_a_path_matters(tree: Path, depth: int, name: str):
    nest(tree, depth, name)
    before = os.listdir("/proc/self/fd")
    assert remove_tree(tree, seconds=60) is None
    assert not tree.exists()
    assert os.listdir("/proc/self/fd") == before


def test_directories_without_rights_are_removed_with_what_is_in_them(tree: Path):
    (tree / "a/b/c").mkdir(parents=True)
    (tree / "a/b/file").write_text("x")
    for path, mode in (("a/b/file", 0), ("a/b/c", 0), ("a/b", 0o500), ("a", 0), (".", 0)):
        (tree / path).chmod(mode)
    assert remove_tree(tree, seconds=10) is None
    assert not tree.exists()


def test_links_pipes_and_odd_names_go_and_nothing_outside(tree: Path, tmp_path: Path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").touch()
    (tree / "sub").mkdir()
    (tree / "sub/link").symlink_to(tmp_path / "outside")
    (tree / "link").symlink_to(tmp_path / "outside")
    (tree / "loop").symlink_to("loop")
    os.mkfifo(tree / "pipe")
    for name in (b"\xff", b"a\nb"):
        os.mkdir(os.fsencode(tree) + b"/" + name)
    assert remove_tree(tree, seconds=10) is None
    assert os.listdir(tmp_path / "outside") == ["kept"]
    (tmp_path / "top").symlink_to(tmp_path / "outside")
    assert remove_tree(tmp_path / "top", seconds=10) is None
    assert os.listdir(tmp_path) == ["outside"]


def test_what_is_not_there_is_gone(tmp_path: Path):
    assert remove_tree(tmp_path / "missing", seconds=1) is None
    assert remove_tree(tmp_path / "missing/below", seconds=1) is None


def test_what_is_left_for_lack_of_time_is_said_and_the_next_call_goes_on(tree: Path):
    for number in range(50):
        (tree / f"d{number}/e").mkdir(parents=True)
    assert remove_tree(tree, seconds=-1) == "there was no time for all of it"
    assert tree.exists()
    assert remove_tree(tree, seconds=60) is None


def test_a_process_that_still_writes_does_not_keep_a_directory(tree: Path):
    stop = threading.Event()
    started = threading.Event()
    fd = os.open(tree, os.O_RDONLY)

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
            except FileNotFoundError:  # the directory is gone
                return
            if number == 100:
                started.set()
            stop.wait(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    started.wait(30)
    reason = remove_tree(tree, seconds=60)
    stop.set()
    writer.join()
    os.close(fd)
    assert reason is None


def test_why_something_cannot_be_removed_is_said(tree: Path, monkeypatch: pytest.MonkeyPatch):
    (tree / "file").touch()

    def refuse(path: str, **_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "unlink", refuse)
    assert remove_tree(tree, seconds=10) == "Read-only file system"


@pytest.mark.skipif(os.getuid() != 0, reason="only root marks files as immutable")
def test_files_that_are_marked_as_immutable_are_removed(tree: Path):
    (tree / "d").mkdir()
    (tree / "d/file").touch()
    for path, flag in ((tree / "d/file", 0x10), (tree / "d", 0x20)):
        fd = os.open(path, os.O_RDONLY)
        try:
            flags = int.from_bytes(fcntl.ioctl(fd, _GETFLAGS, bytes(8)), "little")
            fcntl.ioctl(fd, _SETFLAGS, (flags | flag).to_bytes(8, "little"))
        except OSError:
            pytest.skip("this file system has no such marks")
        finally:
            os.close(fd)
    assert remove_tree(tree, seconds=10) is None


def test_what_is_mounted_in_it_is_taken_off_and_not_emptied(tree: Path, tmp_path: Path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").touch()
    (tree / "d/mount").mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "--bind", tmp_path / "outside", tree / "d/mount"], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no mounts here")
    parent = os.open(tmp_path, os.O_RDONLY)
    assert remove_at(parent, "tree", seconds=10) is None
    os.close(parent)
    assert os.listdir(tmp_path / "outside") == ["kept"]
