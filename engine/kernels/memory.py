"""Memory: what this machine, or the cgroup that the server runs in, can still give; and what one process has for itself."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import resource
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from engine.kernels.limiting import own_groups

# Of a memory cgroup of version 2, and of version 1: its limit, what it uses, and the statistic of what can be dropped.
_FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
_STATISTIC = re.compile(r"^(\w+) (\d+)$", re.MULTILINE)
_FIELD = re.compile(r"^(\w+):\s+(\d+) kB", re.MULTILINE)
# How V8 and C++ end a process, and our Python kernel itself.
_ENDINGS = (-signal.SIGABRT, -signal.SIGTRAP, errno.ENOMEM)
_LAST_WORDS = re.compile(
    r"JavaScript heap out of memory|Fatal (process|JavaScript) out of memory|std::bad_alloc|The kernel is out of memory"
)
_RESERVED_SHARE = 10  # a tenth of all memory ...
_MOST_RESERVED = 1024 * 1024 * 1024  # ... but no more than this is kept for what runs already
_PLENTY = 1 << 62  # where the system does not say
_SET_REAL = {"x86_64": (119, 117), "aarch64": (149, 147)}  # setresgid, setresuid
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that can still be taken, and those of them that are kept for what runs already."""

    available: int
    reserve: int

    @property
    def is_short(self) -> bool:
        return self.available < self.reserve

    @property
    def is_ample(self) -> bool:
        """Whether there is so much more than the reserve that taking some does not make it short at once."""
        return self.available >= 2 * self.reserve


def read_memory() -> Memory:
    """The memory now: of the machine (proc(5), MemAvailable) or of the tightest cgroup above us, whichever has least left."""
    found = [*_machine(), *_cgroups()]
    available, total = min(found, default=(_PLENTY, _PLENTY))
    return Memory(max(0, available), min(total // _RESERVED_SHARE, _MOST_RESERVED))


def total_memory() -> int | None:
    """Bytes of this machine, or of the tightest cgroup above us; None where the system does not say."""
    return min((total for _, total in (*_machine(), *_cgroups())), default=None)


def private_bytes(pid: int) -> int | None:
    """Bytes that only this process holds, so those that its end gives back; None where it is gone or may not be asked: a hidden
    process says it to root only."""
    fields = _fields(f"/proc/{pid}/smaps_rollup")
    if "Private_Dirty" not in fields:
        return None
    return fields["Private_Dirty"] + fields.get("Private_Clean", 0)


def limit_growth(pid: int, size: int, *, uid: int | None = None) -> None:
    """Let a process have `size` bytes that can be written to besides what it has now (RLIMIT_DATA), and each process that it starts
    as much in all. A lower limit stays. `uid`: whose process it is. Raises OSError, also if it has ended."""
    with open(f"/proc/{pid}/statm") as file:
        now = int(file.read().split()[5]) * resource.getpagesize()
    try:
        _limit(pid, now + size)
    except PermissionError:
        # Root without CAP_SYS_RESOURCE, as in a container: only the process's own user may. A thread becomes that, and ends.
        if uid is None:
            raise
        failed: list[OSError] = []
        thread = threading.Thread(target=_limit_as, args=(uid, pid, now + size, failed), name="limit")
        thread.start()
        thread.join()
        if failed:
            raise failed[0] from None


def _limit(pid: int, size: int) -> None:
    soft, hard = (_lower(size, each) for each in resource.prlimit(pid, resource.RLIMIT_DATA))
    resource.prlimit(pid, resource.RLIMIT_DATA, (soft, hard))


def _limit_as(uid: int, pid: int, size: int, failed: list[OSError]) -> None:
    """With the real user of this thread alone: libc's own functions change those of all threads."""
    try:
        for number in _SET_REAL.get(os.uname().machine, ()):  # the group first
            if _libc.syscall(ctypes.c_long(number), ctypes.c_long(uid), ctypes.c_long(-1), ctypes.c_long(-1)) < 0:
                raise OSError(ctypes.get_errno(), "the limit of memory cannot be set as its user")
        _limit(pid, size)
    except OSError as error:
        failed.append(error)


def _lower(size: int, limit: int) -> int:
    return size if limit in (-1, resource.RLIM_INFINITY) else min(size, limit)  # -1 before Python 3.15


def is_out_of_memory(code: int | None, last_words: str) -> bool:
    """Whether a process ended as one does that gets no more memory: it said so in its last output, and ended itself."""
    return code in _ENDINGS and _LAST_WORDS.search(last_words) is not None


def _machine() -> Iterator[tuple[int, int]]:
    fields = _fields("/proc/meminfo")
    if "MemAvailable" in fields:
        yield fields["MemAvailable"], fields["MemTotal"]


def _cgroups() -> Iterator[tuple[int, int]]:
    """What is left of the limit of our cgroup and of those above it, and the limit."""
    for group, (limit_name, usage_name, cache_name) in _groups():
        limit = _number(f"{group}/{limit_name}")
        if limit is None or limit >= _PLENTY:
            continue
        usage = _number(f"{group}/{usage_name}")
        if usage is not None:
            statistics = dict(_STATISTIC.findall(_read(f"{group}/memory.stat")))
            yield limit - usage + int(statistics.get(cache_name, 0)), limit  # file pages can be dropped


@cache
def _groups() -> tuple[tuple[str, tuple[str, str, str]], ...]:
    """The directories of our memory cgroup and of those above it, of version 2 or 1; a process is not moved later on."""
    places = own_groups(_read("/proc/self/mountinfo"), _read("/proc/self/cgroup"))
    found = []
    for controller, names in _FILES.items():
        if controller in places:
            own = places[controller]
            found += [(str(group), names) for group in (own, *own.parents) if _read(f"{group}/{names[0]}")]
    return tuple(found)


def _number(path: str) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _fields(path: str) -> dict[str, int]:
    return {name: int(value) * 1024 for name, value in _FIELD.findall(_read(path))}


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
