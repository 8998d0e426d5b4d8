"""Turns: how the loop's time is shared out among the channels of all kernels, so that a flood of messages stops nobody else.

A kernel that says little is heard at once. One that says more than a slice of time allows waits in a queue; all that wait there share
one budget in each turn of the loop, however many they are."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

SLICE = 0.0005  # seconds that one kernel has at a time
READ_BYTES = 256 * 1024  # that a source takes in at once
BUDGET = 0.001  # seconds of a turn of the loop for all that wait


class Source(Protocol):
    """Who has messages to deliver: the channels to one kernel."""

    def deliver(self, turn: Turn) -> bool:
        """Deliver messages until the turn is over, or there are no more; returns whether something is left."""


class Turn:
    """The time that a source has."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end = 0.0

    def begin(self, seconds: float) -> Turn:
        self._end = self._clock() + seconds
        return self

    @property
    def is_over(self) -> bool:
        return self._clock() >= self._end


class Turns:
    """Gives sources their turns, on one loop. `clock`: seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.perf_counter) -> None:
        self._loop = loop
        self._clock = clock
        self._turn = Turn(clock)
        self._waiting: deque[Source] = deque()
        self.buffer = memoryview(bytearray(READ_BYTES))  # that sources of this loop read into, one after the other

    def __repr__(self) -> str:
        return f"<Turns {len(self._waiting)} waiting>"

    def give(self, source: Source) -> None:
        """Let a source that does not wait deliver what has come: a slice now, and the rest in later turns."""
        is_first = not self._waiting
        try:
            self._serve(source)
        finally:
            if is_first and self._waiting:
                self._loop.call_soon(self._next)

    def _next(self) -> None:
        """One turn of the loop: who waits longest comes first, and again while there is time."""
        end = self._clock() + BUDGET
        try:
            while self._waiting and self._clock() < end:
                self._serve(self._waiting.popleft())
        finally:  # what one of them raises stops no other
            if self._waiting:
                self._loop.call_soon(self._next)

    def _serve(self, source: Source) -> None:
        """A source whose listener raised is behind that message, and goes on with the next one."""
        is_left = True
        try:
            is_left = source.deliver(self._turn.begin(SLICE))
        finally:
            if is_left:
                self._waiting.append(source)


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns_of(loop: asyncio.AbstractEventLoop) -> Turns:
    """The one of that loop."""
    found = _turns.get(loop)
    if found is None:
        found = _turns[loop] = Turns(loop)
    return found
