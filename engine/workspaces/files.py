"""The files of contexts: listed, read, written and deleted by path, within the working directory and within quotas.

`Files` is all that the APIs know of it. `LocalFiles` works on a directory of this machine. Where a context's files lie elsewhere
(on a remote Jupyter they are reached through the kernel), another class has these four methods; `Engine.files` chooses.
Paths are relative, with / between the names; a path that leads out of the directory is refused, and no link is followed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import stat
import threading
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from shutil import rmtree
from typing import Literal, Protocol, TypeVar

from engine.errors import (
    ContextEnded,
    FieldError,
    FileConflict,
    FileMissing,
    FileTooLarge,
    Forbidden,
    InvalidRequest,
    StorageFull,
)
from engine.models import FileInfo, FileList
from engine.workspaces.directories import DIRECTORY, descended, opened, split, walk, walk_sorted
from engine.workspaces.workspace import Workspace

_CHUNK = 1024 * 1024
# Not blocking: what was a file a moment ago may be a pipe now, and a pipe's open waits for its other end.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
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
Value = TypeVar("Value")
Opened = TypeVar("Opened", "LocalFile", "_StagedFile")


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


@dataclass(frozen=True, slots=True)
class FileLimits:
    """`file_bytes` bounds one upload; where a context has more than `files`, or would have more than `bytes`, none is taken."""

    file_bytes: int
    files: int
    bytes: int


def checked_path(path: str, *, is_directory: bool = False) -> tuple[str, ...]:
    """The names in a path. Raises InvalidRequest for one that leads out, and for an empty one where a file is meant."""
    try:
        names = split(path)
    except ValueError as error:
        raise InvalidRequest(FieldError("path", str(error))) from None
    if not is_directory and (not names or path.endswith("/")):
        raise InvalidRequest(FieldError("path", "must name a file"))
    return names


class LocalFiles:
    """The files of a workspace on this machine. Quotas count where the working directory is the context's own."""

    def __init__(self, context_id: str, workspace: Workspace, limits: FileLimits) -> None:
        self._context_id = context_id
        self._workspace = workspace
        self._limits = limits

    async def list(self, path: str = "", *, recursive: bool = False, limit: int = 1000, after: str = "") -> FileList:
        names = checked_path(path, is_directory=True)
        last = checked_path(after, is_directory=True)
        below = _below(names, last)
        return await self._run(path, lambda: self._list(names, recursive=recursive, limit=limit, after=below))

    async def read(self, path: str) -> OpenFile:
        names = checked_path(path)
        return await self._run_open(path, lambda: self._open(path, names))

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> tuple[FileInfo, bool]:
        names = checked_path(path)
        staged = await self._run_open(path, lambda: self._stage(path, names))
        try:
            async for part in _large(chunks):
                await self._run(path, lambda part=part: staged.append(part))  # type: ignore[misc]
            return await self._run(path, staged.publish)
        finally:
            await asyncio.shield(asyncio.to_thread(staged.close))

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        names = checked_path(path)
        await self._run(path, lambda: self._delete(path, names, recursive=recursive))

    async def _run(self, path: str, work: Callable[[], Value]) -> Value:
        """Do it in a thread, with what the operating system says against it in our words."""
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            if self._workspace.is_gone or not self._workspace.root.exists():
                raise ContextEnded(self._context_id) from None
            raise file_error(error, path) from None

    async def _run_open(self, path: str, work: Callable[[], Opened]) -> Opened:
        """The same for what has to be closed: when the caller is cancelled, it is closed as soon as it is there."""
        opening = asyncio.ensure_future(self._run(path, work))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close)
            raise

    @contextlib.contextmanager
    def _root(self) -> Iterator[int]:
        if self._workspace.is_gone or not self._workspace.root.exists():
            raise ContextEnded(self._context_id)
        self._workspace.prepare()
        # A directory that a user named may be reached by a link; ours is one only by the doing of the context's code.
        flags = DIRECTORY if self._workspace.is_own else DIRECTORY & ~os.O_NOFOLLOW
        with opened(self._workspace.cwd, flags) as fd:
            yield fd

    def _list(self, names: tuple[str, ...], *, recursive: bool, limit: int, after: tuple[str, ...]) -> FileList:
        with self._root() as root, descended(root, names) as directory:
            found = walk_sorted(directory, limit=limit + 1, after=after, recursive=recursive, above=names)
            items = [_info(path, info) for path, info in itertools.islice(found, limit + 1)]
        return FileList(items=items[:limit], truncated=len(items) > limit)

    def _open(self, path: str, names: tuple[str, ...]) -> LocalFile:
        *above, name = names
        with self._root() as root, descended(root, tuple(above)) as directory:
            # Looked at first: the mere opening of a device can do something.
            _check_file(path, os.stat(name, dir_fd=directory, follow_symlinks=False))
            fd = os.open(name, _READ, dir_fd=directory)
        try:
            info = os.fstat(fd)
            _check_file(path, info)
        except BaseException:
            os.close(fd)
            raise
        return LocalFile(fd, names, info)

    def _stage(self, path: str, names: tuple[str, ...]) -> _StagedFile:
        room = self._limits.bytes
        with self._root() as root:
            if self._workspace.is_own:
                for count, (_, info) in enumerate(walk(root), 1):
                    room -= info.st_size if stat.S_ISREG(info.st_mode) else 0
                    if count >= self._limits.files:
                        raise StorageFull(f"the context has {self._limits.files} files, its limit")
            return _StagedFile(path, names, root, self._workspace, self._limits, room)

    def _delete(self, path: str, names: tuple[str, ...], *, recursive: bool) -> None:
        *above, name = names
        with self._root() as root, descended(root, tuple(above)) as directory:
            info = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISDIR(info.st_mode):
                os.unlink(name, dir_fd=directory)
            elif recursive:
                rmtree(name, dir_fd=directory)
            else:
                os.rmdir(name, dir_fd=directory)


class LocalFile:
    """A file on this machine that is being read; it stays open until `aclose`."""

    def __init__(self, fd: int, names: tuple[str, ...], info: os.stat_result) -> None:
        self.info = _info(names, info)
        self.etag = f'"{info.st_ctime_ns:x}-{info.st_size:x}-{info.st_ino:x}"'
        self._fd: int | None = fd
        self._lock = threading.Lock()

    async def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        end = self.info.size if end is None else min(end, self.info.size)
        while start < end:
            part = await asyncio.to_thread(self._read, min(_CHUNK, end - start), start)
            if not part:  # it has become shorter
                return
            start += len(part)
            yield part

    def _read(self, size: int, start: int) -> bytes:
        with self._lock:
            return b"" if self._fd is None else os.pread(self._fd, size, start)

    async def aclose(self) -> None:
        # In a thread: one that reads still, for a caller that was cancelled, is waited for.
        await asyncio.shield(asyncio.to_thread(self.close))

    def close(self) -> None:
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None


class _StagedFile:
    """A file that is being written: elsewhere until it is whole, then renamed into its place.

    Its methods are called in threads, of which one may still run for a caller that was cancelled when `close` comes."""

    def __init__(
        self, path: str, names: tuple[str, ...], root: int, workspace: Workspace, limits: FileLimits, room: int
    ) -> None:
        self._path = path
        self._names = names
        self._limits = limits
        self._size = 0
        self._lock = threading.Lock()
        self._name = f".{uuid.uuid4().hex}.part"
        self._fd = -1
        self._is_published = False
        with contextlib.ExitStack() as stack:
            self._root = os.dup(root)
            stack.callback(os.close, self._root)
            self._replaced = self._check_target()
            self._room = room + (self._replaced or 0)
            if workspace.is_own:  # where nobody sees it
                workspace.uploads.mkdir(mode=0o700, exist_ok=True)
                self._staging = os.open(workspace.uploads, DIRECTORY)
            else:  # beside its place, which may be on any file system
                with descended(root, names[:-1], make=True) as directory:
                    self._staging = os.dup(directory)
            stack.callback(os.close, self._staging)
            self._fd = os.open(self._name, _CREATE, 0o666, dir_fd=self._staging)
            stack.pop_all()

    def _check_target(self) -> int | None:
        """The size of the file that will be replaced, None for a new one. Raises FileConflict for what is no file."""
        *above, name = self._names
        try:
            with descended(self._root, tuple(above)) as directory:
                info = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISLNK(info.st_mode):  # a link is replaced, not written through
            _check_file(self._path, info)
        return info.st_size

    def append(self, part: bytes) -> None:
        with self._lock:
            if self._fd < 0:
                return
            self._size += len(part)
            if self._size > self._limits.file_bytes:
                raise FileTooLarge(self._path, self._limits.file_bytes)
            if self._size > self._room:
                raise StorageFull(f"the files of a context may take {self._limits.bytes} bytes")
            view = memoryview(part)
            while view:
                view = view[os.write(self._fd, view) :]

    def publish(self) -> tuple[FileInfo, bool]:
        *above, name = self._names
        with self._lock:
            with descended(self._root, tuple(above), make=True) as directory:
                info = os.fstat(self._fd)
                os.rename(self._name, name, src_dir_fd=self._staging, dst_dir_fd=directory)
                self._is_published = True
            return _info(self._names, info), self._replaced is None

    def close(self) -> None:
        with self._lock:
            if self._fd < 0:
                return
            os.close(self._fd)
            self._fd = -1
            if not self._is_published:
                with contextlib.suppress(OSError):
                    os.unlink(self._name, dir_fd=self._staging)
            os.close(self._staging)
            os.close(self._root)


def _close(opening: asyncio.Future[LocalFile] | asyncio.Future[_StagedFile]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _below(names: tuple[str, ...], last: tuple[str, ...]) -> tuple[str, ...]:
    """`last` as it is named from the directory at `names`; none where it is not below that."""
    return last[len(names) :] if last[: len(names)] == names else ()


def _info(names: tuple[str, ...], info: os.stat_result) -> FileInfo:
    return FileInfo(
        path="/".join(names),
        type=next((name for is_type, name in _TYPES if is_type(info.st_mode)), "other"),
        size=info.st_size,
        modified=datetime.fromtimestamp(info.st_mtime, UTC).isoformat(timespec="milliseconds"),
    )


def _check_file(path: str, info: os.stat_result) -> None:
    """Raises FileConflict for what is no regular file."""
    if not stat.S_ISREG(info.st_mode):
        raise FileConflict(path, FILE_TYPES[_info((), info).type])


async def _large(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in fewer parts: each costs a turn of a thread."""
    waiting: list[bytes] = []
    size = 0
    async for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= _CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def file_error(error: OSError, path: str) -> Exception:
    """What the operating system says against the work on a path, in our words."""
    match error.errno:
        case errno.ENOENT:
            return FileMissing(path)
        case errno.ENOTDIR | errno.ELOOP:
            return FileConflict(path, "leads through what is no directory; a symbolic link is not followed")
        case errno.EISDIR:
            return FileConflict(path, "is a directory")
        case errno.ENOTEMPTY | errno.EEXIST:
            return FileConflict(path, "is a directory that is not empty; to delete it with all in it, ask for that")
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return StorageFull(error.strerror or "the disk is full")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return Forbidden(f"{path!r} cannot be used: {error.strerror}")
        case errno.ENAMETOOLONG | errno.EINVAL:
            return InvalidRequest(FieldError("path", error.strerror or "is no valid path"))
        case _:
            return FileConflict(path, f"cannot be used: {error.strerror or error}")
