"""The files of contexts, as the APIs see them: listed, read, written and deleted by path, within the working directory.

`Files` is all that the APIs know of it. `LocalFiles` works on a directory of this machine. Where a context's files lie elsewhere
(on a remote Jupyter they are reached through the kernel), another class has these four methods; `Engine.files` chooses.
Paths are relative, with / between the names; a path that leads out of the directory is refused, and no link is followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Literal, Protocol

from engine.errors import FieldError, FileConflict, FileMissing, Forbidden, InvalidRequest, StorageFull
from engine.models import FileInfo, FileList
from engine.workspaces.beneath import NotAFile
from engine.workspaces.directories import split
from engine.workspaces.refusals import shortage

_TYPES: tuple[tuple[Callable[[int], bool], Literal["file", "directory", "symlink"]], ...] = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "directory"),
    (stat.S_ISLNK, "symlink"),
)
FILE_TYPES = {
    "directory": "is a directory",
    "symlink": "is a symbolic link, and none is followed",
    "other": "is a pipe, a socket or a device",
}
# The times that a date can express, in seconds: code may give a file any other.
_EARLIEST = datetime(1, 1, 2, tzinfo=UTC).timestamp()
_LATEST = datetime(9999, 12, 30, tzinfo=UTC).timestamp()


class OpenFile(Protocol):
    """A file being read. `etag`: a quoted string that another content of the file does not have."""

    @property
    def info(self) -> FileInfo: ...
    @property
    def etag(self) -> str: ...
    def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end`, at most `info.size`."""

    async def aclose(self) -> None:
        """Let go of it. May be called again."""


class Files(Protocol):
    """The files of one context. Each method raises what is wrong as InvalidRequest, NotFound, Conflict, Forbidden or NotSupported."""

    async def list(self, path: str = "", *, recursive: bool = False, limit: int = 1000, after: str = "") -> FileList:
        """What is in a directory, sorted by path: the first `limit` of what comes after the path `after`."""

    async def read(self, path: str) -> OpenFile: ...
    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> tuple[FileInfo, bool]:
        """Write a file, and the directories above it; it is there as a whole or not at all. Tells whether it is a new one.

        Raises also FileTooLarge and StorageFull."""

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete a file, or a directory: with all that is in it where `recursive`."""


def checked_path(path: str, *, is_directory: bool = False) -> tuple[str, ...]:
    """The names in a path. Raises InvalidRequest for one that leads out, and for an empty one where a file is meant."""
    try:
        names = split(path)
    except ValueError as error:
        raise InvalidRequest(FieldError("path", str(error))) from None
    if not is_directory and (not names or path.endswith("/")):
        raise InvalidRequest(FieldError("path", "must name a file"))
    return names


def modified(seconds: float) -> str:
    """A file's time as text; one that no date can express becomes the nearest."""
    when = datetime.fromtimestamp(min(max(seconds, _EARLIEST), _LATEST), UTC)
    return when.isoformat(timespec="milliseconds")


def file_info(names: tuple[str, ...], info: os.stat_result) -> FileInfo:
    return FileInfo(
        path="/".join(names),
        type=next((name for is_type, name in _TYPES if is_type(info.st_mode)), "other"),
        size=info.st_size,
        modified=modified(info.st_mtime),
    )


def file_error(error: OSError, path: str) -> Exception:
    """What the operating system says against the work on a path, in our words."""
    if isinstance(error, NotAFile):
        return FileConflict(path, f"is a {error.kind}, not a file")
    if (short := shortage(error)) is not None:
        return short
    match error.errno:
        case errno.ENOENT:
            return FileMissing(path)
        case errno.ENOTDIR | errno.ELOOP:
            return FileConflict(path, "leads through what is no directory; a symbolic link is not followed")
        case errno.EXDEV:
            return FileConflict(path, "leads into another file system, which is not entered")
        case errno.EISDIR:
            return FileConflict(path, "is a directory")
        case errno.ENOTEMPTY | errno.EEXIST:
            return FileConflict(path, "is a directory that is not empty; to delete it with all in it, ask for that")
        case errno.EFBIG:
            return StorageFull(error.strerror or "the disk is full")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return Forbidden(f"{path!r} cannot be used: {error.strerror}")
        case errno.ENAMETOOLONG | errno.EINVAL:
            return InvalidRequest(FieldError("path", error.strerror or "is no valid path"))
        case _:
            return FileConflict(path, f"cannot be used: {error.strerror or error}")
