"""What a kernel and everything below it take: processes, threads and memory, read from /proc. All of this blocks for some ms at most.

For servers that may not use control groups. What is read is never exact: processes come and go meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

_STATUS = re.compile(rb"^(Name|RssAnon|RssShmem|Threads):\s+(.*?)(?: kB)?$", re.MULTILINE)
_SHARES = re.compile(rb"^Pss_(Anon|Shmem):\s+(\d+) kB$", re.MULTILINE)
# Files that are memory: what a link in /proc/PID/fd says of them.
_IN_MEMORY = ("/memfd:", "/dev/shm/", "/SYSV", "/dev/zero (deleted)")  # noqa: S108 - it is only compared
_MOUNTS = ("/dev/shm", "/tmp", "/var/tmp")  # noqa: S108 - they are only looked at
_MOST_FDS = 4096  # that are looked at


@dataclass(frozen=True, slots=True)
class Process:
    """Bytes: `private` of its own or of what it was forked from, `shared` of files in memory."""

    pid: int
    name: bytes
    threads: int
    private: int
    shared: int


def baseline_of(pid: int) -> int:
    """Bytes that a kernel has of its own, or of its zygote, when it is ready. Raises OSError if it has ended."""
    return process_of(pid).private


def process_of(pid: int) -> Process:
    """Raises OSError if it has ended."""
    found = dict(_STATUS.findall(_read(f"/proc/{pid}/status")))
    return Process(
        pid,
        found.get(b"Name", b""),
        int(found.get(b"Threads", b"1")),
        int(found.get(b"RssAnon", b"0")) * 1024,
        int(found.get(b"RssShmem", b"0")) * 1024,
    )


def tree(pid: int, *, most: int) -> list[Process]:
    """A process and all below it, no more than `most` of them. Its orphans are below it, too: our kernels take them."""
    found: list[Process] = []
    waiting = [pid]
    seen = {pid}
    while waiting and len(found) < most:
        each = waiting.pop()
        with contextlib.suppress(OSError):
            found.append(process_of(each))
            for child in _children(each):
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
    return found


def memory_of(processes: list[Process], baseline: int, *, enough: int) -> tuple[int, int]:
    """Bytes of their own, besides the baseline, and of files in memory that these processes have mapped, the kernel first. Up to
    `enough`, a quick upper bound is good.

    What a fork shares with its parent counts once, if the system tells us; it does not for hidden processes of an ordinary
    user. There, only what it has more than the kernel counts."""
    if not processes:
        return 0, 0
    kernel, *others = processes
    own = max(0, kernel.private - baseline)
    mapped = sum(each.shared for each in processes)
    quick = own + sum(each.private for each in others)
    if quick + mapped <= enough or not others:
        return quick, mapped
    exact = shared = 0
    for each in others:
        private, of_files = _shares_of(each.pid) or (None, each.shared)
        shared += of_files
        if private is not None:
            exact += private
        elif each.name == kernel.name:  # forked and not another program
            exact += max(0, each.private - kernel.private)
        else:
            exact += each.private
    return min(quick, own + exact), min(mapped, kernel.shared + shared)


def files_in_memory(processes: list[Process]) -> int:
    """Bytes of the files in memory that these processes have open, each once; of those that may be looked at."""
    found: dict[tuple[int, int], int] = {}
    for each in processes:
        for path in _descriptors(each.pid):
            with contextlib.suppress(OSError):
                if os.readlink(path).startswith(_IN_MEMORY):
                    info = os.stat(path)
                    found[info.st_dev, info.st_ino] = info.st_blocks * 512
    return sum(found.values())


def own_mounts(pid: int) -> int:
    """Bytes of files in memory that a process alone sees, with what is in its box: in /dev/shm and /tmp of its own."""
    size = 0
    for place in _MOUNTS:
        with contextlib.suppress(OSError):  # gone, or hidden
            theirs = f"/proc/{pid}/root{place}"
            if os.stat(theirs).st_dev != os.stat(place).st_dev:
                system = os.statvfs(theirs)
                size += (system.f_blocks - system.f_bfree) * system.f_frsize
    return size


def _descriptors(pid: int) -> Iterator[str]:
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for number, entry in enumerate(entries):
                if number >= _MOST_FDS:
                    return
                yield entry.path
    except OSError:  # gone, or hidden
        return


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                yield from map(int, _read(f"/proc/{pid}/task/{thread}/children").split())


def _shares_of(pid: int) -> tuple[int, int] | None:
    """Its shares of the memory that it has, where what two processes have is shared out; None where nobody tells us."""
    try:
        found = dict(_SHARES.findall(_read(f"/proc/{pid}/smaps_rollup")))
    except OSError:
        return None
    return (int(found[b"Anon"]) * 1024, int(found.get(b"Shmem", 0)) * 1024) if b"Anon" in found else None


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while more := os.read(fd, 1 << 16):
            data += more
        return data
    finally:
        os.close(fd)
