"""The code-interpreter dialect as one object."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Scope

from engine.api.code_interpreter.routes import PREFIX, TABLE, render
from engine.api.code_interpreter.state import NAME, CodeInterpreterState
from engine.api.http.dialect import Dialect
from engine.api.http.tables import routes
from engine.core import Engine
from engine.errors import PolyreplError


class _CodeInterpreter(Dialect):
    name = NAME

    def routes(self) -> list[BaseRoute]:
        return [*routes(TABLE, self)]

    def owns(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return path.startswith(f"{PREFIX}/")

    def render(self, error: PolyreplError) -> Response:
        return render(error)

    def open(self, engine: Engine) -> CodeInterpreterState:
        return CodeInterpreterState(engine)


CODE_INTERPRETER = _CodeInterpreter()
