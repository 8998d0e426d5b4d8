"""Copies of directories: whole, bounded, and safe against what a stranger puts into them."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from engine.workspaces.copying import TooMuchToCopy, copy_directory, replace_contents
from engine.workspaces.places import Anchor, Place

MANY = 1 << 30


def place(path: Path) -> Place:
    anchor = Anchor(path.parent)
    anchor.make()
    return Place(anchor, (path.name,))


def copy(source: Path, target: Path, *, max_bytes: int = MANY, timeout: float = 60):
    return copy_directory(place(source), place(target), max_bytes=max_bytes, timeout=timeout)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def test_files_and_directories_are_copied_with_modes_and_times(source: Path, target: Path):
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "b" / "run.sh").write_bytes(b"#!/bin/sh\n")
    (source / "a" / "b" / "run.sh").chmod(0o750)
    os.utime(source / "a" / "b" / "run.sh", ns=(10**18, 10**18 + 7))
    (source / "empty").touch()
    copied = copy(source, target)
    assert (target / "a/b/run.sh").read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE((target / "a/b/run.sh").stat().st_mode) == 0o750
    assert (target / "a/b/run.sh").stat().st_mtime_ns == 10**18 + 7
    assert (target / "empty").read_bytes() == b""
    assert (copied.files, copied.bytes, copied.skipped) == (2, 10, [])


def test_links_stay_links_and_are_not_followed(source: Path, target: Path, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("s3cret")
    (source / "out").symlink_to(secret)
    (source / "key").symlink_to(secret / "key")
    (source / "nowhere").symlink_to("missing")
    copied = copy(source, target)
    assert os.readlink(target / "out") == str(secret)
    assert (target / "key").is_symlink()
    assert os.readlink(target / "nowhere") == "missing"
    assert copied.files == copied.bytes == 0


def test_a_source_that_is_a_link_is_refused(source: Path, target: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        copy(tmp_path / "link", target)


def test_special_files_are_left_out_and_named(source: Path, target: Path):
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(source / "sock"))
        (source / "file").write_text("x")
        copied = copy(source, target)
    assert sorted(path for path, _ in copied.skipped) == ["pipe", "sock"]
    assert os.listdir(target) == ["file"]


def test_a_file_that_may_not_be_read_is_left_out_and_named(source: Path, target: Path):
    if os.getuid() == 0:
        pytest.skip("root may read everything")
    (source / "d").mkdir()
    (source / "d" / "closed").write_text("x")
    (source / "d" / "closed").chmod(0)
    assert [path for path, _ in copy(source, target).skipped] == ["d/closed"]


@pytest.mark.parametrize("size", [0, 1, 4096, 3_000_000])
def test_contents_are_the_same_at_any_size(source: Path, target: Path, size: int):
    data = os.urandom(size)
    (source / "file").write_bytes(data)
    copy(source, target)
    assert (target / "file").read_bytes() == data


def test_a_sparse_file_stays_sparse_and_counts_what_it_holds(source: Path, target: Path):
    with open(source / "sparse", "wb") as file:
        file.seek(1 << 30)
        file.write(b"end")
        file.truncate((1 << 30) + (1 << 20))
    copied = copy(source, target, max_bytes=10_000_000)
    assert copied.bytes < 10_000_000
    assert (target / "sparse").stat().st_size == (1 << 30) + (1 << 20)
    assert (target / "sparse").stat().st_blocks * 512 < 10_000_000
    with open(target / "sparse", "rb") as file:
        file.seek(1 << 30)
        assert file.read(3) == b"end"


def test_it_stops_at_its_bound_of_bytes(source: Path, target: Path):
    for number in range(5):
        (source / str(number)).write_bytes(bytes([number]) * 1000)
    assert copy(source, target, max_bytes=5000).bytes == 5000
    with pytest.raises(TooMuchToCopy, match="4999 bytes"):
        copy(source, target / "again", max_bytes=4999)


def test_it_stops_at_its_bounds_of_depth_and_number(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch):
    deep = source
    for _ in range(101):
        deep /= "d"
        deep.mkdir()
    with pytest.raises(TooMuchToCopy, match="deeper"):
        copy(source, target)
    monkeypatch.setattr("engine.workspaces.copying._MAX_ENTRIES", 3)
    for number in range(4):
        (source / "d" / str(number)).touch()
    with pytest.raises(TooMuchToCopy, match="files"):
        copy(source / "d", target / "again")


def test_it_stops_at_its_deadline(source: Path, target: Path):
    (source / "file").touch()
    with pytest.raises(TimeoutError):
        copy(source, target, timeout=-1)


def test_a_directory_that_is_not_there_is_an_error(source: Path, target: Path):
    with pytest.raises(FileNotFoundError):
        copy(source / "missing", target)


def test_where_blocks_cannot_be_shared_or_copied_by_the_system_bytes_are(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*args: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.copy_file_range", refuse)
    data = os.urandom(2_500_000)
    (source / "file").write_bytes(data)
    assert copy(source, target).bytes == len(data)
    assert (target / "file").read_bytes() == data


def test_contents_are_replaced_beneath_a_directory_that_stays(tmp_path: Path):
    here, new, aside = tmp_path / "here", tmp_path / "new", tmp_path / "aside"
    for path, name in ((here, "old"), (new, "fresh")):
        (path / "d").mkdir(parents=True)
        (path / name).write_text(name)
    inode = here.stat().st_ino
    replace_contents(place(here), place(new), place(aside))
    assert here.stat().st_ino == inode
    assert sorted(os.listdir(here)) == ["d", "fresh"]
    assert sorted(os.listdir(aside)) == ["d", "old"]
    assert os.listdir(new) == []
