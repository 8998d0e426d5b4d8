"""A reserve of memory, so that the kernel still answers when cells have used up all that the process may have."""

from __future__ import annotations

import mmap
import os
import resource
from typing import NoReturn

_BYTES = 16 << 20  # enough to take in a request, run a small cell and answer
_LIMITS = (resource.RLIMIT_DATA, resource.RLIMIT_AS)
OUT_OF_MEMORY = 12  # the exit code, ENOMEM; the engine knows it


class Reserve:
    """Memory that nothing uses until it is spent. Without a limit of memory there is none to keep."""

    def __init__(self) -> None:
        self._kept: mmap.mmap | None = None
        self._is_wanted = False

    def begin(self) -> None:
        """Keep a reserve from now on, if this process has a limit of memory."""
        self._is_wanted = any(resource.getrlimit(each)[0] != resource.RLIM_INFINITY for each in _LIMITS)
        self.renew()

    def renew(self) -> None:
        """Keep it again after it was spent, if there is memory for it."""
        if self._is_wanted and self._kept is None:
            try:
                self._kept = mmap.mmap(-1, _BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            except (OSError, MemoryError):
                self._kept = None

    def spend(self) -> None:
        """Make room after a MemoryError. Ends the process if there is nothing left to spend: it could not even say so later."""
        kept, self._kept = self._kept, None
        if kept is None:
            end_without_memory()
        kept.close()


def end_without_memory() -> NoReturn:
    """End this process; its parent learns why."""
    os.write(2, b"The kernel is out of memory\n")
    os._exit(OUT_OF_MEMORY)
