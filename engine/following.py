"""Following: a journal read while it grows, by any number of readers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from engine.models import Event
from engine.output import Journal

_AT_ONCE = 64 * 1024  # bytes of events that a slow reader keeps when the journal has let go of them


async def follow(
    journal: Journal, after: int = 0, *, ping: float | None = None
) -> AsyncIterator[tuple[int, Event] | None]:
    """Every event of a journal numbered above `after`, until it is closed; None after each `ping` seconds of silence."""
    changed = asyncio.Event()
    journal.subscribe(changed.set)
    try:
        while True:
            changed.clear()
            while events := journal.read(after, max_bytes=_AT_ONCE):
                for number, event in events:
                    after = number
                    yield number, event
            if journal.closed and after >= journal.last:
                return
            try:
                async with asyncio.timeout(ping):
                    await changed.wait()
            except TimeoutError:
                yield None
    finally:
        journal.unsubscribe(changed.set)
