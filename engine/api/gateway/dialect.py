"""The gateway dialect as one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Scope

from engine.api.gateway import errors
from engine.api.gateway.routes import TABLE
from engine.api.gateway.settings import settings_of
from engine.api.gateway.state import NAME, GatewayState
from engine.api.gateway.websocket import channels
from engine.api.http import reason
from engine.api.http.dialect import Dialect
from engine.api.http.tables import routes
from engine.core import Engine
from engine.errors import PolyreplError


class _Gateway(Dialect):
    name = NAME

    def routes(self) -> list[BaseRoute]:
        return [*routes(TABLE, self), WebSocketRoute("/api/kernels/{kernel_id}/channels", channels)]

    def owns(self, scope: Scope) -> bool:
        return errors.is_gateway_path(scope["path"])

    def render(self, error: PolyreplError) -> Response:
        return errors.render(error)

    def refuse(self, status: int, message: str, headers: Mapping[str, str]) -> Response:
        return reason.refusal(status, "", dict(headers))

    def open(self, engine: Engine) -> GatewayState:
        return GatewayState(engine)

    def settings_of(self, environment: Mapping[str, str]) -> dict[str, Any]:
        return settings_of(environment)


GATEWAY = _Gateway()
