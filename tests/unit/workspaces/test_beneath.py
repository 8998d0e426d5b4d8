"""Opening below a directory: the same with openat2 and without it."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.workspaces import beneath
from engine.workspaces.beneath import NotAFile, open_beneath, open_file, read_file


@pytest.fixture(params=["openat2", "names"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "names":
        monkeypatch.setattr(beneath, "_has_openat2", lambda: False)
    elif not beneath._has_openat2():
        pytest.skip("this kernel has no openat2")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "root/a/b/file").write_text("text")
    (tmp_path / "secret").write_text("secret")
    fd = os.open(tmp_path / "root", os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_file_below_is_read_within_a_bound(root: int):
    assert read_file(root, ("a", "b", "file"), limit=4) == b"text"
    with pytest.raises(OSError, match="larger than 3 bytes"):
        read_file(root, ("a", "b", "file"), limit=3)


@pytest.mark.parametrize(
    "names", [("..", "secret"), ("a", "..", "..", "secret"), ("/etc/passwd",), ("link",), ("up", "secret")]
)
def test_nothing_leads_out(root: int, tmp_path: Path, names: tuple[str, ...]):
    (tmp_path / "root/link").symlink_to(tmp_path / "secret")
    (tmp_path / "root/up").symlink_to("..")
    with pytest.raises(OSError):  # noqa: PT011 - of several kinds
        open_beneath(root, names, os.O_RDONLY)


def test_what_is_no_file_is_refused_by_its_kind_and_without_waiting(root: int, tmp_path: Path):
    os.mkfifo(tmp_path / "root/pipe")
    (tmp_path / "root/link").symlink_to("a/b/file")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{root}/socket")
    for name, kind in (("pipe", "pipe"), ("socket", "socket"), ("a", "directory")):
        with pytest.raises(NotAFile) as raised:
            open_file(root, (name,))
        assert raised.value.kind == kind
    with pytest.raises(OSError, match=r"symbolic link"):
        open_file(root, ("link",))


def test_a_directory_that_was_moved_is_still_the_one_that_was_opened(root: int, tmp_path: Path):
    (tmp_path / "root").rename(tmp_path / "moved")
    (tmp_path / "elsewhere/a/b").mkdir(parents=True)
    (tmp_path / "elsewhere/a/b/file").write_text("other")
    (tmp_path / "root").symlink_to("elsewhere")
    assert read_file(root, ("a", "b", "file"), limit=10) == b"text"


@pytest.mark.skipif(not os.path.ismount("/proc"), reason="needs a mount that is there")
def test_another_file_system_is_entered_only_where_that_is_wanted():
    top = os.open("/", os.O_RDONLY)
    with pytest.raises(OSError, match="cross-device"):
        open_beneath(top, ("proc", "self"))
    os.close(open_beneath(top, ("proc", "sys"), crosses=True))
    os.close(top)


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.EINTR])
def test_what_the_system_puts_off_is_tried_again_a_few_times(root: int, monkeypatch: pytest.MonkeyPatch, error: int):
    calls: list[int] = []

    class Libc:
        @staticmethod
        def syscall(*_: object) -> int:
            calls.append(error)
            ctypes.set_errno(error if len(calls) < 100 else errno.EIO)
            return -1

    monkeypatch.setattr(beneath, "_libc", Libc)
    with pytest.raises(OSError, match=r"\[Errno") as raised:
        beneath._openat2(root, "a", os.O_PATH, 0, 0)
    assert (raised.value.errno, len(calls)) == ((errno.EAGAIN, 4) if error == errno.EAGAIN else (errno.EIO, 100))
