"""The C library's allocator: what a peak of memory has taken goes back to the system."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from pathlib import Path

_M_ARENA_MAX = -8  # malloc.h of glibc
_ARENAS = 2  # each takes 64 MB of address space; the threads here work on files, and seldom at once
_WORTH_A_TRIM = 32 << 20  # bytes by which the process is larger than at first
_LOOKS = 2  # with a trim after the last request: what it leaves may be freed a moment later
_PAGE = os.sysconf("SC_PAGE_SIZE")


def limit_arenas() -> None:
    """Have threads share few arenas, where the C library has such an option (glibc)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


class Trimmer:
    """Returns what is free, also between what is used: large outputs are held in many parts. A lower threshold for mappings of their
    own would return some of it at once, and cost more time than anything else in a large output."""

    def __init__(self) -> None:
        self._base = _resident_bytes()
        self._requests = -1
        self._left = 0

    async def look(self, requests: int) -> None:
        """Trim if the process is much larger than at first, and has worked since the last look but one. Takes some ms, in a thread.

        `requests`: how many there were. What is free does not show in the size of the process: freeing changes nothing about it."""
        self._left = _LOOKS if requests != self._requests else self._left
        self._requests = requests
        if self._left and _resident_bytes() - self._base > _WORTH_A_TRIM:
            self._left -= 1
            await asyncio.to_thread(_trim)


def _trim() -> None:
    with contextlib.suppress(OSError, AttributeError):  # another C library has no such function
        ctypes.CDLL(None).malloc_trim(0)


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE
    except OSError:  # no Linux
        return 0
