"""What an answer means that is an error: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from http import HTTPStatus

from polyrepl import api_errors
from polyrepl.errors import ApiError, ClientError, FieldError, UnexpectedAnswer
from polyrepl.models import Obstacle
from polyrepl.values import DecodeError, Value, decode

_BY_STATUS: dict[int, type[ApiError]] = {
    400: api_errors.InvalidRequest,
    401: api_errors.Unauthorized,
    403: api_errors.Forbidden,
    404: api_errors.NotFound,
    409: api_errors.Conflict,
    410: api_errors.ResultGone,
    413: api_errors.RequestTooLarge,
    422: api_errors.IdempotencyConflict,
    429: api_errors.Overloaded,
    501: api_errors.NotSupported,
    503: api_errors.ShuttingDown,
    507: api_errors.StorageFull,
}
_BY_CODE: dict[str, type[ApiError]] = {name: getattr(api_errors, name) for name in api_errors.__all__}


class _Field(Value):
    field: str
    error: str


class _Problem(Value):
    """The body of an error, as far as it is understood."""

    message: str
    code: str = ""
    remediation: str = ""
    errors: list[_Field] = field(default_factory=list)
    obstacles: list[Obstacle] = field(default_factory=list)


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> ClientError:
    """Return the error that an answer stands for."""
    try:
        problem = decode(body, _Problem)
    except DecodeError:
        return UnexpectedAnswer(f"{status} {_phrase(status)} with a body that is not of this API", status=status)
    kind = _BY_CODE.get(problem.code) or _BY_STATUS.get(status, ApiError)
    named = "; ".join(f"{each.field}: {each.error}" for each in problem.errors)
    return kind(
        f"{problem.message}: {named}" if named else problem.message,
        status=status,
        code=problem.code or kind.__name__,
        remediation=problem.remediation,
        retry_after=_retry_after(headers),
        errors=tuple(FieldError(each.field, each.error) for each in problem.errors),
        obstacles=tuple(problem.obstacles),
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a Retry-After header; a date is not waited for."""
    value = headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
