"""The cells that a kernel has been given: what a checker knows the names of a later cell by."""

from __future__ import annotations

from collections import deque

_MOST_CHARS = 256 * 1024
_MOST_CELLS = 1000


class PastCells:
    """The latest cells of one kernel, oldest first. `is_partial`: older ones are not kept any more."""

    def __init__(self) -> None:
        self.is_partial = False
        self._codes: deque[str] = deque()
        self._chars = 0

    def __repr__(self) -> str:
        return f"<PastCells {len(self._codes)}, {self._chars} characters>"

    @property
    def codes(self) -> list[str]:
        return list(self._codes)

    def add(self, code: str) -> None:
        """Keep a cell that the kernel is about to run. One that is run again at once says nothing new."""
        if self._codes and self._codes[-1] == code:
            return
        self._codes.append(code)
        self._chars += len(code)
        while self._chars > _MOST_CHARS or len(self._codes) > _MOST_CELLS:
            self._chars -= len(self._codes.popleft())
            self.is_partial = True
