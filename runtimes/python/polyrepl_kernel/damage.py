"""Damage: what a cell has taken away that every later cell needs. An error says so, and that a restart mends it."""

from __future__ import annotations

import builtins
import sys
from typing import Any

# Those that `site` and IPython add are for people, who may delete them.
_ADDED = frozenset({"copyright", "credits", "display", "exit", "get_ipython", "help", "license", "quit", "runfile"})
_NEEDED = ("__import__", "__build_class__")
_BUILTINS = tuple(name for name in vars(builtins) if name in _NEEDED or not (name.startswith("_") or name in _ADDED))
_MODULES = ("builtins", "sys", "os", "types", "typing", "IPython")
_HISTORY = ("_oh", "_ih")  # IPython's own, which it updates with each cell
_MOST = 3  # names in the text


def add_advice(error: dict[str, Any], namespace: dict[str, Any]) -> None:
    """Have the content of an error say what is missing, and what to do. `namespace`: where cells run."""
    hint = _advice(namespace)
    if hint is not None:
        error |= {"traceback": [*error["traceback"], hint], "hint": hint}


def _advice(namespace: dict[str, Any]) -> str | None:
    missing = [f"builtins.{name}" for name in _BUILTINS if name not in builtins.__dict__]
    missing += [f"sys.modules[{name!r}]" for name in _MODULES if name not in sys.modules]
    missing += [name for name in _HISTORY if name not in namespace]
    if not missing:
        return None
    more = f" and {len(missing) - _MOST} more" if len(missing) > _MOST else ""
    return f"This context is damaged: earlier code removed {', '.join(missing[:_MOST])}{more}. Restart the context."
