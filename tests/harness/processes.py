"""What the operating system says about processes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil


def running_children() -> list[list[str]]:
    """Commands of the processes below this one that have not ended."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in " ".join(child.cmdline()):
                found.append(child.cmdline())
    return found


def is_running(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def outside(pid: int, cwd: Path) -> int:
    """The number of a process that has the number `pid` where it runs, and works in `cwd`. Raises ProcessLookupError."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            numbers = next(line.split()[1:] for line in status.read_text().splitlines() if line.startswith("NSpid:"))
            if int(numbers[-1]) == pid and os.readlink(status.with_name("cwd")) == str(cwd):
                return int(numbers[0])
        except (OSError, StopIteration):  # gone
            continue
    raise ProcessLookupError(f"no process has the number {pid} in {cwd}")
