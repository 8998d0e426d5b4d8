"""Huge pages for the zygote's memory: a fork copies one entry of the page table for each of them, instead of 512."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

_HUGE_PAGE = 2 << 20  # bytes; on machines with other sizes Linux refuses what is not aligned, and nothing changes
_MADV_COLLAPSE = 25  # since Linux 6.1


def collapse() -> int:
    """Move this process's anonymous memory into huge pages where it can be; returns how many bytes.

    It is a copy, so what the process reads and writes stays the same. A page that is written to after a fork is copied as
    4 KiB all the same, so that kernels own no more memory for it."""
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    done = 0
    for start, end in _anonymous():
        for address in range(-(-start // _HUGE_PAGE) * _HUGE_PAGE, end - _HUGE_PAGE + 1, _HUGE_PAGE):
            if madvise(address, _HUGE_PAGE, _MADV_COLLAPSE) == 0:
                done += _HUGE_PAGE
    return done


def _anonymous() -> Iterator[tuple[int, int]]:
    """Address ranges of private, writable memory that is no file's."""
    with open("/proc/self/maps") as maps:
        for line in maps.read().splitlines():
            addresses, mode, _, _, inode, *name = line.split(maxsplit=5)
            if mode == "rw-p" and inode == "0" and name in ([], ["[heap]"]):
                start, _, end = addresses.partition("-")
                yield int(start, 16), int(end, 16)
