"""What a client raises: the server's errors under their own names, and what can go wrong on the way to it.

An error of the server is an `ApiError` and an instance of the class of `engine.errors` that its `code` names, so that
`except ContextNotFound` catches it whether the engine runs in this process or behind a server. `client` layer."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from engine import errors
from engine.errors import FieldError, PolyreplError
from engine.models import ErrorInfo, Obstacle

_BY_STATUS: dict[int, type[PolyreplError]] = {
    400: errors.InvalidRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.RequestTooLarge,
    422: errors.IdempotencyConflict,
    429: errors.Overloaded,
    501: errors.NotSupported,
    503: errors.ShuttingDown,
    507: errors.StorageFull,
}
_KINDS: dict[str, type[PolyreplError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, PolyreplError)
}
_typed: dict[type[PolyreplError], type[ApiError]] = {}


class ClientError(PolyreplError):
    """Base of all that a client raises. `code`: a name for programs; `cause`: what went wrong; `remediation`: what to do about it."""

    code = "ClientError"
    remediation = ""

    def __init__(self, message: str, *, remediation: str = "") -> None:
        PolyreplError.__init__(self, message)
        self.cause = message
        self.remediation = remediation or type(self).remediation
        if self.remediation:
            self.add_note(self.remediation)

    def __repr__(self) -> str:
        return f"<{self.code}: {self.cause}>"


class ApiError(ClientError):
    """The server answered with an error. `status` is that of HTTP; `retry_after`: seconds, where the server named some;
    `errors` names the fields that are wrong, `obstacles` what cannot be copied."""

    code = "ApiError"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        remediation: str = "",
        retry_after: float | None = None,
        fields: tuple[FieldError, ...] = (),
        obstacles: tuple[Obstacle, ...] = (),
    ) -> None:
        self.code = code
        super().__init__(message, remediation=remediation)
        self.status = status
        self.retry_after = retry_after
        self.errors = fields
        self.obstacles = list(obstacles)


class ConnectionFailed(ClientError):
    """The server could not be reached, or the connection broke and repeating the request was not safe, or not enough."""

    code = "ConnectionFailed"
    remediation = "Look whether the server runs, and whether the url (or POLYREPL_URL) is right."


class DeadlineExceeded(ClientError):
    """The client's own deadline passed. What was started on the server may still run."""

    code = "DeadlineExceeded"
    remediation = "Give a longer `deadline`; an execution goes on, and can be read again by its id or interrupted."


class UnexpectedAnswer(ClientError):
    """What answered is no server of this API."""

    code = "UnexpectedAnswer"
    remediation = "Look whether the url leads to a polyrepl server, and not to a proxy's page."

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ClientNotInstalled(ClientError):
    """A package that the client needs is not there."""

    code = "ClientNotInstalled"
    remediation = "pip install 'polyrepl[client]'"


class CodeFailed(ClientError):
    """The code itself failed; raised only by `Result.raise_for_error`. `error` is what the result says."""

    code = "CodeFailed"

    def __init__(self, error: ErrorInfo) -> None:
        self.code = error.name
        hint = error.hint if isinstance(error.hint, str) else ""
        super().__init__(f"{error.name}: {error.value}", remediation=hint)
        self.error = error


class _Field(msgspec.Struct):
    field: str
    error: str


class _Problem(msgspec.Struct):
    """The body of an error, as far as it is understood."""

    message: str
    code: str = ""
    remediation: str = ""
    errors: list[_Field] = []
    obstacles: list[Obstacle] = []


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> ClientError:
    """The error that an answer tells."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return UnexpectedAnswer(f"{status} {_phrase(status)} with a body that is not of this API", status=status)
    kind = _KINDS.get(problem.code) or _BY_STATUS.get(status, PolyreplError)
    fields = tuple(FieldError(each.field, each.error) for each in problem.errors)
    named = "; ".join(f"{each.field}: {each.error}" for each in fields)
    details: dict[str, Any] = {
        "status": status,
        "code": problem.code or kind.__name__,
        "remediation": problem.remediation,
        "retry_after": retry_after(headers),
        "fields": fields,
        "obstacles": tuple(problem.obstacles),
    }
    return _class_of(kind)(f"{problem.message}: {named}" if named else problem.message, **details)


def _class_of(kind: type[PolyreplError]) -> type[ApiError]:
    """The class of ApiErrors that also are a `kind`."""
    if kind is PolyreplError:
        return ApiError
    if kind not in _typed:
        _typed[kind] = type(kind.__name__, (ApiError, kind), {"__module__": __name__, "__doc__": kind.__doc__})
    return _typed[kind]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a Retry-After header; a date is not waited for."""
    value = headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
