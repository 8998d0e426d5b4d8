"""The ASGI application (layer 9): an engine, the routes of its dialects, and the guard before them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from engine.api import errors, gateway, gateway_errors, operations
from engine.api.auth import Guard
from engine.api.openapi import document, routes
from engine.api.routes import OPERATIONS
from engine.core import Engine
from engine.errors import PolyreplError
from engine.sessions import Sessions
from engine.settings import Settings

_PAGES = [
    Route("/openapi.json", operations.openapi),
    Route("/docs", operations.docs),
    Route("/redoc", operations.redoc),
    Route("/docs/{name}", operations.asset),
]


def _middleware(settings: Settings) -> list[Middleware]:
    guard = Middleware(Guard, settings=settings)
    if not settings.allowed_origins:
        return [guard]
    # A browser asks before it sends, without a token: this answers for the origins of the setting, and tags answers for them.
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["Location", "Retry-After"],
    )
    return [cors, guard]


def _routes(settings: Settings) -> list[BaseRoute]:
    """Those of the surfaces that are switched on; what operators ask is always there."""
    found: list[BaseRoute] = []
    if "native" in settings.surfaces:
        found += [*routes(OPERATIONS), *_PAGES]
    else:
        found += routes([each for each in OPERATIONS if each.tag == "operations" and each.path != "/"])
    if "gateway" in settings.surfaces:
        found += gateway.ROUTES
    return found


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    settings = request.app.state.engine.settings
    is_gateways = gateway_errors.is_gateway_path(request.url.path) or settings.surfaces == ["gateway"]
    if is_gateways and "gateway" in settings.surfaces:
        return gateway_errors.refusal(error.status_code, "", dict(error.headers or {}))
    return await errors.on_http_error(request, error)


def create_app(engine: Engine) -> Starlette:
    """The application over `engine`, which lives as long as it does."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with engine:
            yield

    app = Starlette(
        routes=_routes(engine.settings),
        middleware=_middleware(engine.settings),
        exception_handlers={
            PolyreplError: errors.on_polyrepl_error,
            HTTPException: _on_http_error,
            Exception: errors.on_unexpected_error,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.engine = engine
    app.state.sessions = Sessions()
    app.state.openapi = document(
        OPERATIONS,
        languages=engine.languages.names(),
        max_timeout_ms=round(engine.settings.max_timeout * 1000),
        has_token=engine.settings.secret is not None,
    )
    return app
