"""What a kernel knows of code that is not run: completions, documentation, whether it is complete."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Completion(msgspec.Struct):
    """One way to go on. `type` is the kernel's word: function, keyword, path, ...; empty where it says none."""

    text: str
    type: str


class Completions(msgspec.Struct):
    """What may stand between `cursor_start` and `cursor_end` (characters of the code)."""

    matches: list[Completion]
    cursor_start: int
    cursor_end: int


class Inspection(msgspec.Struct):
    """What is known of a name: MIME types and their values."""

    found: bool
    data: dict[str, Any]


class Completeness(msgspec.Struct):
    """`status`: complete, incomplete (then `indent` is that of the next line), invalid or unknown."""

    status: Literal["complete", "incomplete", "invalid", "unknown"]
    indent: str = ""
