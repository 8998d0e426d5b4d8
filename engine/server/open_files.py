"""The files that the server has open: those that every process has, and how many it may open, four for each context."""

from __future__ import annotations

import os
import resource

_MANY = 1_048_576  # as Linux has it where nothing is set


def raise_open_files() -> int:
    """Let this process open as many files as it may. Returns that number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else _MANY


def open_standard_files() -> None:
    """Open what the caller has closed of stdin, stdout and stderr: a socket that gets such a number would be written to."""
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:
            os.close(fd)
            return
        os.set_inheritable(fd, True)
