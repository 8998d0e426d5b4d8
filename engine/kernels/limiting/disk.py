"""What the files of a context take on the disk, counted a little at a time. No link is followed and no mount is entered."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections import deque
from collections.abc import Generator, Iterator

_LEAST = 4096  # bytes that any entry counts, as its place in the file system is limited, too
_DEEP = 64  # directories that are open at a time, one in another
_MOST_DEEPER = 256  # directories below that wait, open
_SLICE = 0.01  # seconds of work at a time
_AGAIN = 20  # times as long as a count took, until the next one
_PAUSE = 2.0  # seconds, at least


class Count:
    """Counts below one directory, again and again. `step` does a slice of the work."""

    def __init__(self) -> None:
        self._so_far = 0
        self._took = 0.0
        self._next = 0.0
        self._walk: Generator[int, None, None] | None = None

    @property
    def is_under_way(self) -> bool:
        return self._walk is not None

    def is_due(self, now: float) -> bool:
        return self.is_under_way or now >= self._next

    def step(self, directory: int) -> int:
        """Go on, with a directory that is open; it stays the caller's. Returns the bytes that there are, at least while it is under way."""
        began = time.monotonic()
        if self._walk is None:
            self._walk, self._so_far, self._took = _sizes(os.dup(directory)), 0, 0.0
        for size in self._walk:
            self._so_far += size
            if time.monotonic() - began > _SLICE:
                self._took += time.monotonic() - began
                return self._so_far
        self._walk = None
        now = time.monotonic()
        self._next = now + max(_PAUSE, _AGAIN * (self._took + now - began))
        return self._so_far

    def stop(self) -> None:
        """Close what is open."""
        walk, self._walk = self._walk, None
        if walk is not None:
            walk.close()


def _sizes(root: int) -> Generator[int, None, None]:
    """The bytes of each entry below a directory, which is closed. A file of several names counts once."""
    linked: set[tuple[int, int]] = set()
    device = os.fstat(root).st_dev
    deeper = deque([root])
    try:
        while deeper:
            yield from _chunk(deeper.popleft(), device, linked, deeper)
    finally:
        for fd in deeper:
            os.close(fd)


def _chunk(top: int, device: int, linked: set[tuple[int, int]], deeper: deque[int]) -> Iterator[int]:
    """As `_sizes`, but what lies too deep is opened and left to `deeper`."""
    stack = [(top, os.scandir(top))]
    try:
        while stack:
            fd, entries = stack[-1]
            entry = next(entries, None)
            if entry is None:
                entries.close()
                os.close(fd)
                stack.pop()
                continue
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:  # gone meanwhile
                continue
            if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
                if (info.st_dev, info.st_ino) in linked:
                    continue
                linked.add((info.st_dev, info.st_ino))
            yield max(info.st_blocks * 512, _LEAST)
            if stat.S_ISDIR(info.st_mode) and info.st_dev == device:
                with contextlib.suppress(OSError):
                    below = _opened(entry.name, fd, info)
                    if len(stack) < _DEEP:
                        stack.append((below, os.scandir(below)))
                    elif len(deeper) < _MOST_DEEPER:
                        deeper.append(below)
                    else:
                        os.close(below)
    finally:
        for fd, entries in stack:
            entries.close()
            os.close(fd)


def _opened(name: str, above: int, seen: os.stat_result) -> int:
    """A directory that was just seen, unless there is something else in its place by now. Raises OSError."""
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=above)
    info = os.fstat(fd)
    if (info.st_dev, info.st_ino) != (seen.st_dev, seen.st_ino):  # a mount, or another directory
        os.close(fd)
        raise NotADirectoryError(name)
    return fd
