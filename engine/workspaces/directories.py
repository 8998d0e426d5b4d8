"""Directories of code that is not trusted: reached and walked by descriptors, so that no link and no `..` leads out.

What was a directory a moment ago may be a link now: every step is opened by its name in the directory before it, and never follows
a link. All of this blocks: call it in a thread, but for what is known to be small."""

from __future__ import annotations

import contextlib
import heapq
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from engine.validation import is_text

MAX_DEPTH = 64
MAX_PATH = 4096  # bytes
MAX_NAME = 255  # bytes
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
Entry = tuple[tuple[str, ...], os.stat_result]


def split(path: str) -> tuple[str, ...]:
    """The names in a relative path; none for the directory itself. Raises ValueError with what is wrong, for a client."""
    if path.startswith("/"):
        raise ValueError("must be relative to the context's working directory")
    names = tuple(name for name in path.split("/") if name not in ("", "."))
    if ".." in names:
        raise ValueError("must not hold ..")
    if "\0" in path or not is_text(path):
        raise ValueError("must be UTF-8 text without NUL")
    if len(path.encode()) > MAX_PATH or any(len(name.encode()) > MAX_NAME for name in names):
        raise ValueError(f"must be at most {MAX_PATH} bytes, each name in it at most {MAX_NAME}")
    if len(names) > MAX_DEPTH:
        raise ValueError(f"must be at most {MAX_DEPTH} names deep")
    return names


@contextlib.contextmanager
def opened(path: str | Path, flags: int = DIRECTORY, *, within: int | None = None) -> Iterator[int]:
    """A descriptor, closed at the end of the block. `within`: the directory that the path is relative to."""
    fd = os.open(path, flags, dir_fd=within)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def descended(root: int, names: tuple[str, ...], *, make: bool = False) -> Iterator[int]:
    """The directory at `names` below `root`; with `make`, what is missing of it is made.

    Raises FileNotFoundError, or NotADirectoryError where one of the names is something else, such as a link."""
    fd = os.dup(root)
    try:
        for name in names:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o777, dir_fd=fd)
            below = os.open(name, DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def walk(
    directory: int, *, skip: frozenset[str] = frozenset(), above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], os.stat_result]]:
    """All that is below a directory, in no order. What is in directories of the names in `skip` is left out."""
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:  # gone meanwhile
                continue
            names = (*above, entry.name)
            yield names, info
            if stat.S_ISDIR(info.st_mode) and len(names) < MAX_DEPTH and entry.name not in skip:
                with contextlib.suppress(OSError), opened(entry.name, within=directory) as below:
                    yield from walk(below, skip=skip, above=names)


def walk_sorted(
    directory: int, *, limit: int, after: tuple[str, ...] = (), recursive: bool, above: tuple[str, ...] = ()
) -> Iterator[Entry]:
    """At least the first `limit` entries below a directory, sorted by their names, from those after `after` on.

    A directory comes before what is in it. However large it is, no more than `limit` of its names are held."""
    first = after[0] if after else ""
    with os.scandir(directory) as entries:
        found = (entry.name for entry in entries if entry.name >= first and is_text(entry.name))
        # One more: the first one may be the name at which the entries before these ended.
        names = heapq.nsmallest(limit + 1, found)
    for name in names:
        try:
            info = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError:
            continue
        is_passed = bool(after) and name == first
        if not is_passed:
            yield (*above, name), info
        if recursive and stat.S_ISDIR(info.st_mode) and len(above) < MAX_DEPTH:
            with contextlib.suppress(OSError), opened(name, within=directory) as below:
                yield from walk_sorted(
                    below,
                    limit=limit,
                    after=after[1:] if is_passed else (),
                    recursive=True,
                    above=(*above, name),
                )
