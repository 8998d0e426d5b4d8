"""The gateway dialect's errors, with the statuses of the real server."""

from __future__ import annotations

from starlette.responses import Response

from engine.api.gateway.sessions import SessionGone
from engine.api.http import reason
from engine.errors import PolyreplError


def is_gateway_path(path: str) -> bool:
    return path == "/api" or path.startswith(("/api/", "/kernelspecs/"))


def render(error: PolyreplError) -> Response:
    """An error of the core in this dialect."""
    return reason.refusal(410, error.message) if isinstance(error, SessionGone) else reason.render(error)
