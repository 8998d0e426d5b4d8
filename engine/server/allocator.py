"""The C library's allocator: large buffers go back to the system as soon as they are freed, so that a peak does not last."""

from __future__ import annotations

import ctypes

# malloc.h of glibc
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_OWN_MAPPING = 96 * 1024  # bytes from which a buffer is a mapping of its own, as the parts of large outputs are
_KEPT_FREE = 8 << 20  # bytes that may stay free at the end of the heap
_ARENAS = 2  # each takes 64 MB of address space; the threads here work on files, and seldom at once


def return_memory() -> bool:
    """Have freed memory returned. Without this, glibc raises its threshold to 32 MB with the first large buffer and keeps what is
    freed below that. Returns False where the C library has no such options (musl)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    options = {_M_MMAP_THRESHOLD: _OWN_MAPPING, _M_TRIM_THRESHOLD: _KEPT_FREE, _M_ARENA_MAX: _ARENAS}
    accepted = [mallopt(name, value) == 1 for name, value in options.items()]
    return all(accepted)
