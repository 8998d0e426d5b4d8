"""What the gateway dialect keeps while a server runs: Jupyter sessions and the seed of new kernels."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import HTTPConnection

from engine.api.gateway.kernels import check_settings, last_activity_of
from engine.api.gateway.seed import Seed
from engine.api.gateway.sessions import Sessions
from engine.api.http.dialect import State
from engine.contexts import Context
from engine.core import Engine

NAME = "gateway"


class GatewayState(State):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.started = self.last_activity = datetime.now(UTC)
        self.sessions = Sessions()
        self.seed = Seed(engine.settings.seed_notebook)
        engine.books.listeners.append(self)

    def check(self) -> None:
        check_settings(self._engine, self.seed)

    def note_ended(self, context: Context) -> None:
        self.last_activity = max(self.last_activity, last_activity_of(context))
        self.sessions.note_ended(context)


def state_of(connection: HTTPConnection) -> GatewayState:
    state: GatewayState = connection.app.state.dialects[NAME]
    return state
