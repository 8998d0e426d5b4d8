"""The E2B dialect as one object: under its prefix, and at the root for requests with its header."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount, Router
from starlette.types import Receive, Scope, Send

from engine.api.e2b import routes as runs
from engine.api.e2b import sandboxes
from engine.api.http.dialect import Dialect
from engine.api.http.requests import engine_of
from engine.api.http.tables import routes
from engine.errors import PolyreplError

PREFIX = "/e2b"


class _E2b(Dialect):
    name = "e2b"

    def routes(self) -> list[BaseRoute]:
        """Before those of other dialects: they have the same paths."""
        serve = _Serve(self)
        return [_UnderPrefix(PREFIX, app=serve), _AtRoot(serve)]

    def owns(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return path == PREFIX or path.startswith(PREFIX + "/") or _has_header(scope)

    def render(self, error: PolyreplError) -> Response:
        return runs.render(error)


def _has_header(scope: Scope) -> bool:
    return any(name == runs.HEADER for name, _ in scope["headers"])


class _Serve:
    """The routes; none of them for a sandbox that is there no more."""

    def __init__(self, dialect: Dialect) -> None:
        own = [*routes(runs.TABLE, dialect), *routes(sandboxes.TABLE, sandboxes), *sandboxes.REFUSED]
        self._router = Router(own, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        sandbox_id = request.headers.get(runs.HEADER.decode())
        is_lost = sandbox_id is not None and sandboxes.is_gone(engine_of(request), sandbox_id)
        app = sandboxes.gone(sandbox_id) if sandbox_id and is_lost else self._router
        await app(scope, receive, send)


class _UnderPrefix(Mount):
    """The routes under the prefix. There is no websocket."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if scope["type"] == "http" else (Match.NONE, {})


class _AtRoot(BaseRoute):
    """The same routes without their prefix, for requests with the header."""

    def __init__(self, serve: _Serve) -> None:
        self._serve = serve

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_ours = scope["type"] == "http" and _has_header(scope)
        return (Match.FULL if is_ours else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send)


E2B = _E2b()
