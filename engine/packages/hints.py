"""Hints: what helps with an error of a cell, in the words of the API that ran it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from msgspec import UNSET

from engine.kernels import Tool, hint_of
from engine.models import ErrorInfo, Failed
from engine.options import ExecuteOptions
from engine.packages.installation import Target
from engine.packages.names import package_hint
from engine.packages.network import network_hint

_IN_LOOP = re.compile(
    r"asyncio\.run\(\) cannot be called from a running event loop|Runner\.run\(\) cannot be called from a running event loop"
    r"|This event loop is already running|Cannot run the event loop while another loop is running"
    r"|Already running asyncio in this thread"
)
_AWAIT = (
    "An event loop runs already in each cell. Use await, also outside of functions: `await main()` instead of "
    "`asyncio.run(main())` or `loop.run_until_complete(main())`."
)
_NO_MORE_LINES = "The code called input() more often than `stdin` has lines."


@dataclass(frozen=True, slots=True)
class Remedies:
    """How clients of one API do what hints advise. In `install` and `install_online` stand {context_id}, {language} and {package}.

    `install_online`: for Python with a network, if that is another way. `answer`: a sentence on code that calls input()."""

    install: str
    answer: str
    install_online: str = ""


_CALL = 'POST /contexts/{context_id}/packages {"language": "{language}", "packages": ["{package}"]}'
NATIVE = Remedies(
    install=_CALL,
    answer="Give the lines as `stdin`, or ask for a stream (Accept: text/event-stream) and POST them to /executions/ID/input.",
)
NO_INPUT = Remedies(
    install=f"{_CALL} (the native API of this server)",
    install_online="run `%pip install {package}`",
    answer="This API has no way to answer. Put the value into the code.",
)
"""For APIs of others, which know no packages and no input."""


def traceback_with_hint(error: ErrorInfo | Failed) -> str:
    """The traceback of an error, and its hint as a last line, for answers that have no field for it."""
    is_told = error.hint is UNSET or error.hint in error.traceback
    return error.traceback if is_told else f"{error.traceback}\nHint: {error.hint}".lstrip("\n")


class Hints:
    """Finds hints for the errors of one execution. `tool`: what installs packages into its context, if that is allowed."""

    def __init__(self, context: Target, tool: Tool | None, options: ExecuteOptions, remedies: Remedies) -> None:
        self._context = context
        self._tool = tool
        self._has_stdin = options.stdin is not None
        self._remedies = remedies

    def find(self, error: tuple[str, str, str]) -> str | None:
        """What to do about an error, from its name, value and traceback; None if there is nothing to say."""
        backend, workspace = self._context.language.backend, self._context.workspace
        limits, isolation = backend.limits_of(workspace), backend.isolation_of(workspace)
        has_network = isolation is None or isolation.network == "open"
        return (
            (None if limits is None else hint_of(limits, error))
            or (None if self._tool is None else package_hint(self._tool, error, self._install(self._tool, has_network)))
            or self._of_python(error)
            or (None if has_network else network_hint(error))
        )

    def _install(self, tool: Tool, has_network: bool) -> str:
        remedies = self._remedies
        template = (remedies.install_online if tool == "pip" and has_network else "") or remedies.install
        return template.replace("{context_id}", self._context.id).replace("{language}", self._context.language.name)

    def _of_python(self, error: tuple[str, str, str]) -> str | None:
        name, value, _ = error
        if name == "StdinNotImplementedError":
            return self._remedies.answer
        if name == "EOFError" and value == "EOF when reading a line" and self._has_stdin:
            return _NO_MORE_LINES
        if name == "RuntimeError" and _IN_LOOP.match(value):
            return _AWAIT
        return None
