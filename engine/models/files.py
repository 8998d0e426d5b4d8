"""A context's files, and what an execution changed of them."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

# copied: a branch has files of its own; shared: it works in the same directory, which is one that the user named
Files = Literal["copied", "shared"]


class FileInfo(msgspec.Struct, kw_only=True):
    """What is at a path, relative to the working directory. `modified` is ISO 8601, UTC."""

    path: str
    type: Literal["file", "directory", "symlink", "other"]
    size: int
    modified: str


class FileList(msgspec.Struct, kw_only=True):
    """Files by path. `truncated`: more of them follow, ask `after` the last path."""

    items: list[FileInfo]
    truncated: bool


class FileChange(msgspec.Struct, kw_only=True):
    """A file that an execution made, changed or deleted. `size`: bytes of what is there now."""

    path: str
    change: Literal["created", "changed", "deleted"]
    size: int | UnsetType = UNSET
