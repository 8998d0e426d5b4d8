"""The MCP dialect: its streamable HTTP transport at /mcp. The server behind it is loaded with the first request.

What it needs is an optional package; without it the path answers 501, and says how to install it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from engine.api.http import errors
from engine.api.http.dialect import Dialect, State
from engine.api.http.parsing import parse_json
from engine.api.http.requests import received
from engine.api.mcp.sessions import IDLE, MAX_OPENING, Sessions, opens_session
from engine.core import Engine
from engine.errors import NotSupported, PolyreplError, RequestTooLarge, ShuttingDown

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

NAME = "mcp"
PATH = "/mcp"


def is_installed() -> bool:
    return importlib.util.find_spec("mcp") is not None


class McpState(State):
    """An ASGI application that starts the sessions' manager when it is first asked, and ends it with the server."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sessions = Sessions(engine.settings.max_mcp_sessions, engine.metrics)
        self._manager: asyncio.Task[StreamableHTTPSessionManager] | None = None
        self._runner: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_installed():
            error = NotSupported("MCP", "this server", "install it with: pip install 'polyrepl[mcp]'")
            await errors.render(error)(scope, receive, send)
            return
        if self._over.is_set():
            await errors.render(ShuttingDown())(scope, receive, send)
            return
        if self._manager is None or _has_failed(self._manager):
            self._manager = asyncio.create_task(self._start(self._engine))
        manager = await asyncio.shield(self._manager)
        async with contextlib.AsyncExitStack() as serving:
            try:
                # What the manager makes of the body waits until the request is answered.
                body = await serving.enter_async_context(received(Request(scope, receive), self._engine))
                if len(body) > MAX_OPENING and opens_session(scope):
                    raise RequestTooLarge(MAX_OPENING)
                await parse_json(body, len)  # looked at before it is parsed on the loop
            except PolyreplError as error:
                await errors.render(error)(scope, receive, send)
                return
            await self._sessions.serve(manager, scope, _after(body, receive), send)

    async def _start(self, engine: Engine) -> StreamableHTTPSessionManager:
        # Loading takes a second: not on the loop that everybody else's requests are on.
        server = await asyncio.to_thread(importlib.import_module, "engine.api.mcp.server")
        transports = await asyncio.to_thread(importlib.import_module, "mcp.server.streamable_http_manager")
        manager: StreamableHTTPSessionManager = transports.StreamableHTTPSessionManager(
            server.make_server(engine),
            session_idle_timeout=IDLE,
            max_sessions=2 * engine.settings.max_mcp_sessions,
            max_request_body_size=engine.settings.max_request_bytes,
        )
        running = asyncio.Event()
        self._runner = asyncio.create_task(self._run(manager, running))
        await running.wait()
        if self._runner.done():
            self._runner.result()
        return manager

    async def _run(self, manager: StreamableHTTPSessionManager, running: asyncio.Event) -> None:
        try:
            async with manager.run():
                running.set()
                await self._over.wait()
        finally:
            running.set()  # whoever waits for it sees that it failed

    async def aclose(self) -> None:
        """End all sessions. May be called again."""
        self._over.set()
        if self._manager is not None:
            await asyncio.wait({self._manager})
        if self._runner is not None:
            await asyncio.wait({self._runner})


def _after(body: bytes, receive: Receive) -> Receive:
    """What a request receives whose body has been read."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_next() -> Message:
        return messages.pop() if messages else await receive()

    return receive_next


def _has_failed(starting: asyncio.Task[StreamableHTTPSessionManager]) -> bool:
    return starting.done() and (starting.cancelled() or starting.exception() is not None)


class _Endpoint:
    """The path of the transport."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state: McpState = scope["app"].state.dialects[NAME]
        await state(scope, receive, send)


class _Mcp(Dialect):
    name = NAME

    def routes(self) -> list[BaseRoute]:
        return [Route(PATH, _Endpoint(), methods=["GET", "POST", "DELETE"])]

    def owns(self, scope: Scope) -> bool:
        return bool(scope["path"] == PATH)

    def render(self, error: PolyreplError) -> Response:
        return errors.render(error)

    def refuse(self, status: int, message: str, headers: Mapping[str, str]) -> Response:
        return errors.refuse(status, message, headers)

    def open(self, engine: Engine) -> McpState:
        return McpState(engine)


MCP = _Mcp()
