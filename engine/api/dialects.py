"""The dialects: every API that the server speaks, in one table.

A new dialect is a folder with a `Dialect`, and a line in the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.routing import BaseRoute
from starlette.types import Scope

from engine.api import face
from engine.api.code_interpreter import CODE_INTERPRETER
from engine.api.e2b import E2B
from engine.api.gateway import GATEWAY, sign_in
from engine.api.http.dialect import Dialect
from engine.api.http.openapi import routes
from engine.api.kernelbox import KERNELBOX
from engine.api.mcp import MCP
from engine.api.native import NATIVE, OPERATIONS
from engine.settings import Settings

# In the order in which requests are offered to them: each route that comes before another one makes that slower.
DIALECTS: tuple[Dialect, ...] = (E2B, NATIVE, CODE_INTERPRETER, GATEWAY, KERNELBOX, MCP)
_OPERATORS = [each for each in OPERATIONS if each.tag == "operations" and each.path != "/"]


class Surfaces:
    """The dialects that the settings switch on. A notebook is served in the words of a Kernel Gateway alone."""

    def __init__(self, settings: Settings) -> None:
        wanted = settings.surfaces if settings.notebook is None else [GATEWAY.name]
        self.dialects = [each for each in DIALECTS if each.name in wanted]

    def routes(self) -> list[BaseRoute]:
        """Their routes. What operators ask is always there."""
        found: list[BaseRoute] = []
        for dialect in DIALECTS:
            if dialect in self.dialects:
                found += dialect.routes()
            elif dialect is NATIVE:
                found += operator_routes()
        if GATEWAY in self.dialects and len(self.dialects) > 1:  # a Kernel Gateway has no such pages
            found += sign_in.routes()
        if NATIVE in self.dialects:
            found += face.routes()
        return found

    def dialect_of(self, scope: Scope) -> Dialect:
        """The dialect that a request is for. A server with one dialect uses its words for everything."""
        if len(self.dialects) == 1:
            return self.dialects[0]
        return next((each for each in self.dialects if each is not NATIVE and each.owns(scope)), NATIVE)


def operator_routes() -> list[BaseRoute]:
    """Health and metrics."""
    return [*routes(_OPERATORS)]


def settings_of(environment: Mapping[str, str]) -> dict[str, Any]:
    """Settings by the variables of the programs whose APIs are spoken here."""
    found: dict[str, Any] = {}
    for dialect in DIALECTS:
        found |= dialect.settings_of(environment)
    return found
