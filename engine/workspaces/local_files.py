"""The files of a context on this machine: reached by descriptor, in threads, within quotas and with a deadline."""

from __future__ import annotations

import asyncio
import itertools
import os
import stat
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import TypeVar

from engine.errors import ContextEnded, FileConflict, FilesUnavailable
from engine.models import FileInfo, FileList
from engine.workspaces.beneath import open_file
from engine.workspaces.directories import walk_sorted
from engine.workspaces.files import OpenFile, checked_path, file_error, file_info
from engine.workspaces.places import descended
from engine.workspaces.removal import remove_at
from engine.workspaces.threads import Lane, Stuck
from engine.workspaces.uploads import Upload
from engine.workspaces.usage import FileLimits
from engine.workspaces.workspace import Workspace

STEP_SECONDS = 20.0  # that one piece of work may take: a list, a part of a file
_CHUNK = 1024 * 1024
Value = TypeVar("Value")


class LocalFiles:
    """The files of a workspace. Quotas count where the working directory is the context's own.

    Every method raises FilesUnavailable where a file system does not answer, ContextEnded, and what `Files` says."""

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
        return await self._run(path, lambda: self._open(names), drop=LocalFile.close)

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> tuple[FileInfo, bool]:
        names = checked_path(path)
        here = self._workspace
        uploads = here.uploads if here.is_own else None
        upload = await self._run(
            path, lambda: Upload(path, names, here.work, uploads, self._limits, here.usage), drop=Upload.close
        )
        try:
            async for part in _large(chunks):
                await self._run(path, lambda part=part: upload.append(part))  # type: ignore[misc]
            return await self._run(path, upload.publish)
        finally:
            await asyncio.shield(_closed(here.lanes.files, upload))

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        names = checked_path(path)
        await self._run(path, lambda: self._delete(path, names, recursive=recursive))

    async def _run(
        self, path: str, work: Callable[[], Value], *, drop: Callable[[Value], object] | None = None
    ) -> Value:
        """Do it in a thread, with what the operating system says against it in our words. `drop`: as for `Lane.run`."""
        if self._workspace.is_gone:
            raise ContextEnded(self._context_id)
        try:
            self._workspace.anchor.make()
            return await self._workspace.lanes.files.run(work, timeout=STEP_SECONDS, drop=drop)
        except Stuck:
            raise FilesUnavailable(self._context_id, STEP_SECONDS) from None
        except OSError as error:
            if self._workspace.is_gone:
                raise ContextEnded(self._context_id) from None
            raise file_error(error, path) from None

    def _list(self, names: tuple[str, ...], *, recursive: bool, limit: int, after: tuple[str, ...]) -> FileList:
        work = self._workspace.work
        with work.opened(make=True) as root, descended(root, names, crosses=work.crosses) as directory:
            found = walk_sorted(
                directory, limit=limit + 1, after=after, recursive=recursive, above=names, crosses=work.crosses
            )
            items = [file_info(path, info) for path, info in itertools.islice(found, limit + 1)]
        return FileList(items=items[:limit], truncated=len(items) > limit)

    def _open(self, names: tuple[str, ...]) -> LocalFile:
        work = self._workspace.work
        with work.opened(make=True) as root:
            fd, info = open_file(root, names, crosses=work.crosses)
        return LocalFile(fd, file_info(names, info), _etag(info), self._workspace.lanes.files)

    def _delete(self, path: str, names: tuple[str, ...], *, recursive: bool) -> None:
        work = self._workspace.work
        *above, name = names
        with work.opened(make=True) as root, descended(root, tuple(above), crosses=work.crosses) as directory:
            info = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISDIR(info.st_mode):
                os.unlink(name, dir_fd=directory)
            elif not recursive:
                os.rmdir(name, dir_fd=directory)
            elif (reason := remove_at(directory, name, seconds=STEP_SECONDS / 2)) is not None:
                raise FileConflict(path, f"is not removed yet: {reason}")


class LocalFile:
    """A file on this machine that is being read; it stays open until `aclose`."""

    def __init__(self, fd: int, info: FileInfo, etag: str, lane: Lane) -> None:
        self.info = info
        self.etag = etag
        self._lane = lane
        self._fd: int | None = fd
        self._lock = threading.Lock()

    async def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        end = self.info.size if end is None else min(end, self.info.size)
        while start < end:
            size = min(_CHUNK, end - start)
            part = await self._lane.run(lambda size=size, start=start: self._read(size, start), timeout=STEP_SECONDS)  # type: ignore[misc]
            if not part:  # it has become shorter
                return
            start += len(part)
            yield part

    def _read(self, size: int, start: int) -> bytes:
        with self._lock:
            return b"" if self._fd is None else os.pread(self._fd, size, start)

    async def aclose(self) -> None:
        # In a thread: one that reads still, for a caller that was cancelled, is waited for.
        await asyncio.shield(_closed(self._lane, self))

    def close(self) -> None:
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None


async def _closed(lane: Lane, opened: LocalFile | Upload) -> None:
    """Close it in a thread, which may have to wait for one that works with it still."""
    try:
        await lane.run(opened.close, timeout=STEP_SECONDS)
    except Stuck:
        lane.threads.leave(opened.close)


def _etag(info: os.stat_result) -> str:
    return f'"{info.st_ctime_ns:x}-{info.st_size:x}-{info.st_ino:x}"'


def _below(names: tuple[str, ...], last: tuple[str, ...]) -> tuple[str, ...]:
    """`last` as it is named from the directory at `names`; none where it is not below that."""
    return last[len(names) :] if last[: len(names)] == names else ()


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
