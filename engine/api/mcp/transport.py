"""The MCP dialect: its streamable HTTP transport at /mcp. The server behind it is loaded with the first request.

What it needs is an optional package; without it the path answers 501, and says how to install it."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from engine.api.http.errors import render
from engine.errors import NotSupported

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from engine.core import Engine

_SESSION_IDLE = 1800.0  # seconds
_MAX_SESSIONS = 1000
PATH = "/mcp"


def is_installed() -> bool:
    return importlib.util.find_spec("mcp") is not None


class Mcp:
    """An ASGI application that starts the sessions' manager when it is first asked, and ends it with the server."""

    def __init__(self) -> None:
        self._manager: asyncio.Task[StreamableHTTPSessionManager] | None = None
        self._runner: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_installed():
            error = NotSupported("MCP", "this server", "install it with: pip install 'polyrepl[mcp]'")
            await render(error)(scope, receive, send)
            return
        if self._manager is None:
            self._manager = asyncio.create_task(self._start(scope["app"].state.engine))
        manager = await asyncio.shield(self._manager)
        await manager.handle_request(scope, receive, send)

    async def _start(self, engine: Engine) -> StreamableHTTPSessionManager:
        # Loading takes a second: not on the loop that everybody else's requests are on.
        server = await asyncio.to_thread(importlib.import_module, "engine.api.mcp.server")
        transports = await asyncio.to_thread(importlib.import_module, "mcp.server.streamable_http_manager")
        manager: StreamableHTTPSessionManager = transports.StreamableHTTPSessionManager(
            server.make_server(engine),
            session_idle_timeout=_SESSION_IDLE,
            max_sessions=_MAX_SESSIONS,
            max_request_body_size=engine.settings.max_request_bytes,
        )
        running = asyncio.Event()
        self._runner = asyncio.create_task(self._run(manager, running))
        await running.wait()
        return manager

    async def _run(self, manager: StreamableHTTPSessionManager, running: asyncio.Event) -> None:
        async with manager.run():
            running.set()
            await self._over.wait()

    async def aclose(self) -> None:
        """End all sessions. May be called again."""
        if self._manager is not None:
            await asyncio.wait({self._manager})
        self._over.set()
        if self._runner is not None:
            await asyncio.wait({self._runner})


def routes(mcp: Mcp) -> list[BaseRoute]:
    return [Route(PATH, mcp, methods=["GET", "POST", "DELETE"])]
