"""Errors of a request: it cannot be carried out as it was sent."""

from __future__ import annotations

from engine.errors.base import MAX_MESSAGE, FieldError, PolyreplError, shorten

MAX_ERRORS = 20
"""How many problems of one request are listed."""

_MAX_FIELD = 200  # characters


class InvalidRequest(PolyreplError):
    """The request cannot be carried out as sent; `errors` names each field and what is allowed.

    Of very many errors the first are kept; `count`: how many there are, if that is more than are given."""

    remedy = "Correct the fields in `errors` and send the request again."

    def __init__(self, *errors: FieldError, message: str = "Invalid request", count: int = 0) -> None:
        super().__init__(message)
        self.errors = [
            FieldError(shorten(wrong.field, _MAX_FIELD), shorten(wrong.error, MAX_MESSAGE))
            for wrong in errors[:MAX_ERRORS]
        ]
        self.count = max(count, len(errors))

    @property
    def explanation(self) -> str:
        """Each field with what is wrong with it."""
        told = [f"{wrong.field}: {wrong.error}" for wrong in self.errors]
        if self.count > len(told):
            told.append(f"and {self.count - len(told)} more")
        return "; ".join(told) or self.message


class UnknownLanguage(InvalidRequest):
    """The language is not known, or is known and not available on this machine."""

    remedy = "Use a language that the message lists. GET /languages says why others are not available."

    def __init__(self, language: str, *, allowed: list[str], reason: str | None = None) -> None:
        named = repr(shorten(language, _MAX_FIELD))
        what = f"{named} is not available: {reason}" if reason else f"{named} is not a known language"
        super().__init__(FieldError("language", f"{what}; allowed: {', '.join(allowed)}"))
        self.language = shorten(language, _MAX_FIELD)
        self.allowed = allowed


class Unauthorized(PolyreplError):
    """The token is missing or wrong."""

    remedy = "Send the server's token: `Authorization: Bearer <token>`."


class Forbidden(PolyreplError):
    """The request is understood and refused."""

    remedy = "The server's settings do not allow this. Its operator can change them."


class RequestTooLarge(PolyreplError):
    """The body of the request is larger than the server's limit."""

    remedy = "Send less at once, or ask the operator for a higher limit."

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than {limit} bytes")
        self.limit = limit


class FileTooLarge(RequestTooLarge):
    """The file is larger than the server's limit."""

    def __init__(self, path: str, limit: int) -> None:
        PolyreplError.__init__(self, f"The file {path!r} is larger than {limit} bytes")
        self.limit = limit


class RangeNotSatisfiable(PolyreplError):
    """The file ends before the range that was asked for. `size`: its bytes."""

    remedy = "Ask for a range within the file, or for the whole file."

    def __init__(self, size: int) -> None:
        super().__init__(f"The requested range begins after the end of the file ({size} bytes)")
        self.size = size


class NotSupported(PolyreplError):
    """The kernel that runs this language has no such ability. `reason` says what is missing, and where it is there."""

    remedy = "Use a language whose kernel supports it. The message has the reason."

    def __init__(self, feature: str, language: str, reason: str) -> None:
        super().__init__(f"{feature} is not supported for {language!r}: {reason}")
        self.feature = feature
        self.language = language
        self.reason = reason
