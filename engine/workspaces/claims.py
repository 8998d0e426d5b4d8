"""Claims of servers on their directories: each holds a lock on its own, and takes away those that nobody holds any more."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import tempfile
from pathlib import Path

from engine.log import get_logger
from engine.workspaces.beneath import DIRECTORY, open_beneath
from engine.workspaces.removal import open_owned, remove_at, remove_tree, unmount

_PREFIX = "s-"
_ELSEWHERE = "k-elsewhere"
_OUTSIDE = "polyrepl-k-"
_OUTSIDE_NAME = re.compile(rf"/tmp/{_OUTSIDE}[A-Za-z0-9_]+")  # noqa: S108 - as mkdtemp makes it
_CLAIMS = 100  # directories that others may take away before this is an error
_SWEEP_SECONDS = 60.0  # for one directory


class Claim:
    """A new directory in a base, with a lock that ends with its process.

    A server that starts at the same time may see the directory before its lock, take it for one that was left behind, and
    remove it; then another one is made. Once the lock is ours and still lies in its place, nobody removes the directory."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._locks = [lock, os.open(path, DIRECTORY)]
        fcntl.flock(self._locks[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody else has it without the first one

    @classmethod
    def make(cls, base: Path) -> Claim:
        """Raises OSError; nothing is left then."""
        for attempt in range(1, _CLAIMS + 1):
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
            try:
                lock = _lock(path)
            except (FileNotFoundError, BlockingIOError):
                if attempt == _CLAIMS:
                    raise
                continue
            except OSError:
                remove_tree(path, seconds=_SWEEP_SECONDS)
                raise
            if _lies_in(path, lock):
                return cls(path, lock)
            os.close(lock)
        msg = f"{_CLAIMS} directories in {base} were removed by others as they were made"
        raise OSError(msg)

    def make_outside(self) -> Path:
        """A directory in /tmp that belongs to the claim. Raises OSError; nothing is left then."""
        outside = Path(tempfile.mkdtemp(prefix=_OUTSIDE, dir="/tmp"))
        try:
            lock = os.open(outside, DIRECTORY)
            self._locks.append(lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (self.path / _ELSEWHERE).symlink_to(outside)
        except BaseException:
            outside.rmdir()
            raise
        return outside

    def close(self) -> None:
        """Let go of the locks. May be called again."""
        while self._locks:
            os.close(self._locks.pop())


def sweep(base: Path) -> None:
    """Remove what servers that have ended left in a base. Blocks; what cannot be removed is logged, and nothing is raised."""
    try:
        with contextlib.ExitStack() as stack:
            fd = os.open(base, DIRECTORY)
            stack.callback(os.close, fd)
            for name in os.listdir(fd):
                if name.startswith(_PREFIX):
                    _sweep(fd, name)
    except OSError as error:
        get_logger().warning("not_swept", reason=error.strerror)


def _sweep(base: int, name: str) -> None:
    """Remove one directory in a base, unless a living server holds it, or another one removes it."""
    with contextlib.ExitStack() as stack:
        try:
            directory = _open(base, name)
        except FileNotFoundError:  # another one has removed it
            return
        except OSError as error:
            get_logger().warning("files_left", directory=name, reason=error.strerror)
            return
        if directory is not None:
            stack.callback(os.close, directory)
            try:
                for lock in _locks_of(directory):
                    stack.callback(os.close, lock)
            except OSError:
                return
            _sweep_outside(directory)
        reason = remove_at(base, name, seconds=_SWEEP_SECONDS)
        if reason is not None:
            get_logger().warning("files_left", directory=name, reason=reason)


def _open(base: int, name: str) -> int | None:
    """A server's directory, after what code has mounted over it is taken off; None for what is no directory, and so nobody's.

    Raises OSError where it cannot be told whether a living server holds it."""
    try:
        try:
            return open_owned(base, name)
        except OSError as error:
            if error.errno != errno.EXDEV or not unmount(base, name):
                raise
            return open_owned(base, name)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def _locks_of(directory: int) -> list[int]:
    """Take the locks of a server's directory. Raises OSError if a living server holds one.

    Code may have put something else at the place of the file; the directory itself is locked, too."""
    locks = []
    try:
        with contextlib.suppress(OSError):
            locks.append(open_beneath(directory, ("lock",), os.O_CREAT | os.O_RDWR | os.O_NONBLOCK))
        locks.append(os.dup(directory))
        for lock in locks:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        for lock in locks:
            os.close(lock)
        raise
    return locks


def _sweep_outside(directory: int) -> None:
    """Remove the sockets of a server whose own directory has too long a path for them.

    Code may have put any link there: what it names is removed only if it looks like such a directory and nobody holds it."""
    try:
        path = os.readlink(_ELSEWHERE, dir_fd=directory)
        if not _OUTSIDE_NAME.fullmatch(path):
            return
        held = os.open(path, DIRECTORY)
    except OSError:
        return
    try:
        if os.fstat(held).st_uid == os.getuid():
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(Path(path), seconds=_SWEEP_SECONDS)
    except OSError:  # a living server's
        return
    finally:
        os.close(held)


def _lock(path: Path) -> int:
    """Take the lock of a server's directory. The lock ends with its process.

    Raises BlockingIOError if a living server holds it, FileNotFoundError if the directory is gone, or OSError."""
    fd = os.open(path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _lies_in(path: Path, lock: int) -> bool:
    """Whether this open file is the lock of that directory, and not of one that was removed meanwhile."""
    try:
        return os.path.samestat(os.fstat(lock), os.stat(path / "lock"))
    except FileNotFoundError:
        return False
