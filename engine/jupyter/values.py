"""Values that were read and not parsed: long texts and JSON, in parts."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Text(NamedTuple):
    """A string, in parts. `size`: bytes in UTF-8."""

    parts: list[str]
    size: int

    def __str__(self) -> str:
        return "".join(self.parts)


class Json(NamedTuple):
    """A value as JSON, valid, in parts. `size`: bytes; `lists`: how many lists and objects are in it, for readers each takes time."""

    parts: list[bytes]
    size: int
    lists: int = 0

    def raw(self) -> msgspec.Raw:
        return msgspec.Raw(b"".join(self.parts))
