"""What a cell did to the files of its working directory: the directory is looked at before and after, where that is cheap.

Around every cell it must cost next to nothing, so it is done for small directories; a request can ask for larger ones."""

from __future__ import annotations

import errno
import os
import stat
import time

from msgspec import UNSET, UnsetType

from engine.errors import FilesUnavailable, TooManyFiles
from engine.models import FileChange
from engine.validation import is_text
from engine.workspaces.directories import walk
from engine.workspaces.files import file_error
from engine.workspaces.places import Held
from engine.workspaces.threads import Stuck
from engine.workspaces.workspace import Empty, Workspace

UNASKED_ENTRIES = 32  # files and directories up to which it is done for every cell: some 5 us each
ASKED_ENTRIES = 20_000
LOOK_SECONDS = 5.0  # that a look may take before the answer goes without it
_CLOSE = 20_000_000  # nanoseconds: longer than the clock of any file system stands still
MAX_CHANGES = 1000
# What programs make for themselves, by the thousands.
_SKIPPED = frozenset({"node_modules", "__pycache__", ".git", ".ipynb_checkpoints"})
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # not made yet, or taken away by a cell: nothing is in it
_Seen = dict[tuple[str, ...], tuple[int, int, int]]


class Watch:
    """A directory as it was before a cell."""

    def __init__(self, workspace: Workspace, before: _Seen, *, asked: bool) -> None:
        self._workspace = workspace
        self._before = before
        self._asked = asked

    async def changes(self) -> list[FileChange] | UnsetType:
        """What is different now, by path, the first 1000; nothing where nothing is, or where it cannot be told any more."""
        if not self._before and is_still_empty(self._workspace):
            return UNSET
        most = ASKED_ENTRIES if self._asked else UNASKED_ENTRIES
        try:
            # Also where the cell made many files.
            after = await _look(self._workspace, max(most, MAX_CHANGES) + len(self._before))
        except OSError:
            return UNSET
        if after is None:
            return UNSET
        return compare(self._before, after) or UNSET


async def watch(workspace: Workspace, wanted: bool | None, *, context_id: str = "") -> Watch | None:
    """Look at a working directory before a cell. Not where that is not wanted, nor, unless it is, where it costs too much: in a
    directory that a request named, and in a large one.

    Raises, if it is wanted, TooManyFiles where it is too large even so, FilesUnavailable, and what `file_error` makes of an error."""
    if wanted is False or not (wanted or workspace.is_own):
        return None
    asked = bool(wanted)
    if is_still_empty(workspace):
        return Watch(workspace, {}, asked=asked)
    try:
        before = await _look(workspace, ASKED_ENTRIES if asked else UNASKED_ENTRIES)
    except Stuck:
        if asked:
            raise FilesUnavailable(context_id, LOOK_SECONDS) from None
        return None
    except OSError as error:
        if asked:
            raise file_error(error, ".") from None
        return None
    if before is None and asked:
        raise TooManyFiles(ASKED_ENTRIES)
    return None if before is None else Watch(workspace, before, asked=asked)


async def _look(workspace: Workspace, limit: int) -> _Seen | None:
    return await workspace.lanes.files.run(lambda: snapshot(workspace, limit), timeout=LOOK_SECONDS)


def is_still_empty(workspace: Workspace) -> bool:
    """Whether the working directory was empty when it was looked at, and was not changed since. Does not block.

    Nothing is looked for by its name: the directory that was empty is held open, and is on a file system of ours."""
    known = workspace.known_empty
    if known is None:
        return False
    info = os.fstat(known.held.fd)
    # Two changes that follow closely have the same time: an empty directory counts if it was so for a while when it was seen.
    return (
        info.st_nlink > 0
        and info.st_ctime_ns == known.changed
        and min(known.seen, time.time_ns()) > known.changed + _CLOSE
    )


def snapshot(workspace: Workspace, limit: int) -> _Seen | None:
    """The files of a workspace, and what of each tells that it was changed; None where there are more than `limit` entries.

    Blocks. Raises OSError where it cannot be looked at."""
    seen: _Seen = {}
    workspace.known_empty = None
    try:
        with workspace.work.opened() as fd:
            now, info, is_empty = time.time_ns(), os.fstat(fd), True
            for count, (names, entry) in enumerate(walk(fd, skip=_SKIPPED, crosses=workspace.work.crosses)):
                if count >= limit:
                    return None
                if stat.S_ISREG(entry.st_mode) or stat.S_ISLNK(entry.st_mode):
                    seen[names] = (entry.st_mtime_ns, entry.st_size, entry.st_ino)
                is_empty = False
            if is_empty and workspace.is_own:
                workspace.known_empty = Empty(Held(os.dup(fd)), info.st_ctime_ns, now)
    except OSError as error:
        if error.errno not in _GONE:
            raise
        return {}
    return seen


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
