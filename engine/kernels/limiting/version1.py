"""Control groups of version 1: a hierarchy for each controller."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from engine.kernels.limiting.cgroups import PERIOD, Cgroups, Group, close_all, number, write
from engine.settings import Limits

CONTROLLERS = ("memory", "pids", "cpu")


class GroupV1(Group):
    """`folders`: by controller."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        super().__init__(folders.values())
        self._by_controller = folders

    def doors(self) -> list[int]:
        doors: list[int] = []
        try:
            for folder in self._by_controller.values():  # a thread that moves itself, by `tasks`, waits for nobody
                doors.append(os.open(folder / "tasks", os.O_WRONLY | os.O_CLOEXEC))
        except OSError:
            close_all(doors)
            raise
        return doors

    def limit(self, limits: Limits) -> None:
        pids, cpu = self._by_controller.get("pids"), self._by_controller.get("cpu")
        if pids is not None and limits.processes is not None:
            write(pids / "pids.max", str(limits.processes))
        if cpu is not None and limits.cpus is not None:
            write(cpu / "cpu.cfs_period_us", str(PERIOD))
            write(cpu / "cpu.cfs_quota_us", str(round(limits.cpus * PERIOD)))
        if "memory" in self._by_controller:
            # Version 1 would kill one process, and the code go on without it. Instead they wait, and the watchdog ends them all.
            with contextlib.suppress(OSError):  # this Linux has no choice
                write(self._by_controller["memory"] / "memory.oom_control", "1")

    def set_memory(self, size: int) -> None:
        folder = self._by_controller["memory"]
        write(folder / "memory.limit_in_bytes", str(size))
        with contextlib.suppress(OSError):  # this Linux does not count swap
            write(folder / "memory.memsw.limit_in_bytes", str(size))

    def memory(self) -> int:
        return number(self._by_controller["memory"] / "memory.usage_in_bytes") or 0

    def peak(self) -> int | None:
        return number(self._by_controller["memory"] / "memory.max_usage_in_bytes")

    def is_out_of_memory(self) -> bool:
        control = self._by_controller["memory"] / "memory.oom_control"
        return bool(number(control, "under_oom") or number(control, "oom_kill"))


class Version1(Cgroups):
    name = "cgroup v1"

    def __init__(self, places: Mapping[str, Path]) -> None:
        """`places`: by controller. Raises OSError where none of them can be written to."""
        self._names = tuple(places)
        super().__init__(places.values())

    @property
    def controllers(self) -> frozenset[str]:
        return frozenset(self._names)

    def make(self, name: str, limits: Limits) -> GroupV1:
        folders = {each: home / name for each, home in zip(self._names, self.homes, strict=True)}
        made = []
        try:
            for folder in folders.values():
                folder.mkdir()
                made.append(folder)
            group = GroupV1(folders)
            group.limit(limits)
        except OSError:
            for folder in made:
                folder.rmdir()
            raise
        return group
