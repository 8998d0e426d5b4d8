"""Errors as HTTP (layer 8): the one place where the tree of `engine.errors` becomes statuses and bodies.

A body is always `{"message": str}`; one about a request that cannot be carried out as sent also lists `errors: [{"field", "error"}]`."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from engine import errors
from engine.errors import FieldError, InvalidRequest, PolyreplError
from engine.log import get_logger
from engine.models import Obstacle

# From the most special to the most general: the first class that fits gives the status.
STATUSES: tuple[tuple[type[PolyreplError], int], ...] = (
    (errors.InvalidRequest, 400),
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.IdempotencyConflict, 422),
    (errors.Conflict, 409),
    (errors.RequestTooLarge, 413),
    (errors.NotSupported, 501),
    (errors.Overloaded, 429),
    (errors.ShuttingDown, 503),
    (errors.KernelError, 500),
    (errors.MessageError, 500),
)


class FieldProblem(msgspec.Struct):
    """`field`: a path of names into the request, with dots."""

    field: str
    error: str


class Problem(msgspec.Struct):
    """What every error answers with."""

    message: str


class ObstacleProblem(Problem):
    """`obstacles`: what of the context's state cannot be copied."""

    obstacles: list[Obstacle] | UnsetType = UNSET


class InvalidProblem(Problem):
    errors: list[FieldProblem]


def status_of(error: PolyreplError) -> int:
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def render(error: PolyreplError) -> Response:
    headers: dict[str, str] = {}
    body: Problem = Problem(error.message)
    if isinstance(error, InvalidRequest):
        body = InvalidProblem(error.message, [FieldProblem(wrong.field, wrong.error) for wrong in error.errors])
    elif isinstance(error, errors.CannotBranch):
        body = ObstacleProblem(error.message, error.obstacles)
    elif isinstance(error, (errors.Overloaded, errors.ContextBusy)):
        headers["Retry-After"] = str(error.retry_after)
    elif isinstance(error, errors.Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return json_response(body, status_of(error), headers)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_encoder.encode(value), status, headers, "application/json")


_encoder = msgspec.json.Encoder()


def invalid(error: ValidationError) -> InvalidRequest:
    """Every problem that pydantic found, by field."""
    return InvalidRequest(
        *(FieldError(_path(found["loc"]), _explain(found)) for found in error.errors(include_url=False))
    )


def _path(location: tuple[int | str, ...]) -> str:
    """The place of a value in the body; pydantic marks the name of a map's entry with a last part "[key]"."""
    return ".".join(str(part) for part in location if part != "[key]") or "body"


def _explain(found: Any) -> str:
    return str(found["msg"]).removeprefix("Value error, ")


async def on_polyrepl_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PolyreplError)
    if isinstance(error, errors.KernelStartFailed):
        get_logger().warning("kernel_start_failed", reason=error.message)
    return render(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return json_response(Problem(error.detail), error.status_code, dict(error.headers or {}))


async def on_unexpected_error(request: Request, error: Exception) -> Response:
    get_logger().error("request_failed", path=request.url.path, exc_info=error)
    return json_response(Problem("Internal error"), 500)
