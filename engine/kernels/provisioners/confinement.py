"""Confinement: what a process of a context may do, decided once and applied by whoever makes the process.

Today that is limits of setrlimit(2), and who may look into the process. A view of files, a network and a tier of isolation have their
place here, too."""

from __future__ import annotations

import contextlib
import ctypes
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

Limits = Mapping[str, tuple[int, int]]
"""Soft and hard limit by name, as in setrlimit(2) without the prefix."""

_PR_SET_DUMPABLE = 4
# A server raises its own number of open files later. Its kernels keep the number that it was started with.
_OPEN_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)


@dataclass(frozen=True, slots=True)
class Confinement:
    """Frozen: the same value for a process that is spawned, forked or runs an installer."""

    rlimits: Limits = field(default_factory=dict)
    hidden: bool = False

    @classmethod
    def of(
        cls,
        rlimits: Mapping[str, int],
        *,
        memory: int | None = None,
        processes: int | None = None,
        files: int | None = None,
        file_size: int | None = None,
        hidden: bool = False,
    ) -> Self:
        """The limits of the setting, `files` open files (by default as many as this process was started with), at most `memory` bytes
        that can be written to (DATA), no new process while the user has `processes` (NPROC), and files of `file_size` bytes at most
        (FSIZE). `hidden`: as `hide_process`."""
        limits = {"NOFILE": _OPEN_FILES}
        for name, most in (("DATA", memory), ("NPROC", processes), ("NOFILE", files), ("FSIZE", file_size)):
            if most is not None:
                limits[name] = (most, most)
        return cls({**limits, **{name: (value, value) for name, value in rlimits.items()}}, hidden)

    def message(self) -> dict[str, Any]:
        """As a zygote reads it in a request to fork (runtimes/README.md)."""
        return {"rlimits": {name: list(pair) for name, pair in self.rlimits.items()}, "hidden": self.hidden}

    def apply(self, pid: int) -> None:
        """Limit a process of ours that runs already; no limit is raised above what it has. Raises OSError.

        Only a process can hide itself, and what it runs next is not hidden."""
        for name, (soft, hard) in self.rlimits.items():
            number = getattr(resource, f"RLIMIT_{name}")
            most = resource.prlimit(pid, number)[1]
            hard = _lower(hard, most)
            resource.prlimit(pid, number, (_lower(soft, hard), hard))


UNCONFINED = Confinement()
ROOT_WARNING = (
    "code in contexts can do everything on this machine, and limits of processes do not hold; run as another user"
)


def hide_process() -> None:
    """Keep memory, environment and descriptors of this process from others of its user (PR_SET_DUMPABLE): /proc/PID/mem, ptrace.

    It leaves no core dump then. Does nothing where the system has none of this."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _lower(one: int, other: int) -> int:
    # RLIM_INFINITY is -1 before Python 3.15 and the largest number from then on; -1 is understood by all.
    finite = [each for each in (one, other) if each not in (-1, resource.RLIM_INFINITY)]
    return min(finite, default=resource.RLIM_INFINITY)
