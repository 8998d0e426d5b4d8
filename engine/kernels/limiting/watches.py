"""What the watchdogs see of one ward: its processes and their memory, and its files."""

from __future__ import annotations

import time
from typing import Protocol

from engine.kernels.limiting import processes
from engine.kernels.limiting.breach import Breach
from engine.kernels.limiting.disk import Count
from engine.settings import Limits
from engine.workspaces import Workspace

_FILES_PAUSE = 1.0  # seconds between two looks at open files in memory
_GROWTH = 1 << 20  # bytes by which files may grow that were too many already
_MOST_PROCESSES = 10_000  # that are looked at where no limit says


class Guarded(Protocol):
    """What is watched: a ward. All of this may be asked in any thread."""

    pid: int
    limits: Limits
    workspace: Workspace | None
    is_busy: bool
    cells: int  # that have begun

    @property
    def limits_memory(self) -> bool: ...
    @property
    def limits_processes(self) -> bool: ...
    def memory_breach(self) -> Breach | None: ...
    def report(self, limit: str, peak: float) -> None: ...


class ProcessWatch:
    """Memory and processes. What a control group limits is not counted again."""

    def __init__(self, ward: Guarded) -> None:
        self._ward = ward
        self._seen = -1  # cells that had begun at the last look, of those that have ended
        self._files = 0
        self._files_seen = 0.0
        self._baseline = processes.baseline_of(ward.pid) if self.is_needed and not ward.limits_memory else 0

    def __repr__(self) -> str:
        return f"<ProcessWatch of {self._ward!r}>"

    @property
    def is_needed(self) -> bool:
        return self._ward.limits.memory is not None or self._ward.limits.processes is not None

    def works(self) -> bool:
        return self._ward.is_busy or self._ward.cells != self._seen

    def look(self) -> None:
        ward = self._ward
        self._seen = -1 if ward.is_busy else ward.cells
        breach = ward.memory_breach()
        if breach is not None:
            ward.report("memory", breach.value if breach.peak is None else breach.peak)
            return
        counts = ward.limits.processes is not None and not ward.limits_processes
        weighs = ward.limits.memory is not None and not ward.limits_memory
        if counts or weighs:
            self._look_at_all(ward.limits.processes if counts else None, ward.limits.memory if weighs else None)

    def close(self) -> None:
        """Nothing is open between two looks."""

    def _look_at_all(self, most: int | None, memory: int | None) -> None:
        found = processes.tree(self._ward.pid, most=_MOST_PROCESSES if most is None else most + 1)
        threads = sum(each.threads for each in found)
        if most is not None and threads > most:
            self._ward.report("processes", threads)
        elif memory is not None:
            private, mapped = processes.memory_of(found, self._baseline, enough=memory)
            taken = private + max(mapped, self._in_files(found))
            if taken > memory:
                self._ward.report("memory", taken)

    def _in_files(self, found: list[processes.Process]) -> int:
        now = time.monotonic()
        if now - self._files_seen > _FILES_PAUSE:
            in_box = processes.own_mounts(self._ward.pid)
            self._files, self._files_seen = max(in_box, processes.files_in_memory(found)), now
        return self._files


class DiskWatch:
    """Files. A kernel that comes after one that has ended for its files may go on with as many, and delete some."""

    def __init__(self, ward: Guarded) -> None:
        self._ward = ward
        self._seen = -1  # as above
        self._count = Count()

    def __repr__(self) -> str:
        return f"<DiskWatch of {self._ward!r}>"

    @property
    def is_needed(self) -> bool:
        return self._ward.limits.disk is not None and self._ward.workspace is not None

    def works(self) -> bool:
        is_new = self._ward.is_busy or self._ward.cells != self._seen or self._count.is_under_way
        return is_new and self._count.is_due(time.monotonic())

    def look(self) -> None:
        workspace, most = self._ward.workspace, self._ward.limits.disk
        if workspace is None or most is None:
            return
        if not self._count.is_under_way:
            self._seen = -1 if self._ward.is_busy else self._ward.cells
        try:
            seen = self._count.step(workspace.anchor.hold().fd)
        except OSError:  # it was taken away
            self._count.stop()
            return
        if seen > max(most, workspace.excess):
            workspace.excess = seen + _GROWTH
            self._ward.report("disk", seen)
        elif not self._count.is_under_way and seen <= most:
            workspace.excess = 0

    def close(self) -> None:
        self._count.stop()
