"""What the code-interpreter dialect keeps while a server runs: the histories of sessions."""

from __future__ import annotations

from starlette.requests import Request

from engine.api.code_interpreter.history import History
from engine.api.http.dialect import State
from engine.contexts import Context
from engine.core import Engine

NAME = "code_interpreter"


class CodeInterpreterState(State):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._histories: dict[str, History] = {}
        engine.books.listeners.append(self)

    def history(self, context: Context) -> History:
        """That of all contexts with its id. One of a context that has ended is not kept."""
        return History() if context.workspace.is_gone else self._histories.setdefault(context.id, History())

    def note_ended(self, context: Context) -> None:
        if all(each.id != context.id for each in self._engine.contexts):
            self._histories.pop(context.id, None)


def state_of(request: Request) -> CodeInterpreterState:
    state: CodeInterpreterState = request.app.state.dialects[NAME]
    return state
