"""What clients call a context, and what they did in it: names, tags and a history, for all its languages together."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

MAX_ENTRIES = 500
MAX_TEXT = 64 * 1024  # characters of each text of an entry
MAX_CHARACTERS = 4 * 1024 * 1024  # of a whole history


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
        return len(self.code) + len(self.stdout) + len(self.stderr) + len(self.result)


class History:
    """The last entries, within bounds."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._characters = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Take an entry; of long texts the beginning is kept."""
        for name in ("code", "stdout", "stderr", "result"):
            text = getattr(entry, name)
            if len(text) > MAX_TEXT:
                setattr(entry, name, text[:MAX_TEXT] + f"\n[... {len(text) - MAX_TEXT} characters omitted ...]")
        self._entries.append(entry)
        self._characters += entry.size()
        while len(self._entries) > MAX_ENTRIES or self._characters > MAX_CHARACTERS:
            self._characters -= self._entries.popleft().size()

    def last(self, count: int) -> list[Entry]:
        """The last `count` entries, oldest first."""
        return list(self._entries)[-count:]


@dataclass(slots=True)
class Labels:
    """`maker`: the dialect that made the context, where that says so; `attempts`: how often code was tried in it with retries."""

    name: str | None = None
    session_name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    maker: str = ""
    history: History = field(default_factory=History)
