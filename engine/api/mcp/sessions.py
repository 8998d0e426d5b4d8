"""The sessions of MCP clients, as their requests show them: the longest idle one makes room for a new one."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from engine.log import get_logger
from engine.metrics import Metrics

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

IDLE = 1800.0  # seconds after which the transport ends a session by itself
MAX_OPENING = 64 * 1024  # bytes of the request that opens a session, which the transport keeps
_HEADER = "mcp-session-id"


def opens_session(scope: Scope) -> bool:
    """Whether a POST opens a session: those of newer versions of the protocol have none. Needs the package `mcp`."""
    from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

    headers = Headers(scope=scope)
    version = headers.get("mcp-protocol-version")
    return _HEADER not in headers and (version is None or version in HANDSHAKE_PROTOCOL_VERSIONS)


@dataclass(slots=True)
class _Session:
    used_at: float
    calls: int = 0  # POST requests that are being answered


class Sessions:
    """Passes requests on to the transport, which keeps the sessions. `limit`: how many there may be.

    Sessions with a call under way are not ended; the transport refuses a new session only if there are twice `limit` of them."""

    def __init__(self, limit: int, metrics: Metrics) -> None:
        self._limit = limit
        self._by_id: OrderedDict[str, _Session] = OrderedDict()  # the longest idle first
        self._evicted = metrics.mcp_sessions_evicted
        metrics.mcp_sessions.set_function(self._count)

    def __len__(self) -> int:
        return len(self._by_id)

    def _count(self) -> int:
        self._forget_ended()
        return len(self)

    def _forget_ended(self) -> None:
        """Forget those that the transport has ended by itself."""
        end = time.monotonic() - IDLE
        while self._by_id:
            session_id, session = next(iter(self._by_id.items()))
            if session.calls or session.used_at > end:
                return
            del self._by_id[session_id]

    async def serve(self, manager: StreamableHTTPSessionManager, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and then end what is more than the limit."""
        session_id = Headers(scope=scope).get(_HEADER)
        is_call = scope["method"] == "POST"
        session = self._by_id.get(session_id) if session_id is not None else None
        status, opened = 0, None

        async def watch(message: Message) -> None:
            nonlocal status, opened, session
            if message["type"] == "http.response.start":
                status = message["status"]
                opened = Headers(raw=message["headers"]).get(_HEADER) if session_id is None else None
                if opened is not None and status == 200:
                    session = self._by_id[opened] = _Session(time.monotonic(), calls=1)
            await send(message)

        if session_id is not None and session is not None:
            session.calls += is_call
            self._note_use(session_id, session)
        try:
            await manager.handle_request(scope, receive, watch)
        finally:
            if session is not None:
                session.calls -= is_call
                self._note_use(session_id or opened or "", session)
        if session_id is not None and (status == 404 or (scope["method"] == "DELETE" and status == 200)):
            self._by_id.pop(session_id, None)
        if opened is not None:
            await self._make_room(manager)

    def _note_use(self, session_id: str, session: _Session) -> None:
        session.used_at = time.monotonic()
        if self._by_id.get(session_id) is session:  # it may have ended meanwhile
            self._by_id.move_to_end(session_id)

    async def _make_room(self, manager: StreamableHTTPSessionManager) -> None:
        self._forget_ended()
        over = len(self._by_id) - self._limit
        for session_id in [each for each, session in self._by_id.items() if not session.calls][: max(over, 0)]:
            session = self._by_id.pop(session_id)
            self._evicted.inc()
            get_logger().info("mcp_session_evicted", idle_seconds=round(time.monotonic() - session.used_at, 1))
            await manager.handle_request(_deletion(session_id), _nothing, _nowhere)


def _deletion(session_id: str) -> Scope:
    """The request with which a client ends its session."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "DELETE",
        "path": "/mcp",
        "query_string": b"",
        "headers": [(_HEADER.encode(), session_id.encode()), (b"accept", b"application/json, text/event-stream")],
    }


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _nowhere(message: Message) -> None:
    """Nobody waits for this answer."""
