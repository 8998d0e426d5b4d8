"""Budgets: bytes that what waits may take, in the whole server and for each that waits in it. What waits is weighed, not counted."""

from __future__ import annotations

import asyncio

from engine.errors import TooManyBytes
from engine.metrics import Metrics
from engine.settings import Settings

_KIB = 1024


class Budget:
    """Bytes that all shares of it may hold together. `what`: who holds them, as the beginning of a sentence.

    The first `spared` bytes of each share are not counted: who holds little is never refused for what others hold.
    The metrics named `purpose` show what is held, and how often something was refused."""

    def __init__(self, limit: int, metrics: Metrics, *, purpose: str, what: str, spared: int = 0) -> None:
        self.limit = limit
        self.spared = spared
        self.what = what
        self.held = 0
        self.refused = metrics.refused.labels(purpose)
        self._waiters: set[asyncio.Future[None]] = set()
        metrics.held_bytes.labels(purpose).set_function(lambda: self.held)

    def __repr__(self) -> str:
        return f"<Budget {self.held} of {self.limit} bytes>"

    def share(self) -> Share:
        """A share without a limit of its own."""
        return Share(self, self.limit, self.what)

    def wake(self) -> None:
        """Have everything that waits for room look again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def changed(self) -> None:
        """Return when a share has given something back."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


class Share:
    """What one holder has of a budget, with a limit of its own. `what`: the holder, as the beginning of a sentence.

    A share that holds nothing takes anything that the budget has room for, whatever its own limit."""

    def __init__(self, budget: Budget, limit: int, what: str) -> None:
        self.held = 0
        self._budget = budget
        self._limit = limit
        self._what = what

    def __repr__(self) -> str:
        return f"<Share {self.held} of {self._limit} bytes>"

    @property
    def has_room(self) -> bool:
        """Whether something small would be taken."""
        budget = self._budget
        return self.held < self._limit and (self.held < budget.spared or budget.held < budget.limit)

    def check(self, size: int, *, times: int = 1) -> None:
        """Raises TooManyBytes where `size` more bytes have no room. `times`: how often the limits may be used, before that."""
        budget, after = self._budget, self.held + size
        if not size or (after <= self._limit and budget.held + size <= budget.limit):
            return
        if self.held and after > times * self._limit:
            budget.refused.inc()
            raise TooManyBytes(self._what, size, self.held, times * self._limit)
        if budget.held and after > budget.spared and budget.held + self._counted(after) > times * budget.limit:
            budget.refused.inc()
            raise TooManyBytes(budget.what, size, budget.held, times * budget.limit)

    def take(self, size: int) -> None:
        """Hold `size` more bytes, whether there is room or not."""
        self._hold(self.held + size)

    def give(self, size: int) -> None:
        """Hold `size` bytes less."""
        self._hold(self.held - size)
        self._budget.wake()

    def _hold(self, size: int) -> None:
        spared = self._budget.spared
        if size > spared or self.held > spared:
            self._budget.held += self._counted(size)
        self.held = size

    def _counted(self, after: int) -> int:
        """By how many bytes the budget changes when the share holds `after` bytes."""
        spared = self._budget.spared
        return max(0, after - spared) - max(0, self.held - spared)

    async def room(self) -> None:
        """Return as soon as something small would be taken."""
        while not self.has_room:
            await self._budget.changed()


class Budgets:
    """All of a server: of requests that are being received, of those that wait or run, and of messages that wait for websockets."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.incoming = Budget(
            settings.incoming_bytes,
            metrics,
            purpose="incoming",
            what="Requests that the server is receiving have",
            spared=64 * _KIB,
        )
        self.queues = Budget(
            settings.total_queue_bytes, metrics, purpose="queues", what="All queues together hold", spared=256 * _KIB
        )
        self.websockets = Budget(
            settings.total_websocket_bytes,
            metrics,
            purpose="websockets",
            what="Messages that wait for websockets have",
            spared=256 * _KIB,
        )
