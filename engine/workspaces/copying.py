"""Copies of directories, made for branches: shared blocks where the file system can, and never more than a bound.

The directory belongs to code that is not trusted and may change meanwhile: it is walked by descriptors, and no link is followed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from dataclasses import dataclass, field

from engine.workspaces.beneath import open_beneath, open_file
from engine.workspaces.places import Place, opened
from engine.workspaces.workspace import Workspace

_FICLONE = 0x40049409  # ioctl_ficlone(2)
_CHUNK = 16 * 1024 * 1024
_MAX_ENTRIES = 200_000
_MAX_DEPTH = 100
_MAX_SKIPPED = 1000  # that are named
_MAX_TOLD = 1000  # characters of a path that is named
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


def copy_workspace(source: Workspace, target: Workspace, *, max_bytes: int, timeout: float) -> Copied:
    """Copy the directories that are ours from one workspace into another, which are made there.

    Blocks. Raises TooMuchToCopy beyond `max_bytes` of data, TimeoutError after `timeout` seconds, and OSError."""
    target.prepare()
    done = Copied()
    deadline = time.monotonic() + timeout
    for name in ("tmp", "packages", "work") if target.is_own else ("tmp", "packages"):
        with contextlib.suppress(FileNotFoundError):  # never made, or removed by a cell
            copied = copy_directory(
                source.place(name),
                target.place(name),
                max_bytes=max_bytes - done.bytes,
                timeout=deadline - time.monotonic(),
            )
            done = Copied(done.files + copied.files, done.bytes + copied.bytes, done.skipped + copied.skipped)
    return done


def copy_directory(source: Place, target: Place, *, max_bytes: int, timeout: float) -> Copied:
    """Copy what is in `source` into `target`, which is made. Symbolic links stay links; modes and times are kept.

    Blocks. Raises as `copy_workspace` does; what was copied by then is left in `target`."""
    copy = _Copy(max_bytes, time.monotonic() + timeout)
    with source.opened() as from_fd, target.opened(make=True) as to_fd:
        copy.directory(from_fd, to_fd, "", 0)
    return copy.done


def replace_files(here: Workspace, staged: Workspace) -> None:
    """Have the staged files in the directories that are ours; what was there is put aside, into what goes with the staged. Blocks."""
    for name in ("tmp", "packages", "work") if here.is_own else ("tmp", "packages"):
        replace_contents(here.place(name), staged.place(name), staged.place("aside", name))


def replace_contents(directory: Place, replacement: Place, aside: Place) -> None:
    """Have in `directory` what is in `replacement`, by renames; what was there is in `aside` afterwards.

    The directory itself stays, so that a process whose working directory it is keeps its place."""
    with directory.opened(make=True) as here, replacement.opened(make=True) as new, aside.opened(make=True) as old:
        for origin, destination in ((here, old), (new, here)):
            for name in os.listdir(origin):
                with contextlib.suppress(FileNotFoundError):  # a process has removed it meanwhile
                    os.rename(name, name, src_dir_fd=origin, dst_dir_fd=destination)


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
        for name in self._names(source):
            self._check_time()
            place = f"{path}{name}"
            try:
                self._entry(source, target, name, place, depth)
            except FileNotFoundError:
                continue  # gone meanwhile
            except TimeoutError:
                raise
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE):
                    raise
                self._skip(place, error.strerror or str(error))

    def _names(self, directory: int) -> list[str]:
        """What is in it. All are counted before the first is copied."""
        names = []
        with os.scandir(directory) as entries:
            for entry in entries:
                self._entries += 1
                if self._entries > _MAX_ENTRIES:
                    raise TooMuchToCopy(f"more than {_MAX_ENTRIES} files")
                names.append(entry.name)
        return names

    def _skip(self, path: str, why: str) -> None:
        if len(self.done.skipped) < _MAX_SKIPPED:
            self.done.skipped.append((path[-_MAX_TOLD:], why))

    def _entry(self, source: int, target: int, name: str, path: str, depth: int) -> None:
        info = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISLNK(info.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISDIR(info.st_mode):
            with opened(open_beneath(source, (name,))) as from_fd:
                os.mkdir(name, 0o700, dir_fd=target)
                with opened(open_beneath(target, (name,))) as to_fd:
                    self.directory(from_fd, to_fd, f"{path}/", depth + 1)
                    _keep(to_fd, info)
        elif stat.S_ISREG(info.st_mode):
            found, _ = open_file(source, (name,))
            with opened(found) as from_fd, opened(os.open(name, _CREATE, 0o600, dir_fd=target)) as to_fd:
                self._file(from_fd, to_fd)
                _keep(to_fd, info)
            self.done.files += 1
        else:
            self._skip(path, "a socket, pipe or device")

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
