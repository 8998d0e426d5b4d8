"""What every error has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

MAX_MESSAGE = 2000  # characters


def shorten(text: str, limit: int) -> str:
    """The text, or as much of its begin and its end as `limit` characters hold: it may be of a request, and of any length."""
    if len(text) <= limit:
        return text
    half = (limit - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field of a request."""

    field: str
    error: str


class PolyreplError(Exception):
    """Base of every error that this package raises on purpose. `message` is fit for a client.

    `remedy`: one sentence for the caller on what to do. A class without one has that of its base."""

    remedy: ClassVar[str]

    def __init__(self, message: str) -> None:
        message = shorten(message, MAX_MESSAGE)
        super().__init__(message)
        self.message = message

    @property
    def explanation(self) -> str:
        """The whole of it in one line."""
        return self.message
