"""Which diagnostic explains the error of a cell. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from engine.models import Diagnostic, ErrorInfo

_FRAME = re.compile(r"cell_\d+\.tsx?:(\d+)(?::(\d+))?")
_NAME = re.compile(r"[\w$]{2,}")
_QUOTED = re.compile(r"'([\w$]{2,})'")
_LOOKED_AT = 4000  # characters of a traceback and of a message


def explain(error: ErrorInfo | None, diagnostics: Sequence[Diagnostic]) -> str | UnsetType:
    """Have the diagnostic that explains the error as its hint, and return it; nothing if none does, or it has a hint."""
    if error is None or error.hint is not UNSET or not diagnostics:
        return UNSET
    best = _best(error, diagnostics)
    if best is None:
        return UNSET
    error.hint = f"Line {best.line}, column {best.column}: {best.message} (TS{best.code})"
    return error.hint


def _best(error: ErrorInfo, diagnostics: Sequence[Diagnostic]) -> Diagnostic | None:
    """What names what the error names, or lies where it was raised."""
    said = set(_NAME.findall(error.value[:_LOOKED_AT]))
    frame = _FRAME.search(error.traceback[:_LOOKED_AT])
    line, column = (int(frame[1]), int(frame[2] or 0)) if frame is not None else (0, 0)
    best, most = None, 0
    for each in diagnostics:
        is_here = each.line == line and each.column <= column <= max(each.column, each.end_column)
        is_named = bool(said & set(_QUOTED.findall(each.message[:_LOOKED_AT])))
        score = 2 * is_named + is_here + (is_named and each.line == line)
        if each.severity == "error" and score > most:
            best, most = each, score
    return best
