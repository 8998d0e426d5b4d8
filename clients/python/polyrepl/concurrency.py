"""What an asynchronous program does in another way than a plain one: waiting, reading a disk, callbacks, streams that are dropped.

Each name has its twin: `async_sleep` and `sleep`, `AsyncStreams` and `Streams`. `_async/` uses the first, and `_sync/`, which is
generated from it, the second.

A plain generator that is dropped is closed by the garbage collector, which may run anywhere: also where the same thread holds the
lock of the pool of connections, which closing needs, and which it would wait for without end. So the client itself holds its
streams, and closes with its next call those that nobody else holds any more. An event loop does that for asynchronous ones."""

from __future__ import annotations

import inspect
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator, Iterator
from typing import Any, TypeAlias, TypeVar

from polyrepl.transfer import Content

Returned = TypeVar("Returned")
# What the callback that answers input() returns.
AsyncInput: TypeAlias = str | Awaitable[str]
Input: TypeAlias = str


async def async_sleep(seconds: float) -> None:
    import anyio  # httpx's own: on asyncio and on trio

    await anyio.sleep(seconds)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


async def async_chunks(content: Content) -> AsyncIterator[bytes]:
    """Read in threads: a disk may be slow, and the loop waits for nothing."""
    import anyio.to_thread

    chunks = content.chunks()
    while (chunk := await anyio.to_thread.run_sync(next, chunks, None)) is not None:
        yield chunk


def chunks(content: Content) -> Iterator[bytes]:
    return content.chunks()


async def async_settled(returned: Returned | Awaitable[Returned]) -> Returned:
    """What a callback returned, plain function or coroutine."""
    return await returned if inspect.isawaitable(returned) else returned


def settled(returned: Returned) -> Returned:
    return returned


AsyncFollowing: TypeAlias = AsyncGenerator[Any, None]


class AsyncStreams:
    """The streams of one client, which the event loop closes when they are dropped."""

    def follow(self, events: AsyncGenerator[Any, None]) -> AsyncFollowing:
        return events

    def end_dropped(self) -> None:
        """Nothing is left to do."""


class Streams:
    """The streams of one client. `drop` may be called by the garbage collector, the others may not."""

    def __init__(self) -> None:
        self._open: set[Generator[Any, None, None]] = set()
        self._dropped: deque[Generator[Any, None, None]] = deque()

    def __len__(self) -> int:
        return len(self._open)

    def follow(self, events: Generator[Any, None, None]) -> Following:
        self._open.add(events)
        return Following(events, self)

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

    def __next__(self) -> Any:
        return next(self._events)

    def close(self) -> None:
        """Let go of the connection. May be called again."""
        self._streams.end(self._events)

    def __del__(self) -> None:
        self._streams.drop(self._events)
