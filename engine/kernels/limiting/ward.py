"""Wards: kernels that are kept within the limits of their contexts, by control groups and watchdogs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Protocol

from engine.kernels.limiting.breach import Breach
from engine.kernels.limiting.cgroups import Cgroups, Group, close_all
from engine.kernels.limiting.cpus import Cores, keep_on
from engine.kernels.limiting.finding import find_cgroups
from engine.kernels.limiting.watchdog import Watchdog
from engine.kernels.limiting.watches import DiskWatch, ProcessWatch
from engine.log import get_logger
from engine.settings import Limits
from engine.workspaces import Daemons, Workspace

_daemons = Daemons("limits")


class Holder(Protocol):
    """Who has the process of a ward, and ends it."""

    def note_breach(self, breach: Breach) -> None: ...


class Ward:
    """One kernel and all that it starts. `enter` once its process exists, `settle` when it is ready, `aclose` when it is gone;
    `open` before, if its process can enter its group by itself.

    The threads of the watchdogs read what it says of itself."""

    def __init__(self, name: str, limits: Limits, wards: Wards, workspace: Workspace | None) -> None:
        self.name = name
        self.limits = limits
        self.workspace = workspace
        self.is_busy = False
        self.cells = 0  # that have begun
        self.holder: Holder | None = None
        self._wards = wards
        self._loop = asyncio.get_running_loop()
        self.pid = 0
        self._group: Group | None = None
        self._doors: list[int] = []
        self._working: asyncio.Future[None] | None = None
        self._cores: frozenset[int] = frozenset()
        self._processes: ProcessWatch | None = None
        self._files: DiskWatch | None = None
        self._base = 0
        self._breach: Breach | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Ward {self.name}>"

    async def open(self) -> tuple[int, ...]:
        """Make its group; returns the descriptors through which the process enters (`Group.doors`). They are open until `enter` or
        `aclose`. Raises OSError."""
        if self._wards.cgroups is not None:
            await self._done(self._loop.run_in_executor(_daemons, self._open, self._wards.cgroups))
        return tuple(self._doors)

    def _open(self, cgroups: Cgroups) -> None:
        self._group = cgroups.make(self.name, self.limits)
        self._doors = self._group.doors()

    async def enter(self, pid: int) -> None:
        """Put the process into a group of its own, if it has not entered by itself, and on its processors; no code of the context
        has run in it yet. Raises OSError."""
        if self.limits.cpus is not None:
            self._cores = self._wards.cores.take(self.limits.cpus)
        if self._doors and not self._cores:
            close_all(self._doors)
        elif self._cores or self._wards.cgroups is not None:
            await self._done(self._loop.run_in_executor(_daemons, self._enter, pid))

    def _enter(self, pid: int) -> None:
        if self._cores:
            keep_on(pid, self._cores)
        if self._doors:
            close_all(self._doors)
        elif self._wards.cgroups is not None:
            self._group = self._group or self._wards.cgroups.make(self.name, self.limits)
            self._group.add(pid)

    def expect_branch(self) -> None:
        """A branch of the process is about to be forked, and put into a group: have Linux do now what it waits for then.

        Whoever moves a process waits until nobody forks, but not again soon after (percpu-rwsem in Linux's documentation)."""
        if self._group is not None and self.pid:
            self._loop.run_in_executor(_daemons, self._move_nothing, self._group)

    def _move_nothing(self, group: Group) -> None:
        with contextlib.suppress(OSError):  # it has ended
            group.add(self.pid)

    async def _done(self, working: asyncio.Future[None]) -> None:
        self._working = working
        await asyncio.shield(working)

    def note_busy(self, is_busy: bool) -> None:
        """Whether the kernel runs a cell."""
        self.is_busy = is_busy
        if is_busy:
            self.cells += 1
            self._wards.processes.wake()
            self._wards.disk.wake()

    def settle(self, pid: int) -> None:
        """What it has now is the interpreter's. From now on it is watched. Raises OSError, also if it has ended."""
        self.pid = pid
        if self._group is not None and self.limits.memory is not None and self.limits_memory:
            self._base = self._group.memory()
            self._group.limit_memory(self.limits.memory)
        if not self._closed:
            self._processes, self._files = ProcessWatch(self), DiskWatch(self)
            if self._processes.is_needed:
                self._wards.processes.add(self._processes)
            if self._files.is_needed:
                self._wards.disk.add(self._files)

    @property
    def limits_memory(self) -> bool:
        """Whether its group limits the memory."""
        return self.limits.memory is not None and self._counts("memory")

    @property
    def limits_processes(self) -> bool:
        """Whether its group limits the number of processes."""
        return self._counts("pids")

    def _counts(self, controller: str) -> bool:
        return (
            self._group is not None
            and self._wards.cgroups is not None
            and controller in self._wards.cgroups.controllers
        )

    def memory_breach(self) -> Breach | None:
        """If the group is out of memory."""
        group = self._group
        if group is None or not self.limits_memory or not group.is_out_of_memory():
            return None
        assert self.limits.memory is not None
        peak = group.peak()
        return Breach("memory", self.limits.memory, None if peak is None else max(0, peak - self._base))

    def report(self, limit: str, peak: float) -> None:
        """A watchdog has seen too much of something."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._note, Breach(limit, getattr(self.limits, limit), peak))

    def _note(self, breach: Breach) -> None:
        if self._breach is None and not self._closed:
            self._breach = breach
            get_logger().warning("limit_reached", kernel=self.name, limit=breach.limit, value=breach.value)
            if self.holder is not None:
                self.holder.note_breach(breach)

    def breach_of(self, code: int | None, *, is_out_of_memory: bool) -> Breach | None:
        """The limit that ended the process, which exited with `code`; None where it was none that we know.

        `is_out_of_memory`: it has said so itself."""
        if self._breach is None:
            self._breach = self.memory_breach()
        if self._breach is None and is_out_of_memory and self.limits.memory is not None:
            self._breach = Breach("memory", self.limits.memory)
        if self._breach is None and code == -signal.SIGXFSZ and self.limits.file_size is not None:
            self._breach = Breach("file_size", self.limits.file_size)
        return self._breach

    async def aclose(self) -> None:
        """End what is left in its group, and let go of everything. May be called again."""
        if self._closed:
            return
        self._closed = True
        self.holder = None
        if self._processes is not None:
            self._wards.processes.remove(self._processes)
        if self._files is not None:
            self._wards.disk.remove(self._files)
        if self._working is not None:
            await asyncio.wait({self._working})
        close_all(self._doors)
        cores, self._cores = self._cores, frozenset()
        self._wards.cores.give_back(cores)
        group = self._group
        if group is not None and self._wards.cgroups is not None:
            await self._loop.run_in_executor(_daemons, self._wards.cgroups.remove, group)


class Wards:
    """All kernels that are kept within limits. Without `open` there are no control groups."""

    def __init__(self) -> None:
        self.cgroups: Cgroups | None = None
        self.cores = Cores()
        self.processes = Watchdog("limits: processes")
        self.disk = Watchdog("limits: disk")

    def __repr__(self) -> str:
        return f"<Wards {self.describe()}>"

    def open(self) -> None:
        """Find out which control groups can be used, and end what killed servers have left in theirs. Blocks."""
        self.cgroups = find_cgroups()

    def describe(self) -> str:
        """One line for operators."""
        if self.cgroups is None:
            return "setrlimit and a watchdog"
        return f"{self.cgroups.name} ({', '.join(sorted(self.cgroups.controllers))}), setrlimit and a watchdog"

    def ward(self, name: str, limits: Limits, workspace: Workspace | None) -> Ward:
        """For a kernel that is about to be started."""
        return Ward(name, limits, self, workspace)

    def close(self) -> None:
        """The kernels are gone by now. Blocks. May be called again."""
        self.processes.close()
        self.disk.close()
        cgroups, self.cgroups = self.cgroups, None
        if cgroups is not None:
            cgroups.close()
