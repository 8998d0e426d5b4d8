"""What the KernelBox dialect keeps while a server runs: how often code was tried in each kernel."""

from __future__ import annotations

from collections import Counter

from starlette.requests import Request

from engine.api.http.dialect import State
from engine.contexts import Context
from engine.core import Engine

NAME = "kernelbox"


class KernelBoxState(State):
    """`attempts`: executions with retries, by the id of their contexts."""

    def __init__(self, engine: Engine) -> None:
        self.attempts: Counter[str] = Counter()
        self._engine = engine
        engine.books.listeners.append(self)

    def note_ended(self, context: Context) -> None:
        if all(each.id != context.id for each in self._engine.contexts):
            self.attempts.pop(context.id, None)


def state_of(request: Request) -> KernelBoxState:
    state: KernelBoxState = request.app.state.dialects[NAME]
    return state
