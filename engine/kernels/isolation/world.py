"""The world of an ordinary user: one user namespace of the server's making, in which spawners and zygotes make and enter boxes."""

from __future__ import annotations

import os

from engine.kernels.provisioners import Zygote


class UserWorld:
    """Held open until `close`. Root needs none: `entry` adds nothing then."""

    def __init__(self) -> None:
        self._is_needed = os.geteuid() != 0
        self._fd = -1

    def __repr__(self) -> str:
        return f"<UserWorld {'NONE' if not self._is_needed else 'NEW' if self._fd < 0 else 'HELD'}>"

    def entry(self) -> tuple[list[str], list[int]]:
        """The first process makes the world, and all later ones enter it."""
        if not self._is_needed:
            return [], []
        if self._fd < 0:
            return ["--world", "new"], []
        return ["--world", str(self._fd)], [self._fd]

    def note_greeting(self, zygote: Zygote) -> None:
        """Take the world that the first process has made."""
        fd = zygote.take_world()
        if fd < 0:
            return
        if self._is_needed and self._fd < 0:
            self._fd = fd
        else:
            os.close(fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
