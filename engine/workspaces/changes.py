"""What a cell did to the files of its working directory: the directory is looked at before and after, where that is cheap.

Around every cell it must cost next to nothing, so it is done for small directories; a request can ask for larger ones."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from msgspec import UNSET, UnsetType

from engine.errors import TooManyFiles
from engine.models import FileChange
from engine.validation import is_text
from engine.workspaces.directories import DIRECTORY, opened, walk
from engine.workspaces.workspace import Workspace

UNASKED_ENTRIES = 32  # files and directories up to which it is done for every cell: some 5 us each
ASKED_ENTRIES = 20_000
MAX_CHANGES = 1000
# What programs make for themselves, by the thousands.
_SKIPPED = frozenset({"node_modules", "__pycache__", ".git", ".ipynb_checkpoints"})
_Seen = dict[tuple[str, ...], tuple[int, int, int]]


class Watch:
    """A directory as it was before a cell."""

    def __init__(self, workspace: Workspace, before: _Seen, *, asked: bool) -> None:
        self._workspace = workspace
        self._before = before
        self._asked = asked

    async def changes(self) -> list[FileChange] | UnsetType:
        """What is different now, by path, the first 1000; nothing where nothing is, or where it cannot be told any more."""
        most = ASKED_ENTRIES if self._asked else UNASKED_ENTRIES
        after = _look(self._workspace, UNASKED_ENTRIES)
        if after is None:  # the cell made many files, or there were many
            after = await asyncio.to_thread(_look, self._workspace, max(most, MAX_CHANGES) + len(self._before))
        if after is None:
            return UNSET
        return compare(self._before, after) or UNSET


async def watch(workspace: Workspace, wanted: bool | None) -> Watch | None:
    """Look at a working directory before a cell. Not where that is not wanted, nor, unless it is, where it costs too much: in a
    directory that a request named, and in a large one.

    Raises TooManyFiles where it is wanted and too large even so."""
    if wanted is False or not (wanted or workspace.is_own):
        return None
    asked = bool(wanted)
    before = _look(workspace, UNASKED_ENTRIES)
    if before is None and asked:
        before = await asyncio.to_thread(_look, workspace, ASKED_ENTRIES)
        if before is None:
            raise TooManyFiles(ASKED_ENTRIES)
    return None if before is None else Watch(workspace, before, asked=asked)


def _look(workspace: Workspace, limit: int) -> _Seen | None:
    return snapshot(workspace.cwd, limit, is_own=workspace.is_own)


def snapshot(directory: Path, limit: int, *, is_own: bool = True) -> _Seen | None:
    """The files below a directory, and what of each tells that it was changed; None where there are more than `limit` entries."""
    seen: _Seen = {}
    entries = 0
    try:
        if _is_empty(directory):  # as most are: nothing has to be opened with care
            return seen
        with opened(directory, DIRECTORY if is_own else DIRECTORY & ~os.O_NOFOLLOW) as fd:
            for names, info in walk(fd, skip=_SKIPPED):
                entries += 1
                if entries > limit:
                    return None
                if stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode):
                    seen[names] = (info.st_mtime_ns, info.st_size, info.st_ino)
    except OSError:  # not made yet, or taken away by a cell: nothing is in it
        return {}
    return seen


def _is_empty(directory: Path) -> bool:
    with os.scandir(directory) as found:
        return next(found, None) is None


def compare(before: _Seen, after: _Seen) -> list[FileChange]:
    """The differences by path, the first 1000."""
    if before == after:
        return []
    changes = []
    for names in sorted(before.keys() | after.keys()):
        if before.get(names) == after.get(names) or not all(map(is_text, names)):
            continue
        path = "/".join(names)
        if names not in after:
            changes.append(FileChange(path=path, change="deleted"))
        else:
            change = FileChange(path=path, change="changed" if names in before else "created", size=after[names][1])
            changes.append(change)
    return changes[:MAX_CHANGES]
