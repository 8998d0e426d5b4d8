"""What the files of a context take: counted now and then, and reserved by uploads before they are written."""

from __future__ import annotations

import stat
import threading
import time
from dataclasses import dataclass

from engine.errors import StorageFull
from engine.workspaces.directories import walk

_CHEAP = 0.02  # seconds: what takes less is counted every time
_SHARE = 20  # other counts are good for this many times as long as they took


@dataclass(frozen=True, slots=True)
class FileLimits:
    """`file_bytes` bounds one upload; where a context has more than `files`, or would have more than `bytes`, none is taken."""

    file_bytes: int
    files: int
    bytes: int


class Usage:
    """Counts of one context's files and bytes, for several threads at a time.

    A large directory is counted rarely: between two counts, uploads add what they write. Code that writes files meanwhile is seen
    by the next count. Before an upload is refused there is always a new count, as code may have deleted files."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._files = 0
        self._bytes = 0
        self._reserved_files = 0
        self._reserved_bytes = 0
        self._added_files = 0  # by uploads that ended during the present count
        self._added_bytes = 0
        self._began_at = float("-inf")  # the latest count
        self._counted_at = float("-inf")
        self._count_took = 0.0

    def count(self, directory: int, limits: FileLimits) -> None:
        """Count what is in an open directory, unless that was done just now. Blocks."""
        with self._counting:
            if self._count_took <= _CHEAP or time.monotonic() - self._counted_at >= _SHARE * self._count_took:
                self._count(directory, limits)

    def count_again(self, directory: int, limits: FileLimits) -> None:
        """Count it, unless another thread begins to do so meanwhile. Blocks."""
        called_at = time.monotonic()
        with self._counting:
            if self._began_at < called_at:
                self._count(directory, limits)

    def _count(self, directory: int, limits: FileLimits) -> None:
        self._began_at = time.monotonic()
        with self._lock:
            self._added_files = self._added_bytes = 0
        files = size = 0
        for _, info in walk(directory):
            files += 1
            size += info.st_size if stat.S_ISREG(info.st_mode) else 0
            if files >= limits.files:
                break
        with self._lock:
            self._files = files + self._added_files
            self._bytes = size + self._added_bytes
        self._counted_at = time.monotonic()
        self._count_took = self._counted_at - self._began_at

    def reserve(self, limits: FileLimits, *, files: int, size: int) -> None:
        """Set room aside, all of it or none. A negative `size`: bytes that a file to be replaced takes. Raises StorageFull."""
        with self._lock:
            if files and self._files + self._reserved_files + files > limits.files:
                raise StorageFull(f"the context has {limits.files} files, its limit")
            if size > 0 and self._bytes + self._reserved_bytes + size > limits.bytes:
                raise StorageFull(f"the files of a context may take {limits.bytes} bytes")
            self._reserved_files += files
            self._reserved_bytes += size

    def release(self, *, files: int, size: int, is_written: bool) -> None:
        """Give back what was reserved; what `is_written` counts from now on."""
        with self._lock:
            self._reserved_files -= files
            self._reserved_bytes -= size
            if is_written:
                self._files += files
                self._bytes += size
                self._added_files += files
                self._added_bytes += size
