"""Tracebacks of exception groups, as Python prints them: IPython prints them to stderr, with frames of its own, and has none."""

from __future__ import annotations

import os
from collections.abc import Callable
from operator import is_
from traceback import StackSummary, TracebackException
from types import TracebackType

import IPython

_OURS = tuple(os.path.dirname(os.path.abspath(path)) + os.sep for path in (IPython.__file__, __file__))
_MOST_ERRORS = 100  # that are shown of a group and the groups within it
_WIDE, _DEEP = 15, 10  # of each group, and levels: as Python has it
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
        shown = _pruned(error, [_MOST_ERRORS]) if isinstance(error, BaseExceptionGroup) else error
        found = TracebackException(type(shown), shown, frames, compact=True, max_group_width=_WIDE + 1)
        for each in _with_causes(found):
            each.stack = StackSummary.from_list(_named(each.stack, name_of))
        return "".join(found.format()).splitlines()
    except BaseException as failure:  # of the errors' own methods; or an interrupt, which would lose the error
        return [f"{kind}: its traceback cannot be shown: {type(failure).__name__}"]


class MoreErrors(Exception):
    """Stands for the errors of large groups that are left out."""

    __module__ = "builtins"  # so that it is shown without one


def _pruned(group: BaseExceptionGroup[BaseException], left: list[int], depth: int = 0) -> BaseException:
    """The group itself, or a copy with as many errors as are `left`; Python shows no more of each group than this keeps."""
    kept: list[BaseException] = []
    for error in group.exceptions[:_WIDE]:
        left[0] -= 1
        if left[0] < 0 or depth == _DEEP:
            break
        kept.append(_pruned(error, left, depth + 1) if isinstance(error, BaseExceptionGroup) else error)
    missing = len(group.exceptions) - len(kept)
    if not missing and all(map(is_, kept, group.exceptions)):
        return group
    message = f"{group.message}, {len(group.exceptions)} errors in all" if missing else group.message
    more = [MoreErrors(f"{missing} errors are left out here")] if missing else []
    return BaseExceptionGroup(message, [*kept, *more]).with_traceback(group.__traceback__)


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
