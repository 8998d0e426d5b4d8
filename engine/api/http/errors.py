"""Errors as HTTP: the one place where the tree of `engine.errors` becomes statuses and bodies.

A body is always `{"message", "code"}`, with the `remediation` of an error of ours; one about a request that cannot be carried out as
sent also lists `errors: [{"field", "error"}]`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from pydantic import ValidationError
from starlette.responses import Response

from engine import errors
from engine.api.http.large import LargeResponse
from engine.errors import MAX_ERRORS, FieldError, InvalidRequest, PolyreplError
from engine.models import Obstacle, encode

# From the most special to the most general: the first class that fits gives the status.
STATUSES: tuple[tuple[type[PolyreplError], int], ...] = (
    (errors.InvalidRequest, 400),
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.IdempotencyConflict, 422),
    (errors.Conflict, 409),
    (errors.ResultGone, 410),
    (errors.RequestTooLarge, 413),
    (errors.RangeNotSatisfiable, 416),
    (errors.StorageFull, 507),
    (errors.NotSupported, 501),
    (errors.Overloaded, 429),
    (errors.ShuttingDown, 503),
    (errors.KernelError, 500),
    (errors.BadNotebook, 500),
    (errors.MessageError, 500),
)


class FieldProblem(msgspec.Struct):
    """`field`: a path of names into the request, with dots."""

    field: str
    error: str


class Problem(msgspec.Struct, kw_only=True):
    """What every error answers with. `code`: its name for programs; `remediation`: what can be done about it."""

    message: str
    code: str
    remediation: str | UnsetType = UNSET


class ObstacleProblem(Problem, kw_only=True):
    """`obstacles`: what of the context's state cannot be copied."""

    obstacles: list[Obstacle] | UnsetType = UNSET


class InvalidProblem(Problem, kw_only=True):
    """`errors`: the first problems. `error_count`: the number of all, when not all are listed."""

    errors: list[FieldProblem]
    error_count: int | UnsetType = UNSET


def status_of(error: PolyreplError) -> int:
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def headers_of(error: PolyreplError) -> dict[str, str]:
    """What HTTP itself tells of an error, whatever the words of the body."""
    if isinstance(error, (errors.Overloaded, errors.ContextBusy)):
        return {"Retry-After": str(error.retry_after)}
    return {"WWW-Authenticate": "Bearer"} if isinstance(error, errors.Unauthorized) else {}


def render(error: PolyreplError) -> Response:
    headers = headers_of(error)
    told: dict[str, Any] = {"message": error.message, "code": type(error).__name__, "remediation": error.remedy}
    body = Problem(**told)
    if isinstance(error, InvalidRequest):
        listed = [FieldProblem(wrong.field, wrong.error) for wrong in error.errors]
        more = error.count if error.count > len(listed) else UNSET
        body = InvalidProblem(**told, errors=listed, error_count=more)
    elif isinstance(error, errors.CannotBranch):
        body = ObstacleProblem(**told, obstacles=error.obstacles)
    elif isinstance(error, errors.RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.size}"
    return json_response(body, status_of(error), headers)


def refuse(status: int, message: str, headers: Mapping[str, str]) -> Response:
    """A status that no error of ours stands for."""
    code = "InternalError" if status == 500 else HTTPStatus(status).phrase.title().replace(" ", "")
    return json_response(Problem(message=message, code=code), status, dict(headers))


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return LargeResponse(bytes(encode(value)), status, headers, "application/json")


def invalid(error: ValidationError) -> InvalidRequest:
    """The problems that pydantic found, by field."""
    found = error.errors(include_url=False, include_input=False)
    listed = (FieldError(_path(each["loc"]), _explain(each)) for each in found[:MAX_ERRORS])
    return InvalidRequest(*listed, count=len(found))


def _path(location: tuple[int | str, ...]) -> str:
    """The place of a value in the body; pydantic marks the name of a map's entry with a last part "[key]"."""
    return ".".join(str(part) for part in location if part != "[key]") or "body"


def _explain(found: Any) -> str:
    return str(found["msg"]).removeprefix("Value error, ")
