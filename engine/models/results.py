"""An execution as its readers see it."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from engine.models.diagnostics import Diagnostic
from engine.models.files import FileChange
from engine.models.items import Item
from engine.models.variables import VariableChanges

Status = Literal["queued", "running", "ok", "error", "timeout", "interrupted", "died"]
# created: this one is the first of a new context; preserved: what earlier executions left is there; restarted: this one began on a
# fresh kernel, as the earlier state is gone; lost: this one lost it; rolled_back: this one failed, and the state is that from before it
ContextState = Literal["created", "preserved", "restarted", "lost", "rolled_back"]
TERMINAL: frozenset[str] = frozenset({"ok", "error", "timeout", "interrupted", "died"})


class Logs(msgspec.Struct):
    """Lines without their newlines; a carriage return overwrites its line, as on a terminal."""

    stdout: list[str]
    stderr: list[str]


class ErrorInfo(msgspec.Struct):
    """The error of a cell. `traceback` is one string without ANSI sequences; `hint` says what to do, such as how to install a package."""

    name: str
    value: str
    traceback: str
    hint: str | UnsetType = UNSET


class Truncation(msgspec.Struct):
    """What a limit cut: how much there was and how much is kept (bytes; `items` also counts)."""

    total_bytes: int
    kept_bytes: int
    total: int | UnsetType = UNSET
    kept: int | UnsetType = UNSET


class Result(msgspec.Struct, kw_only=True):
    """An execution as its readers see it, at any moment of its life. `unchecked`: why there are no `diagnostics` though asked for."""

    execution_id: str
    context_id: str
    language: str
    status: Status
    items: list[Item]
    logs: Logs
    error: ErrorInfo | UnsetType = UNSET
    execution_count: int | UnsetType = UNSET
    duration_ms: float | UnsetType = UNSET
    context_state: ContextState | UnsetType = UNSET
    truncated: dict[str, Truncation] | UnsetType = UNSET
    variables: VariableChanges | UnsetType = UNSET
    checkpoint: str | UnsetType = UNSET
    files: list[FileChange] | UnsetType = UNSET
    diagnostics: list[Diagnostic] | UnsetType = UNSET
    unchecked: str | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET
