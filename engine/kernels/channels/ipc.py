"""The unix sockets of a kernel, which lie where its code can put others, or links, in their place."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

_PLACE = getattr(os, "O_PATH", 0) | os.O_NOFOLLOW | os.O_CLOEXEC


class IpcSockets:
    """Gives each socket a second name beside the kernel's directory, where no code of contexts can write. It leads to the same
    socket for good, so no link that comes into the first one's place is followed, also when a connection is made again.

    What remains: code can put another socket of its own there before we come, and talks with us then, as it could before."""

    def __init__(self, base: str) -> None:
        """`base`: of the paths, to which a port is added."""
        self._base = Path(base)
        self._names: set[Path] = set()

    def find(self, port: int) -> str | None:
        """The path to connect to; None if no socket is there, or not yet. Raises OSError if it cannot have its second name."""
        path = f"{self._base}-{port}"
        if not hasattr(os, "O_PATH"):  # not Linux: nothing is isolated
            return path
        try:
            place = os.open(path, _PLACE)
        except FileNotFoundError:
            return None
        try:
            return str(self._name(place, port)) if stat.S_ISSOCK(os.fstat(place).st_mode) else None
        finally:
            os.close(place)

    def _name(self, place: int, port: int) -> Path:
        directory = self._base.parent
        name = directory.with_name(f"{directory.name}-{port}")
        descriptors = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            # With a directory it is linkat(2), which goes where the descriptor leads.
            os.link(str(place), name, src_dir_fd=descriptors, follow_symlinks=True)
        finally:
            os.close(descriptors)
        self._names.add(name)
        return name

    def close(self) -> None:
        """Take the names away. May be called again."""
        while self._names:
            with contextlib.suppress(OSError):
                os.unlink(self._names.pop())
