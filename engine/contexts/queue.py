"""The queue of a context: what waits for its kernel, and the worker that hands the kernel from one to the next."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol

from engine.contexts.budgets import Share
from engine.contexts.kernel_slot import KernelSlot
from engine.errors import PolyreplError, QueueFull
from engine.kernels import Kernel
from engine.log import get_logger


class Work(Protocol):
    """Something that needs the kernel for a time, between two others that do. `size`: bytes that it holds until then."""

    size: int

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to do for it."""

    async def give(self, slot: KernelSlot) -> None:
        """Have the slot's kernel until this returns."""

    def refuse(self, error: Exception) -> None:
        """End: the kernel will not be given, or is taken away. What has ended already stays as it is."""


class Turn:
    """A place in the queue for work that is no cell. Its holder has the kernel to itself until it lets go, which it always does."""

    size = 0

    def __init__(self) -> None:
        self._granted: asyncio.Future[Kernel] = asyncio.get_running_loop().create_future()
        self._released = asyncio.Event()

    @property
    def is_finished(self) -> bool:
        return self._released.is_set()

    async def granted(self) -> Kernel:
        """The kernel, when it is this turn's. Raises what its start failed with, or why the turn is refused."""
        return await self._granted

    def release(self) -> None:
        """Let the queue go on."""
        self._granted.cancel()
        self._released.set()

    async def give(self, slot: KernelSlot) -> None:
        try:
            kernel = await slot.living()
        except PolyreplError as error:
            self.refuse(error)
            return
        if not self._granted.done():
            self._granted.set_result(kernel)
            await self._released.wait()

    def refuse(self, error: Exception) -> None:
        if not self._granted.done():
            self._granted.set_exception(error)
            self._granted.exception()  # seen: its waiter may have given up


class Queue:
    """What waits for the kernel of a slot, in order, and what has it now. `share`: the bytes that all of it may hold.

    Invariants: there is one worker at a time, and there is one as long as anything waits or has the kernel. What the worker takes
    out is `current` from the same step on, so `drain` refuses it with those that wait: nothing that was queued is lost. A worker
    that was drained away takes nothing more. After `close` nothing is taken in. The share holds what waits, and `current`."""

    def __init__(self, slot: KernelSlot, *, context_id: str, size: int, share: Share) -> None:
        self.current: Work | None = None
        self.last_activity = datetime.now(UTC)
        self.share = share
        self._slot = slot
        self._context_id = context_id
        self._size = size
        self._waiting: deque[Work] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._closed: PolyreplError | None = None  # why

    def __repr__(self) -> str:
        return f"<Queue {'CLOSED' if self._closed else 'IDLE' if self.is_idle else 'WORKING'}, {len(self)} waiting>"

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Work]:
        return iter(list(self._waiting))

    @property
    def is_idle(self) -> bool:
        return self._worker is None

    def submit(self, work: Work) -> None:
        """Take in work as long as there is room. Raises QueueFull, TooManyBytes, or why the queue is closed."""
        if self._closed is None:
            if len(self._waiting) >= self._size:
                raise QueueFull(self._context_id, self._size)
            self.share.check(work.size)
        self.put(work)

    def put(self, work: Work) -> None:
        """Take in work, whatever waits already; who calls this asks `share` before. Raises why the queue is closed."""
        if self._closed is not None:
            raise self._closed
        self.last_activity = datetime.now(UTC)
        self._waiting.append(work)
        self.share.take(work.size)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    def remove(self, work: Work) -> None:
        """Take out work that waits. Nothing happens if it does not wait any more."""
        with contextlib.suppress(ValueError):
            self._waiting.remove(work)
            self.share.give(work.size)

    def drain(self, error: PolyreplError) -> asyncio.Task[None] | None:
        """Refuse everything and be as new, at once. Returns the worker of before, which has to be waited for."""
        worker, self._worker = self._worker, None
        dropped = [self.current] if self.current is not None else []
        dropped += self._waiting
        self.current = None
        self._waiting.clear()
        self.share.give(sum(work.size for work in dropped))
        if worker is not None:
            worker.cancel()
        for work in dropped:
            work.refuse(error)
        return worker

    def close(self, error: PolyreplError) -> None:
        """Take nothing in any more; it has been drained."""
        self._closed = error

    async def idle(self, timeout: float) -> bool:
        """Return True as soon as nothing waits or has the kernel, or False after `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._worker is not None:
                    await asyncio.wait({self._worker})
        return self._worker is None

    async def _work(self) -> None:
        worker = asyncio.current_task()
        while self._waiting and self._worker is worker:
            work = self._waiting.popleft()
            if work.is_finished:
                self.share.give(work.size)
                continue
            self.current = work
            try:
                await work.give(self._slot)
            except Exception as error:  # the others still have to have their turn
                get_logger().error("work_failed", context=self._context_id, work=repr(work), exc_info=error)
                work.refuse(error)
            if self._worker is worker:
                self.current = None
                self.share.give(work.size)
                self.last_activity = datetime.now(UTC)
        if self._worker is worker:
            self._worker = None
