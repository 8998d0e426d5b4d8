"""Progress bars of cells whose client reads items: text that overwrites itself, and no widgets, which need a notebook."""

from __future__ import annotations

from functools import wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .imports import on_import

if TYPE_CHECKING:
    from .shell import ZMQInteractiveShell


def watch(shell: ZMQInteractiveShell) -> None:
    """Prepare tqdm and rich when cells import them, or now if they are there."""
    on_import("tqdm.notebook", lambda module: _write_bars(module, shell))
    on_import("rich.console", lambda module: _write_plainly(module, shell))


def _write_bars(module: ModuleType, shell: ZMQInteractiveShell) -> None:
    """Let tqdm's bar for notebooks (`tqdm.notebook`, and `tqdm.auto` here) be its bar of text."""
    bar_class: Any = module.tqdm_notebook  # type: ignore[attr-defined]
    make = bar_class.__new__

    @wraps(make)
    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        # A class of the user's has methods that the bar of text has not.
        if not shell.kernel.cells.current().reads_items or not str(cls.__module__).startswith("tqdm."):
            return make(cls, *args, **kwargs)
        from tqdm.asyncio import tqdm_asyncio  # also what tqdm.auto's has

        kwargs.pop("display", None)  # which only the bar for notebooks knows
        return tqdm_asyncio(*args, **kwargs)

    bar_class.__new__ = new


def _write_plainly(module: ModuleType, shell: ZMQInteractiveShell) -> None:
    """Let rich write what is neither for a notebook nor for a terminal: a progress bar comes once, as it is in the end."""
    console_class: Any = module.Console  # type: ignore[attr-defined]
    init = console_class.__init__

    @wraps(init)
    def initialize(self: Any, *args: Any, **kwargs: Any) -> None:
        if shell.kernel.cells.current().reads_items:
            kwargs.setdefault("force_jupyter", False)
            kwargs.setdefault("force_terminal", False)
        init(self, *args, **kwargs)

    console_class.__init__ = initialize
