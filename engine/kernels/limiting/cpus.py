"""Processors: which ones the processes of a context may run on, and how many its libraries believe in."""

from __future__ import annotations

import contextlib
import math
import os
from collections import Counter

from engine.settings import Limits

# What numeric libraries, Python and Node read when they start.
_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "PYTHON_CPU_COUNT",
    "UV_THREADPOOL_SIZE",
)


def thread_variables(limits: Limits) -> dict[str, str]:
    """The variables by which libraries start no more threads than there are processors for them."""
    return {} if limits.cpus is None else dict.fromkeys(_VARIABLES, str(math.ceil(limits.cpus)))


class Cores:
    """The processors of this server, of which each context with a limit gets those that fewest others have."""

    def __init__(self, cores: frozenset[int] | None = None) -> None:
        self._cores = frozenset(os.sched_getaffinity(0)) if cores is None else cores
        self._users: Counter[int] = Counter()

    def take(self, cpus: float) -> frozenset[int]:
        """As many as `cpus` needs; give them back once."""
        count = max(1, min(math.ceil(cpus), len(self._cores)))
        # From the last one on: what has no limit, and the interrupts of the machine, begin with the first.
        taken = frozenset(sorted(self._cores, key=lambda core: (self._users[core], -core))[:count])
        self._users.update(taken)
        return taken

    def give_back(self, taken: frozenset[int]) -> None:
        self._users.subtract(taken)


def keep_on(pid: int, cores: frozenset[int]) -> None:
    """Have all threads of a process, and what they start, run on these processors only. Raises OSError if it has ended."""
    os.sched_setaffinity(pid, cores)
    for thread in map(int, os.listdir(f"/proc/{pid}/task")):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(thread, cores)
