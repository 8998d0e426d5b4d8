"""Copies of directories, made for branches: shared blocks where the file system can, and never more than a bound.

The directory belongs to code that is not trusted and may change meanwhile: it is walked by descriptors, and no link is followed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_FICLONE = 0x40049409  # ioctl_ficlone(2)
_CHUNK = 16 * 1024 * 1024
_MAX_ENTRIES = 200_000
_MAX_DEPTH = 100
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_CLONES = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS}


class TooMuchToCopy(Exception):
    """The directory passes a bound; the message says which."""


@dataclass(slots=True)
class Copied:
    """What a copy holds. `skipped`: relative paths of what cannot be copied (sockets, devices, unreadable files), and why."""

    files: int = 0
    bytes: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


def copy_directory(source: Path, target: Path, *, max_bytes: int, timeout: float) -> Copied:
    """Copy what is in `source` into `target`, which is made. Symbolic links stay links; modes and times are kept.

    Blocks: call it in a thread. Raises TooMuchToCopy beyond `max_bytes` of data, TimeoutError after `timeout` seconds, and
    OSError when `source` is not there or `target` cannot be written; what was copied by then is left in `target`."""
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy = _Copy(max_bytes, time.monotonic() + timeout)
    with _opened(source, os.O_DIRECTORY | _READ) as from_fd, _opened(target, os.O_DIRECTORY | _READ) as to_fd:
        copy.directory(from_fd, to_fd, "", 0)
    return copy.done


def replace_contents(directory: Path, replacement: Path, aside: Path) -> None:
    """Have in `directory` what is in `replacement`, by renames; what was there is in `aside` afterwards.

    The directory itself stays, so that a process whose working directory it is keeps its place."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside.mkdir(mode=0o700, parents=True, exist_ok=True)
    for origin, destination in ((directory, aside), (replacement, directory)):
        for name in os.listdir(origin):
            (origin / name).rename(destination / name)


class _Copy:
    def __init__(self, max_bytes: int, deadline: float) -> None:
        self.done = Copied()
        self._max_bytes = max_bytes
        self._deadline = deadline
        self._entries = 0
        self._clones = True

    def directory(self, source: int, target: int, path: str, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise TooMuchToCopy(f"directories nested deeper than {_MAX_DEPTH}")
        for name in os.listdir(source):
            self._entries += 1
            if self._entries > _MAX_ENTRIES:
                raise TooMuchToCopy(f"more than {_MAX_ENTRIES} files")
            self._check_time()
            place = f"{path}{name}"
            try:
                self._entry(source, target, name, place, depth)
            except FileNotFoundError:
                continue  # gone meanwhile
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE):
                    raise
                self.done.skipped.append((place, error.strerror or str(error)))

    def _entry(self, source: int, target: int, name: str, path: str, depth: int) -> None:
        info = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISLNK(info.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISDIR(info.st_mode):
            with _opened(name, os.O_DIRECTORY | _READ, dir_fd=source) as from_fd:
                os.mkdir(name, 0o700, dir_fd=target)
                with _opened(name, os.O_DIRECTORY | _READ, dir_fd=target) as to_fd:
                    self.directory(from_fd, to_fd, f"{path}/", depth + 1)
                    _keep(to_fd, info)
        elif stat.S_ISREG(info.st_mode):
            # Not blocking: what was a file a moment ago may be a pipe now.
            with _opened(name, _READ | os.O_NONBLOCK, dir_fd=source) as from_fd:
                if not stat.S_ISREG(os.fstat(from_fd).st_mode):
                    raise FileNotFoundError(name)
                with _opened(name, _CREATE, dir_fd=target) as to_fd:
                    self._file(from_fd, to_fd)
                    _keep(to_fd, info)
            self.done.files += 1
        else:
            self.done.skipped.append((path, "a socket, pipe or device"))

    def _file(self, source: int, target: int) -> None:
        size = os.fstat(source).st_size
        if size == 0:
            return
        if self._clones:
            try:
                fcntl.ioctl(target, _FICLONE, source)
            except OSError as error:
                if error.errno not in _NO_CLONES:
                    raise
                self._clones = False
            else:
                self._count(size)
                return
        os.ftruncate(target, size)
        start = end = 0
        while end < size:
            try:
                start = os.lseek(source, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # a hole up to the end
                    return
                raise
            end = min(size, os.lseek(source, start, os.SEEK_HOLE))
            if not self._range(source, target, start, end):
                return

    def _range(self, source: int, target: int, start: int, end: int) -> bool:
        """Copy from `start` to `end`; returns False where the file has become shorter."""
        while start < end:
            self._check_time()
            wanted = min(_CHUNK, end - start)
            self._count(wanted)
            try:
                moved = os.copy_file_range(source, target, wanted, start, start)
            except OSError as error:
                if error.errno not in _NO_CLONES:
                    raise
                moved = os.pwrite(target, os.pread(source, min(wanted, 1024 * 1024), start), start)
                self.done.bytes -= wanted - moved
            if moved == 0:
                return False
            start += moved
        return True

    def _count(self, size: int) -> None:
        self.done.bytes += size
        if self.done.bytes > self._max_bytes:
            raise TooMuchToCopy(f"more than {self._max_bytes} bytes")

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise TimeoutError(errno.ETIMEDOUT, "the copy took too long")


def _keep(fd: int, info: os.stat_result) -> None:
    os.fchmod(fd, stat.S_IMODE(info.st_mode))
    os.utime(fd, ns=(info.st_atime_ns, info.st_mtime_ns))


@contextlib.contextmanager
def _opened(path: str | Path, flags: int, dir_fd: int | None = None) -> Iterator[int]:
    fd = os.open(path, flags, 0o600, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)
