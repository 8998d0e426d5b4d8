"""What each API that the server speaks has: routes, requests that it answers for, and words for errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Scope

from engine.api.http.detail import detail
from engine.core import Engine
from engine.errors import PolyreplError


class State:
    """What a dialect keeps while a server runs."""

    def check(self) -> None:
        """Raises PolyreplError when the settings leave nothing to serve. It may read files and URLs, and block."""

    async def aclose(self) -> None:
        """Let go of it. The engine has ended by now. May be called again."""


class Dialect(ABC):
    """One API. There is one object of each class; what changes while a server runs is in its State."""

    name: str

    @abstractmethod
    def routes(self) -> list[BaseRoute]: ...

    @abstractmethod
    def owns(self, scope: Scope) -> bool:
        """Whether a request is for this dialect, so that refusals are in its words."""

    @abstractmethod
    def render(self, error: PolyreplError) -> Response:
        """An error of the core in the words of this dialect."""

    def refuse(self, status: int, message: str, headers: Mapping[str, str]) -> Response:
        """A status without an error of ours, such as a path that does not exist."""
        return detail(message, status, dict(headers))

    def open(self, engine: Engine) -> State:
        """The state of a new server. The engine is not running yet."""
        return State()

    def settings_of(self, environment: Mapping[str, str]) -> dict[str, Any]:
        """Settings by the environment variables of the program whose API this is."""
        return {}
