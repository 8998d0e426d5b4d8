"""The history of a session: what was done in it, within bounds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from sys import getsizeof

MAX_ENTRIES = 500
MAX_TEXT = 64 * 1024  # characters of each text of an entry
MAX_BYTES = 1024 * 1024  # of memory, of a whole history


@dataclass(slots=True)
class Entry:
    """Something that was done: code that was run, or a file operation as code would tell it. `timestamp` is ISO 8601, UTC."""

    timestamp: str
    code: str
    language: str
    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    result: str = ""

    def size(self) -> int:
        """Bytes of memory."""
        return sum(map(getsizeof, (self.timestamp, self.code, self.stdout, self.stderr, self.result)))


class History:
    """The last entries, within bounds."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Take an entry; of long texts the beginning is kept."""
        for name in ("code", "stdout", "stderr", "result"):
            text = getattr(entry, name)
            if len(text) > MAX_TEXT:
                setattr(entry, name, text[:MAX_TEXT] + f"\n[... {len(text) - MAX_TEXT} characters omitted ...]")
        self._entries.append(entry)
        self._bytes += entry.size()
        while len(self._entries) > MAX_ENTRIES or self._bytes > MAX_BYTES:
            self._bytes -= self._entries.popleft().size()

    def last(self, count: int) -> list[Entry]:
        """The last `count` entries, oldest first."""
        return list(self._entries)[-count:]
