"""Directories of code that is not trusted, walked by descriptors, so that no link and no `..` leads out.

What was a directory a moment ago may be a link now: each is opened below the one before it. All of this blocks: call it in a
thread."""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import os
import stat
from collections.abc import Iterable, Iterator

from engine.validation import is_text
from engine.workspaces.beneath import open_beneath
from engine.workspaces.places import descended, opened

MAX_DEPTH = 64
MAX_PATH = 4096  # bytes
MAX_NAME = 255  # bytes
MAX_SCANNED = 200_000  # names that are looked at for one listing
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


def walk(
    directory: int, *, skip: frozenset[str] = frozenset(), above: tuple[str, ...] = (), crosses: bool = False
) -> Iterator[Entry]:
    """All that is below a directory, in no order. What is in directories of the names in `skip` is left out.

    `crosses`: also what is in other file systems, which are mounted there."""
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:  # gone meanwhile
                continue
            names = (*above, entry.name)
            yield names, info
            if stat.S_ISDIR(info.st_mode) and len(names) < MAX_DEPTH and entry.name not in skip:
                with contextlib.suppress(OSError), descended(directory, (entry.name,), crosses=crosses) as below:
                    yield from walk(below, skip=skip, above=names, crosses=crosses)


def walk_sorted(
    directory: int,
    *,
    limit: int,
    after: tuple[str, ...] = (),
    recursive: bool,
    above: tuple[str, ...] = (),
    crosses: bool = False,
    scanned: Iterator[int] | None = None,
) -> Iterator[Entry]:
    """At least the first `limit` entries below a directory, sorted by their names, from those after `after` on.

    A directory comes before what is in it. However large it is, no more than `limit` of its names are held.
    Raises OSError E2BIG where more than MAX_SCANNED names have to be looked at; `scanned` counts them."""
    first = after[0] if after else ""
    scanned = scanned or itertools.count()
    with os.scandir(directory) as entries:
        # One more: the first one may be the name at which the entries before these ended.
        names = heapq.nsmallest(limit + 1, _names(entries, first, scanned))
    for name in names:
        try:
            info = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError:
            continue
        is_passed = bool(after) and name == first
        if not is_passed:
            yield (*above, name), info
        if recursive and stat.S_ISDIR(info.st_mode) and len(above) < MAX_DEPTH:
            try:
                found = open_beneath(directory, (name,), crosses=crosses)
            except OSError:
                continue
            with opened(found) as below:
                yield from walk_sorted(
                    below,
                    limit=limit,
                    after=after[1:] if is_passed else (),
                    recursive=True,
                    above=(*above, name),
                    crosses=crosses,
                    scanned=scanned,
                )


def _names(entries: Iterable[os.DirEntry[str]], first: str, scanned: Iterator[int]) -> Iterator[str]:
    for entry in entries:
        if next(scanned) >= MAX_SCANNED:
            raise OSError(errno.E2BIG, f"has more than {MAX_SCANNED} entries, too many to list")
        if entry.name >= first and is_text(entry.name):
            yield entry.name
