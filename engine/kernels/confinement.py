"""Limits that Linux keeps for each process: the server's own number of open files, and what kernels get."""

from __future__ import annotations

import resource
from collections.abc import Mapping

Limits = Mapping[str, tuple[int, int]]
"""Soft and hard limit by name, as in setrlimit(2) without the prefix."""

_first_open_files: tuple[int, int] | None = None


def raise_open_files() -> int:
    """Let this process open as many files as it may: four are needed per context. Returns that number."""
    global _first_open_files
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        _first_open_files = _first_open_files or (soft, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def kernel_limits(wanted: Mapping[str, int], *, memory: int | None) -> dict[str, tuple[int, int]]:
    """What kernels get: the limits of the setting, the number of open files that this process was started with, and at most `memory`
    bytes that can be written to (DATA)."""
    limits = {"NOFILE": _first_open_files} if _first_open_files is not None else {}
    if memory is not None:
        limits["DATA"] = (memory, memory)
    return {**limits, **{name: (value, value) for name, value in wanted.items()}}


def limit_process(pid: int, limits: Limits) -> None:
    """Put limits on a process of ours; none is raised above what it has."""
    for name, (soft, hard) in limits.items():
        number = getattr(resource, f"RLIMIT_{name}")
        most = resource.prlimit(pid, number)[1]
        hard = _lower(hard, most)
        resource.prlimit(pid, number, (_lower(soft, hard), hard))


def _lower(one: int, other: int) -> int:
    # RLIM_INFINITY is -1 before Python 3.15 and the largest number from then on; -1 is understood by all.
    finite = [each for each in (one, other) if each not in (-1, resource.RLIM_INFINITY)]
    return min(finite, default=resource.RLIM_INFINITY)
