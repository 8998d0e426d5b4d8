"""Confinement: what a process of a context may do, decided once and applied by whoever makes the process.

All of it is in one value: limits, who may look into the process, whom it runs as, the system calls, files and network that it
reaches, and the box that it joins."""

from __future__ import annotations

import contextlib
import ctypes
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from engine.settings import Tier

RLimits = Mapping[str, tuple[int, int]]
"""Soft and hard limit by name, as in setrlimit(2) without the prefix."""

_PR_SET_DUMPABLE = 4
_NO_CORE = (
    1  # byte: no file, and no program of the machine that core dumps are piped to, which 0 does not stop (core(5))
)
# A server raises its own number of open files later. Its kernels keep the number that it was started with.
_OPEN_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a process may reach of the file system and the network, where Landlock decides that."""

    read: tuple[str, ...]
    write: tuple[str, ...]
    network: bool

    def message(self) -> dict[str, Any]:
        return {"read": list(self.read), "write": list(self.write), "network": self.network}


@dataclass(frozen=True, slots=True)
class Confinement:
    """Frozen: the same value for a process that is forked from a zygote, or started by a spawner, and for an installer.

    `tier`: what has to hold; a start that cannot have all of it fails. `uid`: whom the process runs as, None for the server's user;
    `box`: a pidfd of the init of the box that it joins; `cgroups`: files of control groups, for entering. The descriptors belong to others,
    and are open while the process starts."""

    rlimits: RLimits = field(default_factory=dict)
    hidden: bool = False
    tier: Tier = Tier.NONE
    uid: int | None = None
    rules: Rules | None = None
    box: int | None = None
    cpus: tuple[int, ...] = ()
    cgroups: tuple[int, ...] = ()

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

    @property
    def fds(self) -> list[int]:
        """What goes with the message, in this order."""
        return [*(() if self.box is None else (self.box,)), *self.cgroups]

    def message(self) -> dict[str, Any]:
        """As a zygote reads it in a request to fork (runtimes/README.md)."""
        message: dict[str, Any] = {
            "rlimits": {name: list(pair) for name, pair in self.rlimits.items()},
            "hidden": self.hidden,
        }
        if self.cgroups:
            message["cgroups"] = len(self.cgroups)
        if self.cpus:
            message["cpus"] = list(self.cpus)
        if self.tier is Tier.NONE:
            return message
        message["rlimits"].setdefault("CORE", [_NO_CORE, _NO_CORE])
        message["no_new_privs"] = True
        if self.uid is not None:
            message["uid"] = self.uid
        if self.tier >= Tier.LANDLOCK:
            message["seccomp"] = True
        if self.rules is not None:
            message["landlock"] = self.rules.message()
        if self.box is not None:
            message["box"] = True
        return message

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
