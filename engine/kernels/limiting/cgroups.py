"""Control groups: one for each kernel, by which Linux itself counts and limits what all its processes take.

Version 2 where the server may write to it, or else version 1. Found out by trying. All of this blocks for microseconds, and now
and then for milliseconds: call it in a thread."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

from engine.log import get_logger
from engine.settings import Limits

PREFIX = "polyrepl-"
PERIOD = 100_000  # microseconds in which a group has its share of the processors
_END_ROUNDS = 20
_REMOVE_SECONDS = 2.0
_LOOK = 0.02
_SLACK = 32 << 20  # bytes: what the system itself needs for the processes, so that code meets its own error first
_SLACK_SHARE = 16


class Folders:
    """Directories of one group, one for each hierarchy that has one of the controllers: its processes, and their end."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = list(folders)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(map(str, self._folders)) or 'removed'}>"

    def add(self, pid: int) -> None:
        """Take in a process; what it starts from now on is in the group, too. Raises OSError."""
        for folder in self._folders:
            write(folder / "cgroup.procs", str(pid))

    def doors(self) -> list[int]:
        """Descriptors through which a process with one thread enters by itself, by writing 0 to each; the caller closes them.

        None where that is no quicker than `add`, for which Linux waits until nobody forks. Raises OSError."""
        return []

    def end(self) -> None:
        """Kill all that is in it. A process is killed by its descriptor, after a second look at where it is."""
        for _ in range(_END_ROUNDS):
            found = self.members()
            if not found:
                return
            for pid in found:
                with contextlib.suppress(OSError):
                    descriptor = os.pidfd_open(pid)
                    try:
                        if pid in self.members():
                            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                    finally:
                        os.close(descriptor)
            time.sleep(_LOOK)

    def members(self) -> set[int]:
        """The processes in it that can be seen from here."""
        found = set()
        for folder in self._folders:
            with contextlib.suppress(OSError):  # it is removed already
                found |= {pid for pid in map(int, read(folder / "cgroup.procs").split()) if pid}
        return found

    def remove(self, seconds: float = _REMOVE_SECONDS) -> bool:
        """Remove it, if its last process ends in time."""
        until = time.monotonic() + seconds
        while self._folders:
            self._folders = [folder for folder in self._folders if not _removed(folder)]
            if self._folders and time.monotonic() > until:
                return False
            if self._folders:
                time.sleep(_LOOK)
        return True


class Group(Folders, ABC):
    """The group of one kernel, with its limits."""

    def limit_memory(self, growth: int) -> None:
        """Allow `growth` bytes more than the processes in it have now. Raises OSError."""
        self.set_memory(self.memory() + growth + max(_SLACK, growth // _SLACK_SHARE))

    @abstractmethod
    def limit(self, limits: Limits) -> None:
        """Set all limits but that of memory. Raises OSError."""

    @abstractmethod
    def set_memory(self, size: int) -> None: ...

    @abstractmethod
    def memory(self) -> int:
        """Bytes now."""

    @abstractmethod
    def peak(self) -> int | None:
        """The most bytes that there were; None where the system does not say."""

    @abstractmethod
    def is_out_of_memory(self) -> bool:
        """Whether Linux has killed processes because memory was out, or lets them wait for some."""


class Cgroups(ABC):
    """Makes groups below the server's own, in a group of this server's that no other one touches while we live."""

    name: str
    """For operators."""

    def __init__(self, places: Iterable[Path]) -> None:
        """`places`: a directory for each hierarchy, in which groups are made."""
        self.homes: list[Path] = []
        self._locks: list[int] = []
        self._left: list[Group] = []
        self._lock = threading.Lock()
        for place in places:
            self.sweep(place)
            self.homes.append(self._claim(place))

    @property
    @abstractmethod
    def controllers(self) -> frozenset[str]:
        """Of memory, pids and cpu those that work."""

    @abstractmethod
    def make(self, name: str, limits: Limits) -> Group:
        """The group of a kernel. Raises OSError; nothing is left then."""

    def remove(self, group: Group) -> None:
        """End what is in it, and remove it. What cannot be removed now is with the next one."""
        group.end()
        is_gone = group.remove()
        with self._lock:
            self._left = [each for each in (*self._left, *(() if is_gone else (group,))) if not each.remove(0)]

    def _claim(self, place: Path) -> Path:
        """Make the server's group and lock it: another server, in whatever container, sees by that that we live."""
        while True:
            home = place / f"{PREFIX}{secrets.token_hex(4)}"
            home.mkdir()
            try:
                lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:  # one that sweeps was quicker than we
                continue
            fcntl.flock(lock, fcntl.LOCK_EX)
            if home.is_dir():
                self._locks.append(lock)
                return home
            os.close(lock)

    @classmethod
    def sweep(cls, place: Path) -> None:
        """End and remove what servers have left that were killed."""
        for home in place.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its server lives if this is refused
                    for folder in [*(each for each in home.iterdir() if each.is_dir()), home]:
                        group = Folders([folder])
                        group.end()
                        group.remove()
                    get_logger().info("cgroup_swept", group=str(home))
                finally:
                    os.close(lock)

    def close(self) -> None:
        """Remove what is ours; groups of kernels are gone by now. May be called again."""
        with self._lock:
            self._left = [each for each in self._left if not each.remove()]
        homes, self.homes = self.homes, []
        for home in homes:
            _removed(home)
        close_all(self._locks)


def own_groups(mounts: str, groups: str) -> dict[str, Path]:
    """Where our own group lies, by controller; that of version 2 under the empty name. The texts of mountinfo and cgroup in proc(5)."""
    places: dict[str, tuple[str, Path]] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind == "cgroup2":
            places.setdefault("", (root, Path(point)))
        elif kind == "cgroup":
            for option in options.split(","):
                places.setdefault(option, (root, Path(point)))
    found = {}
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            if controller in places:
                root, mount = places[controller]
                inside = mount / os.path.relpath(path, root) if path.startswith(root) else mount
                found[controller] = inside if inside.is_dir() else mount
    return found


def write(path: Path, text: str) -> None:
    """Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def read(path: Path) -> str:
    """Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while more := os.read(fd, 1 << 16):
            data += more
        return data.decode()
    finally:
        os.close(fd)


def number(path: Path, key: str = "") -> int | None:
    """The number in a file, or behind a key in it; None where there is none."""
    try:
        text = read(path)
    except OSError:
        return None
    values = [text] if not key else [line.partition(" ")[2] for line in text.splitlines() if line.startswith(f"{key} ")]
    return int(values[0]) if values and values[0].strip().isdigit() else None


def close_all(descriptors: list[int]) -> None:
    """Close them, and empty the list."""
    while descriptors:
        os.close(descriptors.pop())


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
