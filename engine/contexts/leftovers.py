"""Leftovers: executions that are no longer kept, and that somebody still reads."""

from __future__ import annotations

from collections import deque
from weakref import ref

from engine.contexts.execution import Execution


class Leftovers:
    """They may hold `max_bytes` in all. When it is more, the oldest let go of their output; slow readers get a `Gap`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._executions: deque[ref[Execution]] = deque()

    def add(self, execution: Execution) -> None:
        if not execution.journal.is_followed:
            return
        self._executions.append(ref(execution))
        alive = [each for weak in self._executions if (each := weak()) is not None and each.size]
        size = sum(each.size for each in alive)
        while size > self._max_bytes:
            oldest = alive.pop(0)
            size -= oldest.size
            oldest.discard()
        self._executions = deque(map(ref, alive))
