"""Large answers: sent in pieces of one buffer, so that a slow reader holds no copy of its own; what readers hold is weighed."""

from __future__ import annotations

import asyncio
import time

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.api.http.peers import Peer, peer_of

PIECE = 256 * 1024  # bytes
_MAX_HELD = 256 * 1024 * 1024  # bytes of answers that are being read, from which on those that stall have to go
_STALLED = 5.0  # seconds in which a reader has taken nothing


class LargeResponse(Response):
    """A response whose body may be another response's, too. `shared`: what has to be there until it is sent."""

    shared: object = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or len(self.body) <= PIECE:
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        view = memoryview(self.body)
        with Reading(peer_of(scope), self.body) as reading:
            for start in range(0, len(view), PIECE):
                await send({"type": "http.response.body", "body": view[start : start + PIECE], "more_body": True})
                reading.note_progress()
                await asyncio.sleep(0)  # the system takes some MB at once, and the others wait for each piece
        await send({"type": "http.response.body", "body": b""})


class Reading:
    """One reader of a body. Of all together, those that have stalled go, the longest first, when they hold too much."""

    _all: dict[Reading, None] = {}  # noqa: RUF012 - those that took something last come last

    def __init__(self, peer: Peer | None, body: bytes | memoryview) -> None:
        self._peer = peer
        self._body = body
        self._moved_at = time.monotonic()

    def __enter__(self) -> Reading:
        self._all[self] = None
        self._make_room()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._all.pop(self, None)

    def note_progress(self) -> None:
        self._moved_at = time.monotonic()
        if self._all.pop(self, self) is None:
            self._all[self] = None

    def _make_room(self) -> None:
        while sum({id(each._body): len(each._body) for each in self._all}.values()) > _MAX_HELD:
            first = next(iter(self._all))
            if self._moved_at - first._moved_at < _STALLED:
                return
            del self._all[first]
            if first._peer is not None:
                first._peer.evict("stalled")
