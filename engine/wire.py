"""What of uvicorn's protocols is ours (layer 9): the head of an answer waits for its body, so that both leave in one write."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_HEAD = b"HTTP/1.1 "
_LARGE = 64 * 1024
_CUT_WAIT = 15.0  # seconds that the peer of a websocket that has ended may take to read the rest


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol on a transport that joins a head and what follows it. A write is a system call that wakes the client;
    two of them cost a tenth of the server's time for a short answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(HeadHolder(transport, self.loop))


class HeadHolder(asyncio.Transport):
    """A transport that holds the head of an answer until the next write, or the next turn of the loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._head:
            head, self._head = self._head, b""
            if len(data) > _LARGE:  # a copy would cost more than a write
                self._transport.write(head)
                self._transport.write(data)
            else:
                self._transport.write(head + data)
        elif data[: len(_HEAD)] == _HEAD:
            self._head = bytes(data)
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def _flush(self) -> None:
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    def abort(self) -> None:
        self._head = b""
        self._transport.abort()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, which takes an application that has refused a websocket with an answer of its own for one that has failed, and
    logs an error. One that ends while its peer reads nothing is cut: else what waits for the peer would be held for good."""

    _cut: asyncio.TimerHandle | None = None
    _lost = False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._cut is not None:
            self._cut.cancel()
        self._lost = True
        super().connection_lost(exc)

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if not self._lost:
            self._cut = self.loop.call_later(_CUT_WAIT, self.transport.abort)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True
