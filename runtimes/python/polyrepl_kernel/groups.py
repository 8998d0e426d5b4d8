"""Tracebacks of exception groups, as Python prints them: IPython prints them to stderr, with frames of its own, and has none."""

from __future__ import annotations

import os
from collections.abc import Callable
from traceback import StackSummary, TracebackException
from types import TracebackType

import IPython

_OURS = tuple(os.path.dirname(os.path.abspath(path)) + os.sep for path in (IPython.__file__, __file__))
_MOST_ERRORS = 200  # in a group and the groups within it
_MOST_CHAINED = 100


def has_group(error: BaseException | None) -> bool:
    """Whether an error is a group, or was raised because of one."""
    waiting = [error]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_CHAINED:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        if isinstance(error, BaseExceptionGroup):
            return True
        seen.add(id(error))
        waiting += [error.__cause__, error.__context__]
    return False


def traceback_of(error: BaseException, frames: TracebackType | None, name_of: Callable[[str], str]) -> list[str]:
    """The lines of the traceback. `name_of` returns the name of a source that users know, such as `Cell In[1]`."""
    kind = type(error).__name__
    try:
        if isinstance(error, BaseExceptionGroup) and not _is_small(error):
            return [f"{kind}: {error}", f"(more than {_MOST_ERRORS} errors: look at the group's `exceptions`)"]
        found = TracebackException(type(error), error, frames, compact=True)
        for each in _with_causes(found):
            each.stack = StackSummary.from_list(_named(each.stack, name_of))
        return "".join(found.format()).splitlines()
    except BaseException as failure:  # of the errors' own methods; or an interrupt, which would lose the error
        return [f"{kind}: its traceback cannot be shown: {type(failure).__name__}"]


def _is_small(group: BaseExceptionGroup[BaseException]) -> bool:
    waiting: list[BaseException] = [group]
    count = 0
    while waiting and count <= _MOST_ERRORS:
        error = waiting.pop()
        count += 1
        if isinstance(error, BaseExceptionGroup):
            count += max(len(error.exceptions) - _MOST_ERRORS, 0)
            waiting += error.exceptions[:_MOST_ERRORS]
    return count <= _MOST_ERRORS


def _with_causes(found: TracebackException) -> list[TracebackException]:
    """The error, the errors in it, and what they were raised for."""
    every, seen = [found], {id(found)}
    for each in every:
        for other in (each.__cause__, each.__context__, *(each.exceptions or ())):
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                every.append(other)
    return every


def _named(stack: StackSummary, name_of: Callable[[str], str]) -> StackSummary:
    """The frames of user code and of its libraries."""
    kept = [frame for frame in stack if not frame.filename.startswith(_OURS)]
    for frame in kept:
        frame.filename = name_of(frame.filename)
    return StackSummary(kept)
