"""Directories that are held open: reached by descriptor, whatever lies at their paths by now.

All of it blocks: call it in a thread, but for `Anchor.make` and `Place.make` of directories that are ours."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.workspaces.beneath import DIRECTORY, open_beneath, read_file


class Held:
    """A descriptor of a directory. It is closed when nothing refers to it any more, so that no thread finds another in its place."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.fd)

    @property
    def is_removed(self) -> bool:
        return os.fstat(self.fd).st_nlink == 0


class Anchor:
    """A directory that is held open until `close`; made, or made again where it was removed, by `make`.

    `above`: the anchor of the directory that it lies in. `is_named`: a request named it, so it is not ours to make, and what is
    mounted below it is entered. `path` leads through no link; one that is put in its place is not followed."""

    def __init__(
        self, path: Path, above: Anchor | None = None, *, held: Held | None = None, is_named: bool = False
    ) -> None:
        self.path = path
        self.is_named = is_named
        self._above = above
        self._held = held
        self._closed = False

    def __repr__(self) -> str:
        return f"<Anchor {self.path} {'CLOSED' if self._closed else 'HELD' if self._held else 'NEW'}>"

    def hold(self) -> Held:
        """What is held open. Raises FileNotFoundError when it is closed, or was not made."""
        if self._held is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        return self._held

    def make(self) -> Held:
        """The same, made before if it is not there; one that is named, and held, is not looked at. Raises OSError."""
        if self._closed:
            raise FileNotFoundError(errno.ENOENT, "The directory is closed", str(self.path))
        if self._held is not None and (self.is_named or not self._held.is_removed):
            return self._held
        return self._open()

    def find(self) -> Held:
        """The same; one that is named, and was removed, is opened again. Raises OSError. Call it in a thread."""
        if self._held is not None and self._held.is_removed and not self._closed:
            return self._open()
        return self.make()

    def _open(self) -> Held:
        if self._above is not None:
            above = self._above.make()
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.path.name, 0o700, dir_fd=above.fd)
            held = Held(open_beneath(above.fd, (self.path.name,)))
        else:
            if not self.is_named:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with opened(os.open("/", DIRECTORY)) as top:
                held = Held(open_beneath(top, self.path.parts[1:], crosses=True))
        self._held = held
        if self._closed:  # meanwhile
            self._held = None
        return held

    def shared(self) -> Anchor:
        """Another one of the same directory, which stays when this one is closed."""
        return Anchor(self.path, self._above, held=self._held, is_named=self.is_named)

    def close(self) -> None:
        """Let go of it, for good; a thread that works in it has it open until it ends."""
        self._closed = True
        self._held = None


@dataclass(frozen=True, slots=True)
class Place:
    """A directory of a context: found by its names below an anchor."""

    anchor: Anchor
    names: tuple[str, ...] = ()

    @property
    def crosses(self) -> bool:
        """Whether what is mounted below it is entered."""
        return self.anchor.is_named

    def below(self, *names: str) -> Place:
        return Place(self.anchor, (*self.names, *names))

    def make(self) -> bool:
        """Have it, where its parent is there. Returns whether it is a new one. Raises OSError."""
        held = self.anchor.hold()
        *above, name = self.names
        if not above:
            return _is_made(name, held.fd)
        with descended(held.fd, tuple(above), crosses=self.crosses) as parent:
            return _is_made(name, parent)

    @contextlib.contextmanager
    def opened(self, *, make: bool = False) -> Iterator[int]:
        """Its descriptor, for the time of the block; with `make`, what is missing of it is made. Raises OSError."""
        held = self.anchor.find() if self.anchor.is_named else self.anchor.hold()
        with descended(held.fd, self.names, make=make, crosses=self.crosses) as fd:
            yield fd

    def read(self, *names: str, limit: int) -> bytes:
        """The content of a regular file in it, of at most `limit` bytes. Raises OSError, which says what else is there."""
        with self.opened() as fd:
            return read_file(fd, names, limit=limit, crosses=self.crosses)


def _is_made(name: str, parent: int) -> bool:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def opened(fd: int) -> Iterator[int]:
    """A descriptor, closed at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def descended(
    root: int, names: tuple[str, ...], *, make: bool = False, crosses: bool = False, mode: int = 0o700
) -> Iterator[int]:
    """The directory at `names` below an open one; with `make`, what is missing of it is made.

    Raises FileNotFoundError, or another OSError if one of the names is something else, such as a link."""
    fd = open_beneath(root, () if make else names, crosses=crosses)
    try:
        for name in names if make else ():
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, mode, dir_fd=fd)
            above, fd = fd, open_beneath(fd, (name,), crosses=crosses)
            os.close(above)
        yield fd
    finally:
        os.close(fd)
