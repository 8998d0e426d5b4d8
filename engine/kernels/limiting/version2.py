"""Control groups of version 2: one hierarchy, of which a part is delegated to us."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from engine.kernels.limiting.cgroups import PERIOD, Cgroups, Group, number, read, write
from engine.settings import Limits

CONTROLLERS = ("memory", "pids", "cpu")
_OWN = "polyrepl.server"  # where the server's own process goes: a group with groups below it has no processes


class GroupV2(Group):
    def __init__(self, folder: Path, controllers: frozenset[str]) -> None:
        super().__init__([folder])
        self._folder = folder
        self._controllers = controllers

    def limit(self, limits: Limits) -> None:
        if "pids" in self._controllers and limits.processes is not None:
            write(self._folder / "pids.max", str(limits.processes))
        if "cpu" in self._controllers and limits.cpus is not None:
            write(self._folder / "cpu.max", f"{round(limits.cpus * PERIOD)} {PERIOD}")
        if "memory" in self._controllers:
            write(self._folder / "memory.oom.group", "1")
            with contextlib.suppress(OSError):  # this Linux does not count swap
                write(self._folder / "memory.swap.max", "0")

    def set_memory(self, size: int) -> None:
        write(self._folder / "memory.max", str(size))

    def memory(self) -> int:
        return number(self._folder / "memory.current") or 0

    def peak(self) -> int | None:
        return number(self._folder / "memory.peak")  # since Linux 5.19

    def is_out_of_memory(self) -> bool:
        return bool(number(self._folder / "memory.events", "oom_kill"))

    def end(self) -> None:
        with contextlib.suppress(OSError):  # since Linux 5.14
            write(self._folder / "cgroup.kill", "1")
            return
        super().end()


class Version2(Cgroups):
    name = "cgroup v2"

    def __init__(self, place: Path) -> None:
        """`place`: our own group. Raises OSError where no controller can be had."""
        self._controllers = _delegated(place)
        super().__init__([place])
        try:
            write(self.homes[0] / "cgroup.subtree_control", _plus(self._controllers))
        except OSError:
            self.close()
            raise

    @property
    def controllers(self) -> frozenset[str]:
        return self._controllers

    def make(self, name: str, limits: Limits) -> GroupV2:
        folder = self.homes[0] / name
        folder.mkdir()
        group = GroupV2(folder, self._controllers)
        try:
            group.limit(limits)
        except OSError:
            folder.rmdir()
            raise
        return group


def _delegated(place: Path) -> frozenset[str]:
    """Have our own group give the controllers on to the groups in it. Raises OSError."""
    known = frozenset(read(place / "cgroup.controllers").split()) & frozenset(CONTROLLERS)
    if not known:
        raise FileNotFoundError(f"{place} has none of the controllers {', '.join(CONTROLLERS)}")
    try:
        write(place / "cgroup.subtree_control", _plus(known))
    except OSError:
        # There are processes in it. If that is none but us, we can make room.
        if {*map(int, read(place / "cgroup.procs").split())} != {os.getpid()}:
            raise
        own = place / _OWN
        own.mkdir(exist_ok=True)
        write(own / "cgroup.procs", str(os.getpid()))
        write(place / "cgroup.subtree_control", _plus(known))
    return known


def _plus(controllers: frozenset[str]) -> str:
    return " ".join(f"+{name}" for name in sorted(controllers))
