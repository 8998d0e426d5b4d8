"""Marks in time, set by wrapping functions of a running program.

Standard library only and no import of this package: its source is also run inside kernels.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

#: (name, time in ns of CLOCK_MONOTONIC, which all processes of a machine share), in the order of time.
MARKS: list[tuple[str, int]] = []


def wrap(module: str, path: str, name: str) -> None:
    """Replace a function so that each call leaves the marks `name.in` and `name.out`.

    Raises AttributeError where the program has no such function (any more).
    """
    owner: Any = importlib.import_module(module)
    *parents, attribute = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, attribute, _marked(getattr(owner, attribute), f"{name}.in", f"{name}.out"))


def wrap_all(points: Sequence[Sequence[str]]) -> None:
    """Wrap several functions: (module, path in it, name)."""
    for module, path, name in points:
        wrap(module, path, name)


def _marked(function: Callable[..., Any], begins: str, ends: str) -> Callable[..., Any]:
    clock, mark = time.perf_counter_ns, MARKS.append
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def marked_coroutine(*args: Any, **kwargs: Any) -> Any:
            mark((begins, clock()))
            try:
                return await function(*args, **kwargs)
            finally:
                mark((ends, clock()))

        return marked_coroutine

    @wraps(function)
    def marked(*args: Any, **kwargs: Any) -> Any:
        mark((begins, clock()))
        try:
            return function(*args, **kwargs)
        finally:
            mark((ends, clock()))

    return marked


def dump(path: str) -> None:
    """Write the marks so far as JSON, all at once as others see it, and forget them."""
    with open(f"{path}.part", "w") as file:
        json.dump(MARKS, file)
    os.replace(f"{path}.part", path)
    MARKS.clear()
