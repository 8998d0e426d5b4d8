"""What a kernel of a kernelspec may do, as the settings say, or else by what this machine has."""

from __future__ import annotations

import os
from functools import cache

from jupyter_client.kernelspec import KernelSpec

from engine.kernels.kernelspecs import reserved_memory
from engine.kernels.memory import total_memory
from engine.kernels.provisioners import Confinement
from engine.settings import MIB, Limits, Settings

_SHARE = 2  # one kernel may have half of the memory
_PROCESSES = 8192  # of the user, besides those of contexts
_PROCESSES_OF_A_CONTEXT = 16  # and one for each core: libraries have as many threads


def confinement_of(spec: KernelSpec, settings: Settings, limits: Limits, *, is_alone: bool = False) -> Confinement:
    """The same however the kernel is started. `is_alone`: no other context has its user, whose processes are its own."""
    processes = settings.kernel_processes or _processes(settings.max_contexts)
    if is_alone and limits.processes is not None:
        # The limit of the context, with room for another language of it: the group or the watchdog is exact.
        processes = min(processes, 2 * limits.processes)
    return Confinement.of(
        settings.kernel_rlimits,
        memory=None if limits.memory is None else limits.memory + reserved_memory(spec),
        files=limits.open_files,
        file_size=limits.file_size,
        processes=processes,
        hidden=settings.hide_processes,
    )


def memory_of(settings: Settings) -> int | None:
    """Bytes that the code of a kernel may take; None where neither the settings nor the machine say."""
    return settings.kernel_memory or _memory()


@cache
def _memory() -> int | None:
    total = total_memory()
    return None if total is None else max(total // _SHARE, 64 * MIB)


def _processes(contexts: int) -> int:
    """A number that honest contexts stay below, whatever else the user runs, and a fork bomb does not."""
    return _PROCESSES + contexts * (_PROCESSES_OF_A_CONTEXT + (os.cpu_count() or 1))
