"""The worker processes of multiprocessing: how a cell's start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .imports import after_import

if TYPE_CHECKING:
    from types import ModuleType


def fork_by_default() -> None:
    """Let workers be forked where the code does not choose, as they were before Python 3.14.

    Only a fork has the functions that cells define. Others cannot unpickle them, and a Pool replaces them without end."""
    after_import("multiprocessing.context", _choose_fork)


def _choose_fork(module: ModuleType) -> None:
    default, contexts = getattr(module, "_default_context", None), getattr(module, "_concrete_contexts", {})
    if hasattr(default, "_default_context") and "fork" in contexts:
        default._default_context = contexts["fork"]
