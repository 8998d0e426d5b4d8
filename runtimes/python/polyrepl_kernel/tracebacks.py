"""Tracebacks of bounded length: an endless recursion has thousands of frames, and a loop of retries may chain as many errors."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from IPython.core.ultratb import AutoFormattedTB, FrameInfo

_MOST_FRAMES = 100
_FIRST, _LAST = 10, 10  # frames that are shown where there are more than that
_NAMED = 4  # places that are named among those that are left out
_MOST_CHAINED = 20
_LONGEST_CHAIN = 200


class EarlierErrors(Exception):
    """Stands at the top of a traceback for the errors of a long chain that are left out."""


class BoundedTB(AutoFormattedTB):
    """IPython's tracebacks. What is left out is said, and nothing looks at it."""

    _chained = 0

    def structured_traceback(self, etype: Any, evalue: Any, etb: Any = None, *args: Any, **kwargs: Any) -> list[str]:
        """The lines of a traceback."""
        if not isinstance(etb, tuple):  # not called by itself for the next one of the chain
            self._chained = 0
        return list(super().structured_traceback(etype, evalue, etb, *args, **kwargs))

    def get_parts_of_chained_exception(self, evalue: Any) -> Any:
        """The error that the given one was raised for; of a long chain only the latest."""
        self._chained += 1
        parts = super().get_parts_of_chained_exception(evalue)
        if parts and self._chained > _MOST_CHAINED:
            error = EarlierErrors(f"{_length_of(evalue)} earlier errors are left out")
            return type(error), error, None
        return parts

    def format_exception(self, etype: Any, evalue: Any) -> list[str]:
        """The last lines: the error's name and its text. IPython expects no more than an Exception of `__str__`."""
        try:
            return list(super().format_exception(etype, evalue))
        except BaseException as failure:
            return [f"{type(evalue).__name__}: {_unprintable(failure)}"]

    def get_records(self, etb: TracebackType, context: int, tb_offset: int) -> list[Any]:
        """The frames to show; of many, the first and the last."""
        frames = _listed(etb)
        if len(frames) <= _MOST_FRAMES:
            return list(super().get_records(etb, context, tb_offset))
        first, last = _joined(frames[:_FIRST]), frames[-_LAST]
        return [
            *super().get_records(first, context, tb_offset),
            _omission(frames[_FIRST:-_LAST]),
            *super().get_records(last, context, 0),
        ]

    def _extract_tb(self, tb: TracebackType | None) -> Any:
        """The same for tracebacks without source."""
        frames = _listed(tb)
        if len(frames) <= _MOST_FRAMES:
            return super()._extract_tb(tb)
        first, last = traceback.extract_tb(_joined(frames[:_FIRST])), traceback.extract_tb(frames[-_LAST])
        middle = traceback.FrameSummary("...", 0, _description(frames[_FIRST:-_LAST]), line="")
        return traceback.StackSummary.from_list([*first, middle, *last])


class KeepsErrors:
    """A shell that keeps what it has shown of an error. To format it again would take as long, and ask the exception once more."""

    last_error: dict[str, Any] | None
    interrupts: Any  # a property of the shell

    def _format_exception_for_storage(self, exception: BaseException, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What the history keeps of an error."""
        return dict(self.last_error or unshown(exception, was_interrupted=self.interrupts.has_raised))


def shorten(error: BaseException) -> None:
    """Cut the chain of errors that were being handled where it is so long that IPython, which looks at it by recursion, would fail."""
    found: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if found is None:
            return
        found = found.__context__
    found = error
    for _ in range(_MOST_CHAINED - 1):
        assert found is not None
        found = found.__context__
    assert found is not None
    found.__context__ = EarlierErrors(f"{_length_of(found)} earlier errors are left out")


def unshown(error: BaseException | None, *, was_interrupted: bool) -> dict[str, Any]:
    """Name an error that was not shown. After an interrupt it is not asked for its text: that may be what was interrupted."""
    evalue = "" if was_interrupted else text_of(error)
    return {"ename": type(error).__name__, "evalue": evalue, "traceback": []}


def text_of(error: BaseException | None) -> str:
    """The text of an error, whatever that raises."""
    try:
        return str(error)
    except BaseException as failure:
        return _unprintable(failure)


def _unprintable(failure: BaseException) -> str:
    return f"<unprintable: {type(failure).__name__}>"


def _listed(frames: TracebackType | None) -> list[TracebackType]:
    found = []
    while frames is not None:
        found.append(frames)
        frames = frames.tb_next
    return found


def _joined(frames: Sequence[TracebackType]) -> TracebackType:
    """A traceback of these frames alone; the original stays whole, for debuggers."""
    joined: TracebackType | None = None
    for each in reversed(frames):
        joined = TracebackType(joined, each.tb_frame, each.tb_lasti, each.tb_lineno)
    assert joined is not None
    return joined


def _omission(frames: Sequence[TracebackType]) -> Any:
    """What IPython shows as repeated frames."""
    from stack_data import RepeatedFrames

    repeated = RepeatedFrames([], [])
    repeated.description = _description(frames)
    return FrameInfo._from_stack_data_FrameInfo(repeated)


def _description(frames: Sequence[TracebackType]) -> str:
    places = Counter((each.tb_frame.f_code, each.tb_lineno) for each in frames)
    named = places.most_common(_NAMED)
    parts = [f"{code.co_name} at line {line} ({count} times)" for (code, line), count in named]
    others = len(frames) - sum(count for _, count in named)
    return ", ".join([*parts, f"{others} others"] if others else parts)


def _length_of(error: BaseException) -> int:
    """How many errors a chain has before this one."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return len(seen) - 1
