"""The event log of an execution: numbered from 1, bounded, readable from any number by any number of readers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from math import inf

from engine.jupyter import utf8_size
from engine.models import Event, Gap, Stderr, Stdout, encode

_EVENT_BYTES = 200  # an event without its payload, roughly, in memory


class Journal:
    """Events in order. When it is full the oldest go, and a reader who asks for them gets one `Gap` instead.

    `max_bytes` bounds their content, whatever it is."""

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self._events: deque[tuple[Event, int]] = deque()
        self._first = 1
        self._bytes = 0
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._wakers: set[Callable[[], None]] = set()
        self.closed = False

    def __repr__(self) -> str:
        return f"<Journal {self._first}..{self.last}{' closed' if self.closed else ''}>"

    @property
    def last(self) -> int:
        """Number of the newest event; 0 when there is none."""
        return self._first + len(self._events) - 1

    @property
    def size(self) -> int:
        return self._bytes

    def append(self, event: Event, size: int = 0) -> None:
        """Add an event. `size`: that of the message it came from, in bytes, where that is known."""
        size = _EVENT_BYTES + (size or _size_of(event))
        self._events.append((event, size))
        self._bytes += size
        while len(self._events) > self._max_events or (self._bytes > self._max_bytes and len(self._events) > 1):
            self._bytes -= self._events.popleft()[1]
            self._first += 1
        self._wake()

    def cap(self) -> None:
        """Keep no more bytes than now, whatever comes."""
        self._max_bytes = min(self._max_bytes, self._bytes)

    def close(self) -> None:
        """Nothing is added any more, and no reader waits."""
        self.closed = True
        self._wake()

    def discard(self) -> None:
        """Keep nothing, now or later."""
        self._first = self.last + 1
        self._events.clear()
        self._bytes = self._max_events = 0
        self.close()

    @property
    def is_followed(self) -> bool:
        """Whether somebody reads it."""
        return bool(self._wakers)

    def read(self, after: int, *, max_bytes: float = inf) -> list[tuple[int, Event]]:
        """Every kept event with a number above `after`, led by a `Gap` where some are missing.

        `max_bytes`: no more than one event beyond that many bytes of them."""
        after = max(after, 0)
        start = max(after + 1, self._first)
        found: list[tuple[int, Event]] = []
        if start > after + 1:
            found.append((start - 1, Gap(missed=start - 1 - after)))
        size = 0
        for number, (event, event_size) in enumerate(islice(self._events, start - self._first, None), start):
            found.append((number, event))
            size += event_size
            if size > max_bytes:
                break
        return found

    def subscribe(self, waker: Callable[[], None]) -> None:
        self._wakers.add(waker)

    def unsubscribe(self, waker: Callable[[], None]) -> None:
        self._wakers.discard(waker)

    def _wake(self) -> None:
        for waker in self._wakers:
            waker()


def _size_of(event: Event) -> int:
    return utf8_size(event.text) if isinstance(event, (Stdout, Stderr)) else len(encode(event))
