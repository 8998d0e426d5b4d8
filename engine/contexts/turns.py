"""Turns: a place in a context's queue for what is no execution. Its holder has the kernel to itself, between two cells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from engine.errors import PolyreplError
from engine.kernels.kernel import Kernel


class Turn:
    """Waits in a queue until it is given the kernel; the queue goes on when the holder lets go, which it always does."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._granted: asyncio.Future[Kernel] = loop.create_future()
        self._released = asyncio.Event()

    @property
    def is_finished(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._released.is_set()

    async def granted(self) -> Kernel:
        """The kernel, when it is this turn's. Raises what its start failed with, or why the turn is refused."""
        return await self._granted

    def release(self) -> None:
        """Let the queue go on."""
        self._granted.cancel()
        self._released.set()

    async def give(self, start: Callable[[], Awaitable[Kernel]]) -> None:
        """Give it the kernel that `start` returns, and wait until it is released."""
        try:
            kernel = await start()
        except PolyreplError as error:
            self.refuse(error)
            return
        if not self._granted.done():
            self._granted.set_result(kernel)
            await self._released.wait()

    def refuse(self, error: PolyreplError) -> None:
        if not self._granted.done():
            self._granted.set_exception(error)
            self._granted.exception()  # seen: its waiter may have given up
