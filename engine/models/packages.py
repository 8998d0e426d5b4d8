"""Installations of packages, and their events."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from engine.models.events import Event

InstallationStatus = Literal["ok", "error", "timeout", "cancelled"]


class PackageInfo(msgspec.Struct):
    """A package that is installed."""

    name: str
    version: str


class InstallationError(msgspec.Struct):
    """Why an installation failed, and what to do about it."""

    name: str
    message: str
    remediation: str


class InstallationResult(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """How an installation of packages ended. `installed`: all that is new, also what was needed besides; `restart_for`: those of which
    the kernel may have loaded another version, which it uses until the context is restarted; `log`: the last lines of the output."""

    context_id: str
    language: str
    tool: str
    status: InstallationStatus
    installed: list[PackageInfo]
    restart_for: list[str]
    log: list[str]
    duration_ms: float
    error: InstallationError | UnsetType = UNSET


class Installing(Event, tag="installing"):
    """An installation has begun; what its tool prints follows as stdout and stderr."""

    context_id: str
    language: str
    tool: str
    packages: list[str]


class Installed(Event, tag="installed"):
    """The last event of an installation, however it ended."""

    result: InstallationResult
