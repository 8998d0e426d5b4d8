"""The native dialect as one object: its operations, and the pages that describe them."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Scope

from engine.api.http import errors
from engine.api.http.dialect import Dialect
from engine.api.http.openapi import routes
from engine.api.native.operations import PAGES
from engine.api.native.routes import OPERATIONS
from engine.errors import PolyreplError


class _Native(Dialect):
    name = "native"

    def routes(self) -> list[BaseRoute]:
        return [*routes(OPERATIONS), *PAGES]

    def owns(self, scope: Scope) -> bool:
        return True

    def render(self, error: PolyreplError) -> Response:
        return errors.render(error)

    def refuse(self, status: int, message: str, headers: Mapping[str, str]) -> Response:
        return errors.refuse(status, message, headers)


NATIVE = _Native()
