"""Slots: directories, each with the workspaces of one family of kernels, and with an owner of its own where the server is root.

A kernel and its branches share a slot, and nobody else does. So a slot is what a box shows to code, and nothing has to be mounted
into a box that runs."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.workspaces.places import Anchor

_libc = ctypes.CDLL(None, use_errno=True)
_BLOCK = 100
_KEEP = -1  # asks which one is set: setfsuid(2) refuses it and answers


class Spare(Protocol):
    """What was made for a slot before its first kernel: a box."""

    def discard(self) -> None:
        """No kernel comes that could use it. May be called again."""


class SlotSource(Protocol):
    """Who has slots ready."""

    def acquire_slot(self) -> Slot | None:
        """One without a workspace, which is the caller's from now on; None: the caller has to make one."""


@dataclass(slots=True, eq=False)
class Slot:
    """`uid`: who owns all in it; None: the server's user. `roots`: those of its workspaces that are not gone, `ended`: those of
    them that nobody needs any more. `spare`: what is ready for its first kernel."""

    path: Path
    anchor: Anchor
    uid: int | None = None
    roots: set[Path] = field(default_factory=set)
    ended: set[Path] = field(default_factory=set)
    spare: Spare | None = None

    def __repr__(self) -> str:
        return f"<Slot {self.path.name}, {len(self.roots)} workspaces>"

    @property
    def is_over(self) -> bool:
        """Whether nobody needs any of its workspaces."""
        return self.roots <= self.ended


class Uids:
    """Numbers of users for slots: of a range, none that the system knows, none that a slot still has, and none of another server.

    Servers of one machine take them in blocks. A block is held by a name that only one process can have (an abstract socket)."""

    def __init__(self, first: int, last: int, known: frozenset[int]) -> None:
        self._blocks = iter([range(start, min(start + _BLOCK, last + 1)) for start in range(first, last + 1, _BLOCK)])
        self._known = known
        self._free: deque[int] = deque()
        self._claims: list[socket.socket] = []

    def acquire(self) -> int:
        """The one that has been free for longest. Raises OSError where there is none."""
        while not self._free:
            block = next(self._blocks, None)
            if block is None:
                raise OSError(errno.EAGAIN, "all users of the setting context_uids are in use")
            if self._claim(block):
                self._free += [number for number in block if number not in self._known]
        return self._free.popleft()

    def _claim(self, block: range) -> bool:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0polyrepl-uids-{block[0]}")
        except OSError:  # another server's
            claim.close()
            return False
        self._claims.append(claim)
        return True

    def release(self, uid: int) -> None:
        """Its slot is gone, so nothing of it is left."""
        self._free.append(uid)

    def close(self) -> None:
        """Let others have them. May be called again."""
        while self._claims:
            self._claims.pop().close()


@contextlib.contextmanager
def as_owner(uid: int | None) -> Iterator[None]:
    """Have this thread reach files as `uid` and the group of that number: what it makes is theirs, and it may what they may.

    Nothing is awaited in the block. Raises PermissionError where the thread may not."""
    if uid is None:
        yield
        return
    group, user = _libc.setfsgid(uid), _libc.setfsuid(uid)
    try:
        if (_libc.setfsgid(_KEEP), _libc.setfsuid(_KEEP)) != (uid, uid):
            raise PermissionError(errno.EPERM, f"files cannot be reached as the user {uid}")
        yield
    finally:
        _libc.setfsuid(user)
        _libc.setfsgid(group)
