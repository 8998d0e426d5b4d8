"""Streams that somebody follows, and what becomes of those that are dropped without being closed. `client` layer.

A generator that is dropped is closed by the garbage collector, which may run anywhere: also where the same thread holds the lock of
the pool of connections, which closing needs, and which it would wait for without end. So the client itself holds its streams, and
those that nobody else does any more are closed by its next call."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from typing import Any


class Streams:
    """The streams of one client. `drop` may be called by the garbage collector, the others may not."""

    def __init__(self) -> None:
        self._open: set[Generator[Any, None, None]] = set()
        self._dropped: deque[Generator[Any, None, None]] = deque()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, events: Generator[Any, None, None]) -> None:
        self._open.add(events)

    def drop(self, events: Generator[Any, None, None]) -> None:
        self._dropped.append(events)

    def end(self, events: Generator[Any, None, None]) -> None:
        events.close()
        self._open.discard(events)

    def end_dropped(self) -> None:
        while True:
            try:
                events = self._dropped.popleft()
            except IndexError:
                return
            self.end(events)


class Following(Iterator[Any]):
    """The events of a stream, one after the other. Closed by `close`, or by the client after it was dropped."""

    def __init__(self, events: Generator[Any, None, None], streams: Streams) -> None:
        self._events = events
        self._streams = streams
        streams.add(events)

    def __next__(self) -> Any:
        return next(self._events)

    def close(self) -> None:
        """Let go of the connection. May be called again."""
        self._streams.end(self._events)

    def __del__(self) -> None:
        self._streams.drop(self._events)
