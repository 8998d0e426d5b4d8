"""Opening what lies below a directory that is open already, so that nothing leads out of it: no link, no `..` and no mount.

openat2(2) does it in one call. Where the kernel has no openat2, each name is opened in the directory before it."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat
from collections.abc import Sequence

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: a pipe's open waits for its other end, and that of a file with a lease for the end of that.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPENAT2 = 437  # the same number on every architecture that Python knows
_TRIES = 3  # after the first one
_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 1, 2, 4, 8
_KINDS = (
    (stat.S_ISDIR, "directory"),
    (stat.S_ISLNK, "symbolic link"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
)


class NotAFile(OSError):
    """Something else than a regular file is there. `kind`: what it is, for people."""

    def __init__(self, kind: str) -> None:
        super().__init__(errno.EINVAL, f"is a {kind}, not a file")
        self.kind = kind


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)


def open_beneath(
    directory: int, names: Sequence[str], flags: int = DIRECTORY, mode: int = 0o600, *, crosses: bool = False
) -> int:
    """A descriptor of what is at `names` below an open directory; of the directory itself if there are none.

    `crosses`: also on a file system that is mounted there. Raises OSError: ELOOP or ENOTDIR for a link, EXDEV for a mount."""
    if not names:
        return os.open(".", flags & ~os.O_NOFOLLOW, dir_fd=directory)
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    if not _has_openat2():
        return _step_by_step(directory, names, flags, mode, crosses=crosses)
    resolve = _BENEATH | _NO_MAGICLINKS | _NO_SYMLINKS | (0 if crosses else _NO_XDEV)
    return _openat2(directory, "/".join(names), flags, mode, resolve)


def open_file(directory: int, names: Sequence[str], *, crosses: bool = False) -> tuple[int, os.stat_result]:
    """A descriptor to read the regular file at `names`, and its status. Raises NotAFile and what `open_beneath` raises.

    The file is looked at before it is opened: to open a device can do something."""
    place = open_beneath(directory, names, _PLACE, crosses=crosses)
    try:
        check_file(os.fstat(place))
        try:
            fd = os.open(f"/proc/self/fd/{place}", _READ & ~os.O_NOFOLLOW)
        except FileNotFoundError:  # no /proc
            fd = open_beneath(directory, names, _READ, crosses=crosses)
    finally:
        os.close(place)
    try:
        info = os.fstat(fd)
        check_file(info)
    except BaseException:
        os.close(fd)
        raise
    return fd, info


def read_file(directory: int, names: Sequence[str], *, limit: int, crosses: bool = False) -> bytes:
    """The content of a regular file of at most `limit` bytes. Raises what `open_file` raises, and OSError EFBIG."""
    fd, info = open_file(directory, names, crosses=crosses)
    try:
        content = bytearray()
        while len(content) <= limit and (part := os.read(fd, min(limit + 1 - len(content), 1024 * 1024))):
            content += part
    finally:
        os.close(fd)
    if len(content) > limit or info.st_size > limit:
        raise OSError(errno.EFBIG, f"is larger than {limit} bytes")
    return bytes(content)


def check_file(info: os.stat_result) -> None:
    """Raises NotAFile for what is no regular file."""
    if not stat.S_ISREG(info.st_mode):
        raise NotAFile(next((kind for is_kind, kind in _KINDS if is_kind(info.st_mode)), "device"))


def _openat2(directory: int, path: str, flags: int, mode: int, resolve: int) -> int:
    how = _How(flags, mode if flags & os.O_CREAT else 0, resolve)
    tries = 0
    while True:
        fd: int = _libc.syscall(_OPENAT2, directory, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return fd
        error = ctypes.get_errno()
        tries += error == errno.EAGAIN  # something is renamed meanwhile, or the file has a lease
        if error not in (errno.EINTR, errno.EAGAIN) or tries > _TRIES:
            raise OSError(error, os.strerror(error), path)


@functools.cache
def _has_openat2() -> bool:
    """False on old kernels, and where a filter of system calls refuses it."""
    try:
        os.close(_openat2(-100, ".", _PLACE, 0, 0))
    except OSError:
        return False
    return True


def _step_by_step(directory: int, names: Sequence[str], flags: int, mode: int, *, crosses: bool) -> int:
    device = os.fstat(directory).st_dev
    here = os.dup(directory)
    try:
        for number, name in enumerate(names, 1):
            if name in (".", "..") or "/" in name:
                raise OSError(errno.EXDEV, "leads out of the directory", name)
            is_last = number == len(names)
            below = os.open(name, flags if is_last else _PLACE | os.O_DIRECTORY, mode, dir_fd=here)
            os.close(here)
            here = below
            if not crosses and os.fstat(here).st_dev != device:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
    except BaseException:
        os.close(here)
        raise
    return here
