"""Contexts, their branches and checkpoints, and the languages that they may have."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from engine.models.bounds import Name
from engine.models.files import Files


class ContextInfo(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """A context as listed. `state`: starting, idle, busy or dead; `name`, `tags`: a client's labels. Times are ISO 8601, UTC."""

    id: str
    language: str
    cwd: str
    kernel: str
    state: str
    created_at: str
    last_activity: str
    queued: int
    execution_count: int
    limits: dict[str, float] | UnsetType = UNSET
    isolation: str | UnsetType = UNSET
    network: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET


class Obstacle(msgspec.Struct):
    """Something of a context that a copy of its process does not have. `kind`: thread, task, socket, pipe, process, database, ..."""

    kind: Name
    name: Name


class BranchInfo(ContextInfo, kw_only=True):
    """A context that was made as a copy of another. `checkpoint`: of which of its states, where that is not the present one."""

    branched_from: str
    files: Files
    not_carried: list[Obstacle]
    checkpoint: str | UnsetType = UNSET


class CheckpointInfo(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """A state of a context that it can return to. `memory_bytes`: what only this state holds, now; `state`: ready or lost."""

    checkpoint: str
    context_id: str
    language: str
    created_at: str
    execution_count: int
    state: str
    files: Files
    file_bytes: int
    not_carried: list[Obstacle]
    name: str | UnsetType = UNSET
    memory_bytes: int | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET


class LanguageInfo(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """A language a request may name. `reason` tells why it is not available."""

    name: str
    aliases: list[str]
    kernel: str
    available: bool
    version: str | UnsetType = UNSET
    display_name: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
