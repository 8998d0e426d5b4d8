"""A proxy for tests before a real server: its connections can be cut, and break by themselves in the middle of an answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Literal


class Proxy:
    """Passes on what comes, until `cut` ends its connections without a word: those whose first request has `path` in its line.
    `refuses`: new ones are ended at once; `swallows`: what the server sends, or what it is sent, by them is lost from now on;
    `lengths`: after how many bytes of answers each of the next ones breaks."""

    def __init__(self, port: int, path: bytes) -> None:
        self._target = port
        self._path = path
        self._both_ends: set[asyncio.StreamWriter] = set()
        self.refuses = False
        self.swallows: Literal["", "answers", "requests"] = ""
        self.lengths: Iterator[int] = iter(())
        self.broken = 0
        self._swallowed = 0
        self._has_swallowed = asyncio.Event()
        self.url = ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.read(65536)
            if not head:  # a client's spare connection, which it has closed unused
                writer.transport.abort()
                return
            is_meant = self._path in head.partition(b"\r\n")[0]
            if is_meant and self.refuses:
                writer.transport.abort()
                return
            length = next(self.lengths, None) if is_meant else None
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            both = {writer, far_writer}
            if is_meant:
                self._both_ends |= both
            try:
                far_writer.write(head)
                await asyncio.gather(
                    self._pass_on(reader, far_writer, "requests" if is_meant else "rest"),
                    self._pass_on(far_reader, writer, "answers" if is_meant else "rest", length),
                )
            finally:
                self._both_ends -= both
                for each in both:
                    each.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, what: str, length: int | None = None
    ) -> None:
        while data := await reader.read(65536 if length is None else min(length, 65536)):
            if self.swallows == what:
                self._swallowed += len(data)
                self._has_swallowed.set()
                continue
            writer.write(data)
            await writer.drain()
            if length is not None:
                length -= len(data)
                if not length:
                    self.broken += 1
                    break
        raise ConnectionError

    async def swallowed_all(self, size: int) -> None:
        """Return once so many bytes have been swallowed since the latest cut."""
        async with asyncio.timeout(30):
            while self._swallowed < size:
                self._has_swallowed.clear()
                await self._has_swallowed.wait()

    def cut(self) -> None:
        """What was swallowed until now is lost; new connections are whole."""
        self.swallows = ""
        self._swallowed = 0
        for writer in self._both_ends:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def proxy_to(port: int, path: bytes = b"") -> AsyncIterator[Proxy]:
    """A proxy to a server on this machine; `path` says whose connections are cut."""
    proxy = Proxy(port, path)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
