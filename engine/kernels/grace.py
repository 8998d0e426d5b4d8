"""Grace: the time that an interrupted kernel has to stop, counted while it gets a processor."""

from __future__ import annotations

import asyncio
import contextlib
import os
from itertools import islice

from engine.kernels.run import Outcome, Run

_MOST = 5  # times the grace is the longest wait, however busy the machine is
_LITTLE = 0.005  # seconds without a processor that count for nothing
_THREADS = 64  # of the process that are looked at


async def wait_for_stop(run: Run, pid: int | None, grace: float) -> Outcome:
    """Wait until an interrupted run is over, or its process has had `grace` seconds to stop.

    The time in which a thread of the process waits for a processor does not count. Where Linux does not tell it, all time does."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _MOST * grace
    seen, left = _waits(pid), grace
    while True:
        outcome = await run.wait(left)
        if outcome is not Outcome.TIMEOUT:
            return outcome
        now = _waits(pid)
        waited = max((seconds - seen.get(thread, 0.0) for thread, seconds in now.items()), default=0.0)
        left, seen = min(waited, left, end - loop.time()), now
        if left <= _LITTLE:
            return outcome


def _waits(pid: int | None) -> dict[str, float]:
    """Seconds that each thread of a process has waited for a processor so far; empty where it is not told."""
    found: dict[str, float] = {}
    with contextlib.suppress(OSError, ValueError, IndexError), os.scandir(f"/proc/{pid}/task") as threads:
        for thread in islice(threads, _THREADS):
            with open(f"{thread.path}/schedstat") as file:
                found[thread.name] = int(file.read().split()[1]) / 1e9
    return found
