"""An execution as an answer: one JSON document, server-sent events or NDJSON, and what a vanished client means."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from starlette.types import Receive, Scope, Send

from engine.api.http.large import PIECE
from engine.api.http.results import encode_event
from engine.models import Event

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"
PING_INTERVAL = 5.0  # seconds
OnDisconnect = Callable[[], Awaitable[object]]


class _Recent:
    """Large events that were encoded last: readers who follow one execution ask for each at about the same time."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._encoded: OrderedDict[int, tuple[Event, bytes]] = (
            OrderedDict()
        )  # by identity, so that the event has to be kept

    def encode(self, number: int, event: Event) -> bytes:
        known = self._encoded.get(id(event))
        if known is not None:
            return known[1]
        data = encode_event(number, event)
        if _WORTHWHILE <= len(data) <= self._max_bytes:
            self._encoded[id(event)] = event, data
            self._bytes += len(data)
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._encoded.popitem(last=False)[1][1])
        return data


_SSE_NAMES = {"error": "failed"}
"""Names of events on a stream of server-sent events, if other than their type: a browser tells of its connection with `error`."""
_WORTHWHILE = 4096  # bytes
_recent = _Recent(8 * 1024 * 1024)


def wanted_stream(accept: str) -> str | None:
    """Which kind of stream an Accept header asks for, if any."""
    return next((kind for kind in (SSE, NDJSON) if kind in accept), None)


class Followed(Protocol):
    """What has events: an execution, or an installation."""

    @property
    def location(self) -> str | None:
        """The path of it; None where it cannot be asked for again."""

    def follow(self, after: int = 0, *, ping: float | None = None) -> AsyncIterator[tuple[int, Event] | None]: ...


class EventStream:
    """An ASGI response that follows an execution from `after` on, to its end or until the client goes away."""

    def __init__(
        self, execution: Followed, kind: str, *, after: int = 0, on_disconnect: OnDisconnect | None = None
    ) -> None:
        self._execution = execution
        self._kind = kind
        self._after = after
        self._on_disconnect = on_disconnect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [
            (b"content-type", self._kind.encode() + b"; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        if self._execution.location is not None:
            headers.append((b"location", self._execution.location.encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with Disconnect(receive, self._on_disconnect) as disconnect:
            await self._send_events(send, disconnect)
        if not disconnect.happened:
            await send({"type": "http.response.body", "body": b""})

    async def _send_events(self, send: Send, disconnect: Disconnect) -> None:
        async for entry in self._execution.follow(self._after, ping=PING_INTERVAL):
            if disconnect.happened:
                return
            chunk = self._encode(*entry) if entry else self._ping()
            view = memoryview(chunk)
            for start in range(0, len(view), PIECE):
                await send({"type": "http.response.body", "body": view[start : start + PIECE], "more_body": True})

    def _encode(self, number: int, event: Event) -> bytes:
        data = _recent.encode(number, event)
        if self._kind == NDJSON:
            return data + b"\n"
        tag = str(type(event).__struct_config__.tag)
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, _SSE_NAMES.get(tag, tag).encode(), data)

    def _ping(self) -> bytes:
        return b"" if self._kind == NDJSON else b": ping\n\n"


class Disconnect:
    """Watches for the client to go away while the body runs; then `action` is called, once."""

    def __init__(self, receive: Receive, action: OnDisconnect | None = None) -> None:
        self._receive = receive
        self._action = action
        self._task: asyncio.Task[None] | None = None
        self.happened = False

    async def __aenter__(self) -> Disconnect:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._task is not None
        if not self.happened:
            self._task.cancel()
        await asyncio.wait({self._task})

    async def wait(self) -> None:
        """Return when the client is gone."""
        assert self._task is not None
        await asyncio.wait({self._task})

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.happened = True
        if self._action is not None:
            await self._action()
