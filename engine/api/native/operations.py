"""What operators and browsers ask: health, metrics, and the API's documentation, served without internet."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from engine import __version__
from engine.api.http.errors import json_response
from engine.api.http.openapi import Answer, Operation
from engine.api.http.requests import engine_of
from engine.resources import static_dir

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "swagger-init.js": "text/javascript",
    "redoc.standalone.js": "text/javascript",
}
# Nothing from elsewhere: the pages work, and tell nobody, without internet.
_CSP = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; "
    "font-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>polyrepl API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">{head}</head>
<body style="margin:0">{body}</body></html>
"""
_DOCS = _PAGE.format(
    head='<link rel="stylesheet" href="docs/swagger-ui.css"><link rel="icon" href="data:,">',
    body='<div id="swagger-ui"></div>'
    '<script src="docs/swagger-ui-bundle.js"></script><script src="docs/swagger-init.js"></script>',
)
_REDOC = _PAGE.format(
    head='<link rel="icon" href="data:,">',
    body='<redoc spec-url="openapi.json"></redoc><script src="docs/redoc.standalone.js"></script>',
)


class Health(msgspec.Struct):
    status: str


class ServiceHealth(msgspec.Struct):
    status: str
    service: str
    version: str


class Readiness(msgspec.Struct):
    """`checks`: what was looked at, "ok" or what is wrong; `isolation`: of contexts on this machine. Without a token there are none.

    An empty pool makes contexts slow to start and is no reason to stay away."""

    status: str
    checks: dict[str, str]
    isolation: str | UnsetType = UNSET


class Link(msgspec.Struct):
    """A link as KernelBox's clients look for it."""

    href: str
    description: str


class Discovery(msgspec.Struct):
    service: str
    version: str
    links: dict[str, str | Link]


async def index(request: Request) -> Response:
    paths = {"docs": "/docs", "redoc": "/redoc", "openapi": "/openapi.json", "languages": "/languages"}
    base = engine_of(request).settings.base_url
    links: dict[str, str | Link] = {name: base + path for name, path in paths.items()}
    links["swagger"] = Link(f"{base}/docs", "Interactive API reference")
    return json_response(Discovery("polyrepl", __version__, links))


async def healthz(request: Request) -> Response:
    return json_response(Health("ok"))


async def health(request: Request) -> Response:
    return json_response(ServiceHealth("ok", "polyrepl", __version__))


async def readyz(request: Request) -> Response:
    readiness: Readiness = await request.app.state.application.readiness()
    status = 200 if readiness.status == "ok" else 503
    if not request.state.is_authorized:
        readiness = Readiness(readiness.status, {})  # what is wrong may name paths
    return json_response(readiness, status)


async def metrics(request: Request) -> Response:
    return Response(engine_of(request).metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def openapi(request: Request) -> Response:
    return Response(request.app.state.openapi(), media_type="application/json")


async def docs(request: Request) -> Response:
    return HTMLResponse(_DOCS, headers={"Content-Security-Policy": _CSP})


async def redoc(request: Request) -> Response:
    return HTMLResponse(_REDOC, headers={"Content-Security-Policy": _CSP})


async def asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _ASSETS:
        raise HTTPException(404, "Not Found")
    return FileResponse(static_dir() / name, media_type=_ASSETS[name], headers={"Cache-Control": "max-age=3600"})


PAGES: list[BaseRoute] = [
    Route("/openapi.json", openapi),
    Route("/docs", docs),
    Route("/redoc", redoc),
    Route("/docs/{name}", asset),
]


OPERATIONS: list[Operation] = [
    Operation("GET", "/", index, "List the main links", "operations", {200: Answer("Links", Discovery)}),
    Operation(
        "GET",
        "/healthz",
        healthz,
        "Check that the server is up",
        "operations",
        {200: Answer("Up", Health)},
        is_open=True,
    ),
    Operation(
        "GET",
        "/health",
        health,
        "Check that the server is up, and get its version",
        "operations",
        {200: Answer("Up", ServiceHealth)},
        is_open=True,
    ),
    Operation(
        "GET",
        "/readyz",
        readyz,
        "Check that the server accepts work",
        "operations",
        {200: Answer("Ready", Readiness), 503: Answer("Not ready", Readiness)},
        is_open=True,
    ),
    Operation(
        "GET",
        "/metrics",
        metrics,
        "Get metrics in Prometheus text format",
        "operations",
        {200: Answer("Metrics", media_types=("text/plain",))},
    ),
]
