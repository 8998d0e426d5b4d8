"""The KernelBox dialect as one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Scope

from engine.api.http.dialect import Dialect
from engine.api.http.tables import routes
from engine.api.kernelbox.routes import TABLE, render
from engine.api.kernelbox.settings import settings_of
from engine.api.kernelbox.state import NAME, KernelBoxState
from engine.core import Engine
from engine.errors import PolyreplError


class _KernelBox(Dialect):
    name = NAME

    def routes(self) -> list[BaseRoute]:
        return [*routes(TABLE, self)]

    def owns(self, scope: Scope) -> bool:
        first, *_ = scope["path"].lstrip("/").split("/", 1)
        return first in ("kernels", "sessions")

    def render(self, error: PolyreplError) -> Response:
        return render(error)

    def open(self, engine: Engine) -> KernelBoxState:
        return KernelBoxState(engine)

    def settings_of(self, environment: Mapping[str, str]) -> dict[str, Any]:
        return settings_of(environment)


KERNELBOX = _KernelBox()
