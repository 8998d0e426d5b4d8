"""Removing directories that belong to code which is not trusted: whatever it has made of them, and while it still writes.

One level is worked on at a time: what lies deeper is moved up first, so neither depth nor the length of a path matters, and few
descriptors are open. Nothing here raises an OSError: what is left, and why, is the answer."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import itertools
import os
import shutil
import stat
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from engine.workspaces.beneath import DIRECTORY, open_beneath

_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_PASSES = 20  # over one directory that do not make it smaller, while something may be written into it
_GETFLAGS, _SETFLAGS = 0x80086601, 0x40086602  # ioctl_iflags(2)
_FIXED = 0x10 | 0x20  # immutable, append only
_DETACH, _NOFOLLOW = 2, 8  # umount2(2)
_UNMOUNT_TIMEOUT = 2.0  # seconds
LATE = "there was no time for all of it"  # the one answer of `remove_at` that is no obstacle
_libc = ctypes.CDLL(None, use_errno=True)


def remove_at(parent: int, name: str, *, seconds: float) -> str | None:
    """Remove what is at `name` in an open directory, with all that is in it, within some seconds. No link is followed.

    Returns None when it is gone, or why something is left; called again, it goes on from there."""
    return _Removal(time.monotonic() + seconds).remove(parent, name)


def remove_tree(path: Path, *, seconds: float) -> str | None:
    """The same for a path. Its parent is trusted: it is opened as it is."""
    try:
        parent = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return error.strerror or str(error)
    try:
        return remove_at(parent, path.name, seconds=seconds)
    finally:
        os.close(parent)


def open_owned(parent: int, name: str) -> int:
    """A descriptor of a directory whose owner may have no rights to it; it has them then. Raises OSError."""
    try:
        return open_beneath(parent, (name,))
    except PermissionError:
        if not _allow(parent, name):
            raise
        return open_beneath(parent, (name,))


class _Removal:
    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._reason = "it is still written to"
        self._names = map(f".{uuid.uuid4().hex[:12]}-{{:x}}".format, itertools.count())

    def remove(self, parent: int, name: str) -> str | None:
        for _ in range(_PASSES):
            if self._unlink(parent, name) or self._rmdir(parent, name):
                return None
            if self._is_late():
                return LATE
            with self._opened(parent, name) as directory:
                if directory is not None:
                    self._empty(directory)
        return self._reason

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _empty(self, top: int) -> None:
        """Remove what is in a directory, as long as that makes it smaller."""
        passes = 0
        while passes < _PASSES and not self._is_late():
            seen, removed = self._pass_over(top, self._remove_directory)
            if not seen:
                return
            passes = 0 if removed else passes + 1

    def _pass_over(self, directory: int, on_directory: Callable[[int, str], bool]) -> tuple[int, int]:
        """Look at each entry once. Returns how many there were, and how many are gone."""
        seen = removed = 0
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    seen += 1
                    is_directory = entry.is_dir(follow_symlinks=False)
                    removed += (on_directory if is_directory else self._unlink)(directory, entry.name)
                    if self._is_late():
                        break
        except OSError as error:
            self._note(error)
        return seen, removed

    def _remove_directory(self, top: int, name: str) -> bool:
        """Remove a directory in `top`, with its files; directories in it are moved up into `top`."""
        if self._rmdir(top, name):
            return True
        moved = 0

        def move_up(directory: int, below: str) -> bool:
            nonlocal moved
            if self._rmdir(directory, below):
                return True
            place = next(self._names)
            done = self._try(directory, below, lambda: os.rename(below, place, src_dir_fd=directory, dst_dir_fd=top))
            moved += done
            return done

        with self._opened(top, name) as directory:
            if directory is not None:
                self._pass_over(directory, move_up)
        return self._rmdir(top, name) or moved > 0

    def _unlink(self, parent: int, name: str) -> bool:
        return self._try(parent, name, lambda: os.unlink(name, dir_fd=parent))

    def _rmdir(self, parent: int, name: str) -> bool:
        return self._try(parent, name, lambda: os.rmdir(name, dir_fd=parent))

    def _try(self, parent: int, name: str, action: Callable[[], None]) -> bool:
        """Do it, and once more when what was in its way could be mended. Returns whether it is done."""
        for mend in (self._mend, None):
            try:
                action()
            except FileNotFoundError:
                return True
            except (IsADirectoryError, NotADirectoryError):
                return False
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    return False
                self._note(error)
                if mend is None or not mend(parent, name, error):
                    return False
            else:
                return True
        return False

    @contextlib.contextmanager
    def _opened(self, parent: int, name: str):  # type: ignore[no-untyped-def]  # a context manager of int | None
        """A directory, with all rights for its owner; None if it cannot be opened."""
        fd = None
        for mend in (self._mend, None):
            try:
                fd = open_beneath(parent, (name,), DIRECTORY)
                break
            except OSError as error:
                self._note(error)
                if mend is None or not mend(parent, name, error):
                    break
        try:
            if fd is not None:
                with contextlib.suppress(OSError):
                    if os.fstat(fd).st_mode & 0o700 != 0o700:
                        os.fchmod(fd, 0o700)
            yield fd
        finally:
            if fd is not None:
                os.close(fd)

    def _note(self, error: OSError) -> None:
        self._reason = error.strerror or str(error)

    def _mend(self, parent: int, name: str, error: OSError) -> bool:
        """Take out of the way what the code has put there. Returns whether something was changed."""
        if error.errno in (errno.EBUSY, errno.EXDEV):
            return unmount(parent, name)
        if error.errno not in (errno.EACCES, errno.EPERM):
            return False
        done = _allow(parent, name)
        return _release(parent) or done


def _allow(parent: int, name: str) -> bool:
    """Give the owner of a directory all rights, and take the marks off that keep a file or a directory as it is."""
    done = False
    try:
        place = open_beneath(parent, (name,), _PLACE)
    except OSError:
        return False
    try:
        mode = os.fstat(place).st_mode
        if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
            os.chmod(f"/proc/self/fd/{place}", 0o700)
            done = True
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                done = _release(fd) or done
            finally:
                os.close(fd)
    except OSError:
        pass
    finally:
        os.close(place)
    return done


def _release(fd: int) -> bool:
    """Take the marks "immutable" and "append only" off."""
    try:
        flags = int.from_bytes(fcntl.ioctl(fd, _GETFLAGS, bytes(8)), "little")
        if not flags & _FIXED:
            return False
        fcntl.ioctl(fd, _SETFLAGS, (flags & ~_FIXED).to_bytes(8, "little"))
    except OSError:
        return False
    return True


def unmount(parent: int, name: str) -> bool:
    """Take off what is mounted there. What hangs is let go of as well."""
    place = f"/proc/self/fd/{parent}/{name}"
    if _libc.umount2(os.fsencode(place), _DETACH | _NOFOLLOW) == 0:
        return True
    for program in ("fusermount3", "fusermount"):  # an ordinary user's
        if shutil.which(program) is not None:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                path = os.path.join(os.readlink(f"/proc/self/fd/{parent}"), name)
                command = [program, "-u", "-z", "--", path]
                done = subprocess.run(command, capture_output=True, timeout=_UNMOUNT_TIMEOUT, check=False)
                return done.returncode == 0
    return False
