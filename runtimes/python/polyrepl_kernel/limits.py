"""What one cell may send: pure text and MIME bundle arithmetic in UTF-8 bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

MESSAGE_BYTES = 1 << 20
_WIDEST_CHARACTER = 4
_TAIL_SLACK = 1 << 16
BASE64 = 4 / 3  # characters for a byte


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """The ``output_limits`` of a request; ``None`` means no bound."""

    stream_bytes: int | None = None
    item_bytes: int | None = None

    @classmethod
    def from_metadata(cls, value: object) -> OutputLimits:
        """Read the metadata entry; anything that is not a natural number is no bound."""
        if not isinstance(value, dict):
            return cls()
        return cls(_natural(value.get("stream_bytes")), _natural(value.get("item_bytes")))


def _natural(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def utf8_length(text: str) -> int:
    """Return the number of bytes, encoding piecewise so that a huge text is not held twice."""
    if text.isascii():
        return len(text)
    pieces = range(0, len(text), MESSAGE_BYTES)
    return sum(len(text[at : at + MESSAGE_BYTES].encode("utf-8", "backslashreplace")) for at in pieces)


def utf8_head(text: str, limit: int) -> str:
    """Return the longest prefix of at most `limit` bytes that ends between two characters."""
    head = text[:limit]
    if head.isascii():
        return head
    return head.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def messages_of(text: str) -> Iterator[str]:
    """Split a text into pieces of at most 1 MiB that JSON can carry (a lone surrogate is written as its escape)."""
    step = MESSAGE_BYTES
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
        step //= _WIDEST_CHARACTER
    for at in range(0, len(text), step):
        yield text[at : at + step]


class StreamBuffer:
    """Text of one stream of one cell that waits to be sent; past the first half of the limit only the newest half is kept.

    `fresh` is what was written and not looked at yet. Any thread may append to it without a lock; everything else is for one at
    a time."""

    __slots__ = (
        "_head_left",
        "_limit",
        "_parts",
        "_tail",
        "_tail_limit",
        "fresh",
        "fresh_length",
        "has_waited",
        "is_noted",
        "omitted",
    )

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._parts: list[str] = []
        self._head_left = 0 if limit is None else limit // 2
        self._tail_limit = 0 if limit is None else limit - limit // 2
        self._tail = bytearray()
        self.omitted = 0
        self.fresh: list[str] = []
        self.fresh_length = 0  # characters, about: threads that write at once may miss some of each other
        self.is_noted = False  # whether somebody will come and look at `fresh`
        self.has_waited = False  # whether somebody came, and left it for the rest of its last line

    def settle(self) -> None:
        """Sort what is fresh into what may be sent and what is held back."""
        self.fresh_length = 0
        count = len(self.fresh)
        text = "".join(self.fresh[:count])
        del self.fresh[:count]  # what was written meanwhile stays
        if self._limit is not None:
            if len(text) <= self._head_left and text.isascii():  # the usual case
                self._head_left -= len(text)
            else:
                text = self._held_back(text)
        if text:
            self._parts.append(text)

    @property
    def is_inside_a_line(self) -> bool:
        """Whether what is fresh ends before the end of a line: the next piece of one `print` may be about to come."""
        return any(not piece.endswith("\n") for piece in self.fresh[-1:])

    @property
    def holds_back(self) -> bool:
        """Say whether `finish` has something to tell."""
        return bool(self._tail or self.omitted)

    def take(self) -> str:
        """Return what may be sent now and forget it."""
        self.settle()
        text = "".join(self._parts)
        self._parts.clear()
        return text

    def finish(self) -> tuple[str, int]:
        """Return the tail and the number of bytes missing before it; what comes later may be as large as the limit again.

        To be called after `take`."""
        self._drop_before_tail()
        if self.omitted:
            start = 0
            while start < len(self._tail) and self._tail[start] & 0xC0 == 0x80:
                start += 1
            del self._tail[:start]
            self.omitted += start
        result = self._tail.decode("utf-8"), self.omitted
        if self._limit is not None:
            self._head_left, self._tail_limit = max(self._head_left, self._limit), 0
        self._tail, self.omitted = bytearray(), 0
        return result

    def _held_back(self, text: str) -> str:
        """Keep what exceeds the head for the tail and return the rest."""
        head = utf8_head(text, self._head_left) if self._head_left else ""
        rest = text[len(head) :]
        self._head_left = 0 if rest else self._head_left - utf8_length(head)
        if rest:
            self._append_tail(rest)
        return head

    def _append_tail(self, text: str) -> None:
        surplus = len(text) - self._tail_limit
        if surplus > _TAIL_SLACK:
            self.omitted += len(self._tail) + utf8_length(text[:surplus])
            self._tail.clear()
            text = text[surplus:]
        self._tail += text.encode("utf-8", "backslashreplace")
        # Dropping a slice at a time keeps the cost of a small write independent of the limit.
        if len(self._tail) > 2 * self._tail_limit + _TAIL_SLACK:
            self._drop_before_tail()

    def _drop_before_tail(self) -> None:
        surplus = len(self._tail) - self._tail_limit
        if surplus > 0:
            self.omitted += surplus
            del self._tail[:surplus]


def limit_bundle(data: dict[str, Any], limit: int, measure: Callable[[Any], tuple[int, Any]]) -> dict[str, int]:
    """Take values larger than `limit` out of a MIME bundle, cut its ``text/plain``, and return the bytes left out.

    `measure` returns the size of a value as JSON, and the value to send instead of it."""
    omitted = {}
    for mime, value in list(data.items()):
        if isinstance(value, str):
            size = utf8_length(value)
        elif isinstance(value, bytes):
            size = base64_length(value)
        else:
            size, data[mime] = measure(value)
        if size <= limit:
            continue
        if mime == "text/plain" and isinstance(value, str):
            data[mime] = utf8_head(value, limit)
            omitted[mime] = size - utf8_length(data[mime])
        else:
            del data[mime]
            omitted[mime] = size
    return omitted


def base64_length(value: bytes | str) -> int:
    """Return the number of bytes that a value has as base64; a text is that already."""
    return len(value) if isinstance(value, str) else (len(value) + 2) // 3 * 4
