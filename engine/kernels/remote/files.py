"""The files of a context that runs elsewhere: reached through its kernel, by silent cells between the user's.

The same four methods as LocalFiles has. No quota is kept but the size of one upload: the disk is the remote's."""

from __future__ import annotations

import ast
import asyncio
import base64
import contextlib
import uuid
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import msgspec

from engine.errors import FileConflict, FileTooLarge, NotSupported
from engine.kernels import FileHolder, Kernel, evaluate_silently
from engine.kernels.remote.cells import expression, reach_file
from engine.models import FileInfo, FileList
from engine.workspaces import FILE_TYPES, OpenFile, checked_path, file_error, modified

_TURN_WAIT = 10.0  # seconds that a step waits for the cells before it
_TIMEOUT = 30.0  # seconds of one step
_CHUNK = 512 * 1024  # bytes
_MAX_LISTED = 10_001


class _Entry(msgspec.Struct):
    path: str
    type: str
    size: int
    modified: float
    etag: str

    def info(self) -> FileInfo:
        known = {"path": self.path, "type": self.type, "size": self.size, "modified": modified(self.modified)}
        return msgspec.convert(known, FileInfo)


class _Answer(msgspec.Struct):
    done: Any = None
    errno: int = 0
    reason: str = ""
    instead: str = ""


_answer_decoder = msgspec.json.Decoder(_Answer)


def _read_answer(text: str) -> _Answer:
    """An answer from the repr() of its JSON."""
    return _answer_decoder.decode(ast.literal_eval(text))


class RemoteFiles:
    """The files at `root` on the machine of a context's kernel; "": those where the kernel was started.

    Raises NotSupported where that is no Python kernel, and besides what every `Files` does ContextBusy, KernelStartFailed,
    KernelTimeout and KernelDied."""

    def __init__(self, holder: FileHolder, *, root: str, max_file_bytes: int) -> None:
        self._holder = holder
        self._root = root
        self._max_file_bytes = max_file_bytes

    async def list(self, path: str = "", *, recursive: bool = False, limit: int = 1000, after: str = "") -> FileList:
        names = checked_path(path, is_directory=True)
        last = list(checked_path(after, is_directory=True))
        limit = min(limit, _MAX_LISTED)
        found = await self._reach("list", path, names, recursive=recursive, limit=limit, after=last)
        items = await asyncio.to_thread(lambda: [_entry(each).info() for each in found])
        return FileList(items=items[:limit], truncated=len(items) > limit)

    async def read(self, path: str) -> OpenFile:
        names = checked_path(path)
        return RemoteFile(self, path, names, _entry(await self._reach("look", path, names)))

    async def read_part(self, path: str, names: tuple[str, ...], start: int, size: int) -> bytes:
        return base64.b64decode(await self._reach("read", path, names, start=start, size=min(size, _CHUNK)))

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> tuple[FileInfo, bool]:
        names = checked_path(path)
        part = f".{uuid.uuid4().hex}.part"
        size = 0
        try:
            async for data in _sized(chunks):
                if size + len(data) > self._max_file_bytes:
                    raise FileTooLarge(path, self._max_file_bytes)
                encoded = base64.b64encode(data).decode()
                await self._reach("write", path, names, part=part, start=size, data=encoded, make=True)
                size += len(data)
            entry, is_new = await self._reach("publish", path, names, part=part)
        except BaseException:
            with contextlib.suppress(Exception):
                await self._reach("delete", path, (*names[:-1], part), recursive=False)
            raise
        return _entry(entry).info(), bool(is_new)

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        await self._reach("delete", path, checked_path(path), recursive=recursive)

    async def _reach(self, action: str, path: str, names: tuple[str, ...], **given: Any) -> Any:
        """Have the kernel do it, in a turn of its own."""
        async with self._holder.turn(_TURN_WAIT) as kernel:
            answer = await self._ask(kernel, action, names, given)
        if answer.instead:
            raise FileConflict(path, FILE_TYPES[answer.instead])
        if answer.errno:
            raise file_error(OSError(answer.errno, answer.reason), path)
        return answer.done

    async def _ask(self, kernel: Kernel, action: str, names: tuple[str, ...], given: dict[str, Any]) -> _Answer:
        if kernel.spec.language.lower() != "python":
            raise NotSupported("files", self._holder.language.name, "its kernel runs on a remote Jupyter")
        asked = expression(reach_file, action=action, root=self._root, names=list(names), **given)
        text = await evaluate_silently(kernel, asked, timeout=_TIMEOUT)
        try:
            return await asyncio.to_thread(_read_answer, text or "")  # code of the context can make it anything
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, msgspec.DecodeError):
            raise NotSupported("files", self._holder.language.name, "its kernel gives no answer") from None


class RemoteFile:
    """A file that is being read. It is reached by its path each time: one that is replaced meanwhile is read on as the new one."""

    def __init__(self, files: RemoteFiles, path: str, names: tuple[str, ...], entry: _Entry) -> None:
        self.info = entry.info()
        self.etag = f'"{entry.etag}"'
        self._files = files
        self._path = path
        self._names = names

    async def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        end = self.info.size if end is None else min(end, self.info.size)
        while start < end:
            part = await self._files.read_part(self._path, self._names, start, end - start)
            if not part:  # it has become shorter
                return
            start += len(part)
            yield part

    async def aclose(self) -> None:
        return


def _entry(value: Any) -> _Entry:
    return msgspec.convert(value, _Entry)


async def _sized(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in parts that fit a message; one empty part of an empty file."""
    waiting = b""
    is_first = True
    async for chunk in chunks:
        waiting += chunk
        while len(waiting) >= _CHUNK:
            yield waiting[:_CHUNK]
            waiting, is_first = waiting[_CHUNK:], False
    if waiting or is_first:
        yield waiting
