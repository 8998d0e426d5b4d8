"""Tables of routes: paths, methods and endpoints of a dialect, each endpoint with its errors in the dialect's words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp

from engine.api.http.detail import Unprocessable, unprocessable
from engine.errors import PolyreplError

Endpoint = Callable[[Request], Awaitable[ASGIApp]]
Render = Callable[[PolyreplError], ASGIApp]
Table = Mapping[str, Mapping[str, Endpoint]]


def routes(table: Table, render: Render) -> list[Route]:
    """One route per path, so that a 405 tells all the methods that the path has."""
    return [Route(path, _answering(methods, render), methods=list(methods)) for path, methods in table.items()]


def _answering(methods: Mapping[str, Endpoint], render: Render) -> Endpoint:
    async def endpoint(request: Request) -> ASGIApp:
        method = "GET" if request.method == "HEAD" else request.method
        try:
            return await methods[method](request)
        except Unprocessable as error:
            return unprocessable(error.problems)
        except PolyreplError as error:
            return render(error)

    return endpoint
