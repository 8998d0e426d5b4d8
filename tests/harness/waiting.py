"""How tests wait: for a condition of this loop, looked at after each of its turns; or for one of other processes, by polling."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable

DEADLINE = 60.0  # seconds


class _Watched:
    """A condition, and the future of whoever waits for it."""

    def __init__(self, condition: Callable[[], object], future: asyncio.Future[None]) -> None:
        self._condition = condition
        self._future = future

    def is_over(self) -> bool:
        if self._future.done():
            return True
        try:
            if not self._condition():
                return False
        except Exception as error:
            self._future.set_exception(error)
        else:
            self._future.set_result(None)
        return True


class _TurnSelector(selectors.DefaultSelector):
    """Looks at the conditions at the end of each turn of its loop, before the loop waits for what comes next."""

    def __init__(self) -> None:
        super().__init__()
        self.watched: list[_Watched] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        over = [each for each in self.watched if each.is_over()]
        for each in over:
            self.watched.remove(each)
        return super().select(0 if over else timeout)


class TurnLoop(asyncio.SelectorEventLoop):
    """The loop that `until` needs."""

    def __init__(self) -> None:
        self.selector = _TurnSelector()
        super().__init__(self.selector)


async def until(condition: Callable[[], object], *, deadline: float = DEADLINE) -> None:
    """Return after the first turn of this loop at whose end the condition holds. It may concern only what this loop does."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, TurnLoop)
    if condition():
        return
    future = loop.create_future()
    loop.selector.watched.append(_Watched(condition, future))
    try:
        async with asyncio.timeout(deadline):
            await future
    finally:
        future.cancel()


def wait_until(condition: Callable[[], object], *, deadline: float = DEADLINE, what: str = "") -> None:
    """Poll what nobody announces: the processes, files and sockets of others. Raises AssertionError after the deadline, in seconds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not within {deadline:g} s: {what or condition}"
        time.sleep(0.01)


async def until_elsewhere(condition: Callable[[], object], *, deadline: float = DEADLINE) -> None:
    """`wait_until` in a thread, while this loop goes on."""
    await asyncio.to_thread(wait_until, condition, deadline=deadline)
