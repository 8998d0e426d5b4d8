"""A reserve of memory, so that the kernel still answers when cells have used up all that the process may have."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource
from typing import NoReturn

_BYTES = 16 << 20  # enough to take in a request, run a small cell and answer
_DATA, _ADDRESSES = resource.RLIMIT_DATA, resource.RLIMIT_AS
OUT_OF_MEMORY = 12  # the exit code, ENOMEM; the engine knows it


class Reserve:
    """Memory that nothing uses until it is spent. Without a limit of memory there is none to keep."""

    def __init__(self) -> None:
        self._kept: mmap.mmap | None = None
        self._is_wanted = False

    def prepare(self) -> None:
        """Keep it before there is a limit: it costs nothing, and a fork has it, too."""
        self._keep()

    def begin(self) -> None:
        """Keep a reserve from now on, if this process has a limit of memory."""
        no = resource.RLIM_INFINITY
        self._is_wanted = resource.getrlimit(_DATA)[0] != no or resource.getrlimit(_ADDRESSES)[0] != no
        self.renew()

    def renew(self) -> None:
        """Keep it again after it was spent, if there is memory for it."""
        if self._is_wanted and self._kept is None and not self._keep():
            _return_freed()
            self._keep()

    def _keep(self) -> bool:
        try:
            self._kept = mmap.mmap(-1, _BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (OSError, MemoryError):
            return False
        return True

    def release(self) -> bool:
        """Make room after a MemoryError; False if there is nothing left to make it with."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()
        return kept is not None

    def spend(self) -> None:
        """Make room, or end the process, which could not even say so later."""
        if not self.release():
            end_without_memory()


def _return_freed() -> None:
    """What was freed counts until it goes back to the system, in which small objects are slow."""
    with contextlib.suppress(OSError, AttributeError, MemoryError):  # another C library has no such function
        ctypes.CDLL(None).malloc_trim(0)


def end_without_memory() -> NoReturn:
    """End this process; its parent learns why."""
    os.write(2, b"The kernel is out of memory\n")
    os._exit(OUT_OF_MEMORY)
