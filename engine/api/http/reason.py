"""Errors in the words of Jupyter's servers: `{"reason", "message"}`, never a traceback.

For dialects whose real servers are those."""

from __future__ import annotations

import http
from typing import Any

from starlette.responses import Response

from engine import errors
from engine.api.http.errors import status_of
from engine.api.http.large import LargeResponse
from engine.errors import InvalidRequest, PolyreplError, UnknownLanguage
from engine.models import encode


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return LargeResponse(bytes(encode(value)), status, headers, "application/json")


def refusal(status: int, message: str = "", headers: dict[str, str] | None = None) -> Response:
    return json_answer({"reason": http.HTTPStatus(status).phrase, "message": message}, status, headers)


def render(error: PolyreplError) -> Response:
    """An error of the core in these words."""
    status, message, headers = status_of(error), error.message, None
    if isinstance(error, UnknownLanguage):
        message = error.errors[0].error
    elif isinstance(error, errors.ContextNotFound):
        message = f"Kernel does not exist: {error.context_id}"
    elif isinstance(error, InvalidRequest) and message == "Invalid request":
        message = error.explanation
    elif isinstance(error, errors.Unauthorized):
        message = ""
    elif isinstance(error, (errors.Overloaded, errors.ContextBusy)):
        headers = {"Retry-After": str(error.retry_after)}
    return refusal(status, message, headers)
