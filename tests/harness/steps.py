"""Work that is done step by step."""

from __future__ import annotations

from typing import TypeVar

from engine.jupyter import Steps

T = TypeVar("T")


def finished(steps: Steps[T]) -> tuple[T, int]:
    """What the steps return, and how many there were."""
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, count
        count += 1
