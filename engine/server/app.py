"""The ASGI application: an engine, the routes of its dialects, and the guard before them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.api.dialects import Surfaces, operator_routes
from engine.api.http.errors import render
from engine.api.http.openapi import document
from engine.api.middleware import Cors, Guard, Prefix
from engine.api.native import OPERATIONS
from engine.api.notebook import routes as notebook_http
from engine.core import Engine
from engine.errors import InvalidRequest, KernelStartFailed, PolyreplError
from engine.log import get_logger
from engine.server.application import Application


class _Application(Starlette):
    """Says in one line why it does not start, if that lies with the settings.

    What is outermost also sees the answers that Starlette gives to unexpected errors."""

    outermost: tuple[Middleware, ...] = ()

    def build_middleware_stack(self) -> ASGIApp:
        app = super().build_middleware_stack()
        for middleware, arguments, options in reversed(self.outermost):
            app = middleware(app, *arguments, **options)
        return app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed" and getattr(self.state, "is_refused", False):
                message = {"type": message["type"]}
            await send(message)

        await super().__call__(scope, receive, tell if scope["type"] == "lifespan" else send)


def create_app(engine: Engine) -> Starlette:
    """The application over `engine`, which it starts and ends. Raises what Application raises."""
    application = Application(engine)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        try:
            await application.start()
        except InvalidRequest as error:  # what only a trial shows, such as the isolation that is there
            get_logger().error("settings_refused", reason=error.explanation)
            app.state.is_refused = True
            raise
        try:
            yield {"budgets": engine.budgets}  # for the protocols, which know no application
        finally:
            await application.aclose()

    app = _Application(
        routes=_routes(application),
        middleware=_middleware(application),
        exception_handlers={
            PolyreplError: _on_error,
            HTTPException: _on_http_error,
            ClientDisconnect: _on_disconnect,
            MemoryError: _on_memory_error,
            Exception: _on_unexpected_error,
        },
        lifespan=lifespan,
    )
    app.outermost = _outermost(engine)
    app.router.redirect_slashes = False
    app.router.default = _Nowhere(application.surfaces, app.router.not_found)
    app.state.application = application
    app.state.engine = engine
    app.state.dialects = application.dialects
    app.state.openapi = functools.cache(functools.partial(_document, engine))  # made when it is asked for
    return app


def _routes(application: Application) -> list[BaseRoute]:
    """Those of the surfaces that are switched on, or of the notebook; what operators ask is always there."""
    if application.notebook is not None:
        return [*notebook_http.routes(application.notebook, application.engine.settings), *operator_routes()]
    return application.surfaces.routes()


def _middleware(application: Application) -> list[Middleware]:
    engine = application.engine
    return [Middleware(Guard, settings=engine.settings, metrics=engine.metrics, notebook=application.notebook)]


def _outermost(engine: Engine) -> tuple[Middleware, ...]:
    settings = engine.settings
    prefix = [Middleware(Prefix, path=settings.base_url)] if settings.base_url else []
    return (*prefix, Middleware(Cors, settings=settings)) if Cors.is_needed(settings) else tuple(prefix)


def _document(engine: Engine) -> bytes:
    return document(
        OPERATIONS,
        languages=engine.languages.names(),
        max_timeout_ms=round(engine.settings.max_timeout * 1000),
        has_token=engine.settings.secret is not None,
        base_url=engine.settings.base_url,
    )


def _refuse(request: Request, status: int, message: str, headers: dict[str, str]) -> Response:
    surfaces: Surfaces = request.app.state.application.surfaces
    return surfaces.dialect_of(request.scope).refuse(status, message, headers)


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PolyreplError)
    if isinstance(error, KernelStartFailed):
        get_logger().warning("kernel_start_failed", reason=error.message)
    return render(error)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _refuse(request, error.status_code, error.detail, dict(error.headers or {}))


async def _on_disconnect(request: Request, error: Exception) -> Response:
    """A client that goes away while it sends is no failure of ours; nobody reads this."""
    return Response(status_code=400)


async def _on_memory_error(request: Request, error: Exception) -> Response:
    """Without a limit on the server's memory, Linux ends a process instead."""
    get_logger().error("out_of_memory", path=request.url.path)
    return _refuse(request, 507, "The server has no memory for this answer", {})


async def _on_unexpected_error(request: Request, error: Exception) -> Response:
    get_logger().error("request_failed", path=request.url.path, exc_info=error)
    # uvicorn ends the connection after this answer: a client must not send the next request on it.
    return _refuse(request, 500, "Internal error", {"Connection": "close"})


class _Nowhere:
    """Answers what no route takes; a websocket is refused as everything else is."""

    def __init__(self, surfaces: Surfaces, not_found: ASGIApp) -> None:
        self._surfaces = surfaces
        self._not_found = not_found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._surfaces.dialect_of(scope).refuse(404, "Not Found", {})(scope, receive, send)
        else:
            await self._not_found(scope, receive, send)
