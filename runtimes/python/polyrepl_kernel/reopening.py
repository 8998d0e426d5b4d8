"""Open files of a branch: opened anew, so that neither moves the other's position, and in the branch's copy of a directory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress

from .inventory import Descriptors, OpenFile

_NOT_AGAIN = os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_NOFOLLOW | os.O_NOCTTY
_MAX_COPY = 256 * 1024 * 1024  # bytes of a file without a name, which only this process could copy
_DELETED = " (deleted)"

Lost = tuple[str, str]


def moved(path: str, directories: Sequence[tuple[str, str]]) -> str | None:
    """Where `path` leads when each first directory has become the second; None where it is in none of them."""
    for old, new in directories:
        if path == old or path.startswith(old + "/"):
            return new + path[len(old) :]
    return None


def reopen(descriptors: Descriptors, directories: Sequence[tuple[str, str]]) -> list[Lost]:
    """Exchange what the descriptors lead to, keeping their numbers; returns kind and name of what could not be."""
    blind(descriptors.unusable)
    lost = []
    for file in descriptors.files:
        try:
            new = _copy(file) if file.is_deleted and not file.is_directory else _open(file, directories)
        except OSError as error:
            lost.append(("file", f"{file.fd} {file.path}: shared, {error.strerror}"))
            continue
        os.dup2(new, file.fd, inheritable=file.inheritable)
        os.close(new)
    return lost


def blind(fds: Sequence[int]) -> None:
    """Have descriptors lead nowhere; their numbers stay taken, as somebody will close them one day."""
    if fds:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for fd in fds:
            os.dup2(null, fd, inheritable=False)
        os.close(null)


def _open(file: OpenFile, directories: Sequence[tuple[str, str]]) -> int:
    flags = file.flags & ~_NOT_AGAIN | os.O_CLOEXEC
    place = moved(file.path, directories)
    fd = os.open(place if place is not None else f"/proc/self/fd/{file.fd}", flags)
    if file.position:
        os.lseek(fd, file.position, os.SEEK_SET)
    return fd


def _copy(file: OpenFile) -> int:
    """A file without a name is only reachable through its descriptor: the branch gets a copy, as nameless."""
    size = os.fstat(file.fd).st_size
    if size > _MAX_COPY:
        raise OSError(0, f"larger than {_MAX_COPY} bytes")
    name = os.path.basename(file.path.removesuffix(_DELETED))
    source = os.open(f"/proc/self/fd/{file.fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fd = _nameless(name, file.flags)
        start = 0
        while start < size:
            data = os.pread(source, 1024 * 1024, start)
            if not data:
                break
            start += os.pwrite(fd, data, start)
    finally:
        os.close(source)
    os.lseek(fd, file.position, os.SEEK_SET)
    return fd


def _nameless(name: str, flags: int) -> int:
    with suppress(OSError):
        return os.open(tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC | flags & os.O_APPEND, 0o600)
    return os.memfd_create(name)
