"""Slots: directories, each with the workspaces of one family of kernels, and with an owner of its own where the server is root.

A kernel and its branches share a slot, and nobody else does. So a slot is what a box shows to code, and nothing has to be mounted
into a box that runs."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.workspaces.beneath import DIRECTORY
from engine.workspaces.places import Anchor, opened

_libc = ctypes.CDLL(None, use_errno=True)
_BLOCK = 100
_CLAIM = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_CLAIMS = "polyrepl-uids"
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

    Servers of one machine take them in blocks. A block is held by a lock on a file in `claims`, a directory of the server's user
    alone; None: in /run, or in /tmp if /run cannot be written."""

    def __init__(self, first: int, last: int, known: frozenset[int], claims: Path | None = None) -> None:
        starts = range(first - first % _BLOCK, last + 1, _BLOCK)  # the same for servers with other ranges
        self._blocks = iter([range(max(first, start), min(start + _BLOCK, last + 1)) for start in starts])
        self._known = known
        self._directory = claims or Path("/run" if os.access("/run", os.W_OK) else "/tmp", _CLAIMS)  # noqa: S108 - checked
        self._free: deque[int] = deque()
        self._claims: list[int] = []

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
        with opened(_open_claims(self._directory)) as directory:
            claim = os.open(str(block[0] - block[0] % _BLOCK), _CLAIM, 0o600, dir_fd=directory)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(claim)
            if error.errno == errno.EWOULDBLOCK:  # another server's
                return False
            raise
        self._claims.append(claim)
        return True

    def release(self, uid: int) -> None:
        """Its slot is gone, so nothing of it is left."""
        self._free.append(uid)

    def close(self) -> None:
        """Let others have them. May be called again."""
        while self._claims:
            os.close(self._claims.pop())


def _open_claims(path: Path) -> int:
    """The directory of claims, made if it is not there. Raises PermissionError for one that others can enter, and OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    directory = os.open(path, DIRECTORY)
    info = os.fstat(directory)
    if info.st_uid != os.geteuid() or info.st_mode & 0o077:
        os.close(directory)
        raise PermissionError(errno.EPERM, f"{path} must be a directory of the user {os.geteuid()} with mode 0700")
    return directory


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
