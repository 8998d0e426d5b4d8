"""Errors that the engine made, not the code: told apart by their types, as a user's exception may have any name.

To clients they look like all others."""

from __future__ import annotations

from engine.models import ErrorInfo, Failed


class EngineError(ErrorInfo):
    """Why the engine ended a cell, or could not run it."""


class EngineFailed(Failed, tag="error"):
    """An `EngineError` as an event."""
