"""The ASGI application: an engine, the routes of its dialects, and the guard before them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.api.dialects import NATIVE, Dialect, dialect_of, routes_of, surfaces_of
from engine.api.http import errors
from engine.api.http.openapi import document
from engine.api.mcp import transport as mcp
from engine.api.middleware.auth import Guard
from engine.api.middleware.cors import Cors
from engine.api.middleware.prefix import Prefix
from engine.api.native.routes import OPERATIONS
from engine.api.notebook import routes as notebook_http
from engine.api.notebook.kernels import NotebookKernels
from engine.core import Engine
from engine.errors import PolyreplError
from engine.settings import Settings


def _middleware(settings: Settings, notebook: NotebookKernels | None) -> list[Middleware]:
    serves = None if notebook is None else notebook_http.server_of(notebook)
    found = [Middleware(Guard, settings=settings, serves=serves)]
    if Cors.is_needed(settings):
        found.insert(0, Middleware(Cors, settings=settings))
    if settings.base_url:
        found.insert(0, Middleware(Prefix, path=settings.base_url))
    return found


def _routes(settings: Settings, mcp_app: mcp.Mcp, notebook: NotebookKernels | None) -> list[BaseRoute]:
    """Those of the surfaces that are switched on, or of the notebook; what operators ask is always there."""
    if notebook is not None:
        return [*notebook_http.routes(notebook, settings), *routes_of([])]
    return [*routes_of(settings.surfaces), *(mcp.routes(mcp_app) if "mcp" in settings.surfaces else [])]


def _dialect(request: Request) -> Dialect:
    return dialect_of(request.scope, surfaces_of(request.app.state.engine.settings))


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _dialect(request).refuse(error.status_code, error.detail, dict(error.headers or {}))


async def _on_disconnect(request: Request, error: Exception) -> Response:
    """A client that goes away while it sends is no failure of ours; nobody reads this."""
    return Response(status_code=400)


async def _on_unexpected_error(request: Request, error: Exception) -> Response:
    answer, dialect = await errors.on_unexpected_error(request, error), _dialect(request)
    return answer if dialect is NATIVE else dialect.refuse(500, "Internal error", {})


class _Nowhere:
    """Answers what no route takes; a websocket is refused as everything else is."""

    def __init__(self, settings: Settings, not_found: ASGIApp) -> None:
        self._surfaces = surfaces_of(settings)
        self._not_found = not_found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await dialect_of(scope, self._surfaces).refuse(404, "Not Found", {})(scope, receive, send)
        else:
            await self._not_found(scope, receive, send)


def create_app(engine: Engine) -> Starlette:
    """The application over `engine`, which lives as long as it does. Raises BadNotebook."""

    mcp_app = mcp.Mcp()
    found = notebook_http.load(engine.settings)
    notebook = None if found is None else NotebookKernels(engine, found)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with engine:
            if notebook is not None:
                notebook.start()
            yield
            if notebook is not None:
                await notebook.aclose()
        await mcp_app.aclose()

    app = Starlette(
        routes=_routes(engine.settings, mcp_app, notebook),
        middleware=_middleware(engine.settings, notebook),
        exception_handlers={
            PolyreplError: errors.on_polyrepl_error,
            HTTPException: _on_http_error,
            ClientDisconnect: _on_disconnect,
            Exception: _on_unexpected_error,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.router.default = _Nowhere(engine.settings, app.router.not_found)
    app.state.engine = engine
    app.state.mcp = mcp_app
    app.state.notebook = notebook
    app.state.openapi = functools.cache(  # made when it is asked for
        functools.partial(
            document,
            OPERATIONS,
            languages=engine.languages.names(),
            max_timeout_ms=round(engine.settings.max_timeout * 1000),
            has_token=engine.settings.secret is not None,
            base_url=engine.settings.base_url,
        )
    )
    return app
