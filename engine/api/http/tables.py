"""Tables of routes: paths, methods and endpoints of a dialect, each endpoint with its errors in the dialect's words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp

from engine.api.http.detail import Unprocessable, unprocessable
from engine.errors import PolyreplError

Endpoint = Callable[[Request], Awaitable[ASGIApp]]
Table = Mapping[str, Mapping[str, Endpoint]]


class Renders(Protocol):
    """Who has words for errors: a dialect, or a module of one."""

    def render(self, error: PolyreplError) -> ASGIApp: ...


def routes(table: Table, dialect: Renders) -> list[Route]:
    """One route per path, so that a 405 tells all the methods that the path has."""
    return [Route(path, _answering(methods, dialect), methods=list(methods)) for path, methods in table.items()]


def _answering(methods: Mapping[str, Endpoint], dialect: Renders) -> Endpoint:
    async def endpoint(request: Request) -> ASGIApp:
        method = "GET" if request.method == "HEAD" else request.method
        try:
            return await methods[method](request)
        except Unprocessable as error:
            return unprocessable(error.problems)
        except PolyreplError as error:
            return dialect.render(error)

    return endpoint
