"""Which diagnostic explains the error of a cell. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import UNSET

from engine.models import Diagnostic, ErrorInfo

_FRAME = re.compile(r"cell_\d+\.tsx?:(\d+)")
_NAME = re.compile(r"[\w$]{2,}")
_QUOTED = re.compile(r"'([\w$]{2,})'")
_LOOKED_AT = 4000  # characters of a traceback and of a message


def hint_from(diagnostics: Sequence[Diagnostic], error: ErrorInfo | None) -> str | None:
    """The diagnostic of the line that failed, or one that names what the error names; None if none explains it, or a hint is there."""
    errors = [each for each in diagnostics if each.severity == "error"]
    if not errors or error is None or error.hint is not UNSET:
        return None
    frame = _FRAME.search(error.traceback[:_LOOKED_AT])
    line = int(frame[1]) if frame is not None else 0
    said = set(_NAME.findall(error.value[:_LOOKED_AT]))
    scores = [((each.line == line) + 2 * bool(said & set(_QUOTED.findall(each.message))), each) for each in errors]
    score, best = max(scores, key=lambda pair: pair[0])
    if score == 0:
        return None
    return f"Line {best.line}, column {best.column}: {best.message} (TS{best.code})"
