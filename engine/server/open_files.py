"""The number of files that the server may open: four are needed per context."""

from __future__ import annotations

import resource

_MANY = 1_048_576  # as Linux has it where nothing is set


def raise_open_files() -> int:
    """Let this process open as many files as it may. Returns that number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else _MANY
