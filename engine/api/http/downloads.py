"""Files as they go over HTTP: downloads with ranges and conditions, and clients that go away while they send."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from email.utils import formatdate
from mimetypes import guess_type
from posixpath import basename
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.api.http.streaming import Disconnect
from engine.errors import RangeNotSatisfiable
from engine.workspaces import OpenFile

OCTETS = "application/octet-stream"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_NOT_QUOTED = re.compile(r'[^ -~]|["\\%]')
Endpoint = Callable[[Request], Awaitable[ASGIApp]]


def content_type_of(path: str) -> str:
    kind, encoding = guess_type(basename(path))
    return OCTETS if kind is None or encoding is not None else kind


class FileAnswer:
    """An ASGI response with a file, or with the part of it that the request asks for; the file is let go of at its end."""

    def __init__(self, file: OpenFile, content_type: str, part: tuple[int, int] | None) -> None:
        self._file = file
        self._content_type = content_type
        self._part = part

    @classmethod
    async def of(cls, request: Request, file: OpenFile, content_type: str) -> FileAnswer:
        """The answer to this request. Raises RangeNotSatisfiable, and lets go of the file then."""
        size = file.info.size
        part = _range(request.headers, file.etag, size)
        is_known = _matches(request.headers.get("if-none-match"), file.etag)
        if part is not None and part[0] >= part[1] and not is_known:
            await file.aclose()
            raise RangeNotSatisfiable(size)
        return cls(file, content_type, part)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(Request(scope), receive, send)
        finally:
            await self._file.aclose()

    async def _answer(self, request: Request, receive: Receive, send: Send) -> None:
        size, etag = self._file.info.size, self._file.etag
        headers = {
            "ETag": etag,
            "Accept-Ranges": "bytes",
            "Last-Modified": formatdate(datetime.fromisoformat(self._file.info.modified).timestamp(), usegmt=True),
            "Cache-Control": "private, no-cache",
        }
        if _matches(request.headers.get("if-none-match"), etag):
            await _send(send, 304, headers)
            return
        start, end = self._part or (0, size)
        headers |= {
            "Content-Type": self._content_type,
            "Content-Length": str(end - start),
            "Content-Disposition": disposition(basename(self._file.info.path)),
            # Somebody's HTML must not become a page of this origin.
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox",
        }
        if self._part is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        status = 200 if self._part is None else 206
        if request.method == "HEAD":
            await _send(send, status, headers)
            return
        await _start(send, status, headers)
        async with Disconnect(receive) as disconnect:
            async for chunk in self._file.chunks(start, end):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if disconnect.happened:
                    return
        await send({"type": "http.response.body", "body": b""})


async def _send(send: Send, status: int, headers: dict[str, str]) -> None:
    await _start(send, status, headers)
    await send({"type": "http.response.body", "body": b""})


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    return header.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in header.split(","))


def _range(headers: Headers, etag: str, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last that a Range header asks for; None where all is to be sent."""
    found = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if found is None or found.groups() == ("", "") or headers.get("if-range", etag) != etag:
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, size) if last else size


def disposition(name: str) -> str:
    """A Content-Disposition header with which a browser saves a file under this name."""
    plain = _NOT_QUOTED.sub("_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
