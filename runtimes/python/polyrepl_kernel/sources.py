"""Tracebacks that show the line that failed, also in comprehensions, lambdas and the bodies of classes."""

from __future__ import annotations

import linecache
from collections import defaultdict, deque
from types import CodeType, TracebackType
from typing import Any

from .tracebacks import BoundedTB


class SourceTB(BoundedTB):
    """IPython's tracebacks. For a frame of a cell IPython asks `inspect`, which knows functions only and gives the source of another
    one otherwise; and it takes the line where the frame is by now, which may be in a `finally`."""

    hidden: frozenset[CodeType | str] = frozenset()
    """Code, and names of files, around what users and libraries have written; it is not shown."""

    def get_records(self, etb: TracebackType, context: int, tb_offset: int) -> list[Any]:
        """The frames to show."""
        records = [
            each
            for each in super().get_records(etb, context, tb_offset)
            if not {each.code, each.filename} & self.hidden
        ]
        lines = _lines_of(etb)
        for record in records:
            if record._sd is None and lines[record.frame]:  # without stack_data, as all cells are
                record.lineno = lines[record.frame].popleft()
                _correct_source(record)
        return records


def _lines_of(frames: TracebackType | None) -> defaultdict[Any, deque[int]]:
    """Where each frame failed; one that raises the same error again is there twice."""
    lines: defaultdict[Any, deque[int]] = defaultdict(deque)
    while frames is not None:
        lines[frames.tb_frame].append(frames.tb_lineno)
        frames = frames.tb_next
    return lines


def _correct_source(record: Any) -> None:
    """Put the lines of the code into a record, if it has those of something else or not all of them."""
    code = record.code
    start = max(code.co_firstlineno, 1) - 1
    source = linecache.getlines(code.co_filename, record.frame.f_globals)
    found = record.raw_lines
    if not source or (source[start : start + len(found)] == found and record.lineno - start <= len(found)):
        return
    record.raw_lines = source[start : max(_last_line(code), record.lineno)]


def _last_line(code: CodeType) -> int:
    inner = (_last_line(each) for each in code.co_consts if isinstance(each, CodeType))
    return max([code.co_firstlineno, *(line or 0 for _, _, line in code.co_lines()), *inner])
