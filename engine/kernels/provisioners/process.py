"""What every way to run a process shares: reading its pipes, and ending it with everything that it started."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import errno
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from engine.kernels.provisioners.provisioner import FORK_NAME
from engine.validation import KERNEL_VARIABLE

_PIPE_BYTES = 65536
_LAST_OUTPUT_CHARS = 16 * 1024
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


class Pipes:
    """The pipes of one process, watched by the running loop: `ready` is called when one of them has something.

    `add` hands a descriptor over; `close` when nobody reads any more."""

    def __init__(self, ready: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready = ready
        self._pipes: dict[int, Pipe] = {}
        self._last: deque[str] = deque()

    def add(self, name: str, fd: int) -> None:
        self._pipes[fd] = Pipe(name)
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._ready)

    def read(self) -> list[tuple[str, str]]:
        """What has come since the last call: (name, text)."""
        found = []
        for fd, pipe in list(self._pipes.items()):
            text = pipe.read(fd)
            if text is None:
                self._close(fd)
            elif text:
                self._remember(text)
                found.append((pipe.name, text))
        return found

    def _remember(self, text: str) -> None:
        self._last.append(text[-_LAST_OUTPUT_CHARS:])
        while len(self._last) > 1 and sum(map(len, self._last)) > 2 * _LAST_OUTPUT_CHARS:
            self._last.popleft()

    def last(self) -> str:
        """The end of everything that was ever read."""
        return "".join(self._last)[-_LAST_OUTPUT_CHARS:]

    def close(self) -> None:
        for fd in list(self._pipes):
            self._close(fd)

    def _close(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        os.close(fd)
        del self._pipes[fd]


def name_of(pid: int) -> str:
    """The name of a process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def fork_name(mark: str) -> str:
    """The name that a forked kernel with this mark has."""
    return f"{FORK_NAME}{mark}"[:_COMM_BYTES]


def end_group(leader: int) -> None:
    """End what a process has left in its group, which it led; it is a zombie, so the number is its own. Blocks for up to 0.5 s.

    SIGTERM first: Python's resource trackers ignore it, and remove shared memory once all that used it have ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGTERM)
        _wait_for({pid for pid, process in _living().items() if process.group == leader})
        os.killpg(leader, signal.SIGKILL)


def end_tree(pid: int) -> None:
    """End a process of ours that has not been collected, and its descendants, whatever session or name they have.

    What was orphaned before is found only where the process takes its orphans, as our kernels do. Blocks for up to 0.5 s."""
    _kill(pid, signal.SIGSTOP)  # it starts nothing while we look
    found = _descendants({pid})
    _kill(pid, signal.SIGKILL)
    for each in found:
        _kill(each, signal.SIGTERM)
    found = _wait_for(found)
    for _ in range(_END_ROUNDS):  # they may start others meanwhile
        if not found:
            break
        for each in found:
            _kill(each, signal.SIGKILL)
        found = _descendants(found)


def _wait_for(pids: set[int]) -> set[int]:
    """Give processes their time to end; those that have not."""
    until = time.monotonic() + _CLEAN_UP
    while (left := pids & _living().keys()) and time.monotonic() < until:
        time.sleep(_LOOK)
    return left


def end_marked(mark: str) -> None:
    """Kill every process that has this mark in its environment, or was forked from a kernel with this name. Blocks for some ms.

    For what nobody else can find: what a process left that has ended by itself, without a zygote or spawner that takes its orphans.
    One that changes name and environment escapes."""
    wanted = f"{KERNEL_VARIABLE}={mark}".encode()
    name = fork_name(mark).encode()
    for _ in range(_END_ROUNDS):  # they may start others meanwhile
        found = [
            int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _has(entry, wanted, name)
        ]
        for pid in found:
            _kill(pid, signal.SIGKILL)
        if not found:
            return


def _has(process: Path, variable: bytes, name: bytes) -> bool:
    try:
        if (process / "comm").read_bytes().rstrip(b"\n") == name:
            return True
        return variable in (process / "environ").read_bytes().split(b"\0")
    except OSError:  # gone, hidden, or somebody else's
        return False


def _kill(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # a set-user-id program
        os.kill(pid, signum)


class _Process(NamedTuple):
    parent: int
    group: int


def _living() -> dict[int, _Process]:
    """All processes that have not ended, by pid."""
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError, ValueError):  # gone
            state, parent, group = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[:3]
            if state not in (b"Z", b"X"):
                found[pid] = _Process(int(parent), int(group))
    return found


def _descendants(pids: set[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, process in _living().items():
        children.setdefault(process.parent, []).append(pid)
    found: set[int] = set()
    above = list(pids)
    while above:
        below = [each for each in children.get(above.pop(), ()) if each not in found]
        found.update(below)
        above += below
    return found


def open_pidfd(pid: int) -> int:
    """As os.pidfd_open. Raises OSError, also where this Python was built on a system without pidfds."""
    if not hasattr(os, "pidfd_open"):
        raise OSError(errno.ENOSYS, "this Python knows no pidfds")
    return os.pidfd_open(pid)
