"""What the checker may read of a context: the names and the text of regular files in its working directory, and nothing else.

The checker reads what users wrote, so what it asks for is taken as a stranger's: a path is cut into names, and opened beneath the
working directory, as the context's user, without a step through a link."""

from __future__ import annotations

import os
import stat
import time
from itertools import islice
from typing import Any

from engine.workspaces import Workspace

_MOST_ASKED = 20_000  # in one check
_MOST_BYTES = 64 * 1024 * 1024
_FILE_BYTES = 2 * 1024 * 1024
_MOST_ENTRIES = 20_000
_MOST_DEPTH = 64
_MOST_PATH = 4096


class Sources:
    """Of one context, for one check. `deadline`: of the loop's clock."""

    def __init__(self, workspace: Workspace, *, deadline: float) -> None:
        self._workspace = workspace
        self._deadline = deadline
        self._asked = 0
        self._bytes = 0

    async def answer(self, message: dict[str, Any]) -> dict[str, str] | str | None:
        """What the checker asks for: the entries of a directory, or the text of a file. None if it is not there, or not for it."""
        kind, path = next(iter(message.items()))
        names = names_of(path)
        seconds = self._deadline - time.monotonic()
        self._asked += 1
        if names is None or self._asked > _MOST_ASKED or seconds <= 0 or self._workspace.is_gone:
            return None
        try:
            if kind == "list":
                return await self._workspace.lanes.files.run(lambda: self._list(names), timeout=seconds)
            if kind == "read":
                return await self._workspace.lanes.files.run(lambda: self._read(names), timeout=seconds)
        except OSError:  # it is not there, no file, or its file system does not answer
            return None
        return None

    def _list(self, names: tuple[str, ...]) -> dict[str, str]:
        found = {}
        with self._workspace.work.below(*names).opened() as directory, os.scandir(directory) as entries:
            for entry in islice(entries, _MOST_ENTRIES):
                info = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode):
                    found[entry.name] = "d"
                elif stat.S_ISREG(info.st_mode):
                    found[entry.name] = f"f{info.st_ctime_ns:x}-{info.st_size:x}-{info.st_ino:x}"
        return {name: version for name, version in found.items() if name.isprintable()}

    def _read(self, names: tuple[str, ...]) -> str | None:
        if self._bytes > _MOST_BYTES:
            return None
        data = self._workspace.work.read(*names, limit=_FILE_BYTES)
        self._bytes += len(data)
        return data.decode("utf-8", "replace")


def names_of(path: object) -> tuple[str, ...] | None:
    """A path of the checker's as names below the working directory; None for one that cannot be one."""
    if not isinstance(path, str) or len(path) > _MOST_PATH or "\0" in path:
        return None
    names = tuple(path.split("/")) if path else ()
    if len(names) > _MOST_DEPTH or any(name in ("", ".", "..") for name in names):
        return None
    return names
