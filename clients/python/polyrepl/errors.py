"""What a client raises: the base of the server's errors, and what can go wrong on the way to it.

ClientError
├── ApiError                  the server answered with an error; `polyrepl.api_errors` has a class for each
├── ConnectionFailed
├── DeadlineExceeded          the client's own
├── UnexpectedAnswer          of something that is not a server of this API
├── ClientNotInstalled
└── CodeFailed                raised only by `Result.raise_for_error`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyrepl.models import ErrorInfo, Obstacle


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field of a request."""

    field: str
    error: str


class ClientError(Exception):
    """Base of all that a client raises. `code`: a name for programs; `cause`: what went wrong; `remediation`: what to do about it."""

    code = "ClientError"
    remediation = ""

    def __init__(self, message: str, *, remediation: str = "") -> None:
        super().__init__(message)
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
        errors: tuple[FieldError, ...] = (),
        obstacles: tuple[Obstacle, ...] = (),
    ) -> None:
        self.code = code
        super().__init__(message, remediation=remediation)
        self.status = status
        self.retry_after = retry_after
        self.errors = errors
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
