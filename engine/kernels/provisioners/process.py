"""What every way to run a process shares: reading its pipes, and ending what it left behind."""

from __future__ import annotations

import codecs
import contextlib
import os
import signal
import time
from pathlib import Path

from engine.kernels.provisioners.provisioner import FORK_NAME, KERNEL_MARK

_PIPE_BYTES = 65536
_END_ROUNDS = 5
_CLEAN_UP = 0.5  # seconds that what a kernel leaves in its process group has after SIGTERM
_LOOK = 0.02  # seconds between two looks at it
_COMM_BYTES = 15  # the length of a process name


class Pipe:
    """Decodes what comes through one pipe; a character may be split between two reads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self, fd: int) -> str | None:
        """What has come; None once all writers are gone."""
        try:
            data = os.read(fd, _PIPE_BYTES)
        except BlockingIOError:
            return ""
        return self._decoder.decode(data) if data else None


def name_of(pid: int) -> str:
    """The name of a process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def fork_name(mark: str) -> str:
    """The name that a forked kernel with this mark has."""
    return f"{FORK_NAME}{mark}"[:_COMM_BYTES]


def end_group(leader: int) -> None:
    """End what a process has left in its group, which it led; it is a zombie, so the number is its own. Blocks.

    SIGTERM first: Python's resource trackers ignore it, and remove shared memory once all that used it have ended."""
    until = time.monotonic() + _CLEAN_UP
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGTERM)
        while _is_group(leader) and time.monotonic() < until:
            time.sleep(_LOOK)
        os.killpg(leader, signal.SIGKILL)


def _is_group(leader: int) -> bool:
    """Whether a living process besides the leader is in the group."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != leader:
            with contextlib.suppress(OSError):
                state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(group) == leader and state != "Z":
                    return True
    return False


def end_marked(mark: str) -> None:
    """End every process that has this kernel's mark: in its environment where it is a program of its own, in its name where it
    was forked from a forked kernel. Those are the ones that left the kernel's process group.

    A process that cleans its environment escapes; nothing short of a pid namespace holds that one."""
    wanted = f"{KERNEL_MARK}={mark}".encode()
    name = fork_name(mark).encode()
    for _ in range(_END_ROUNDS):  # they may start others meanwhile
        found = [
            int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _has(entry, wanted, name)
        ]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # a set-user-id program
                os.kill(pid, signal.SIGKILL)


def _has(process: Path, variable: bytes, name: bytes) -> bool:
    try:
        return (
            variable in (process / "environ").read_bytes().split(b"\0")
            or (process / "comm").read_bytes().rstrip(b"\n") == name
        )
    except OSError:  # gone, or somebody else's
        return False
