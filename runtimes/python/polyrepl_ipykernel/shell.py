"""The shell that runs user code, with its two senders of rich output."""

from __future__ import annotations

import asyncio
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ipykernel import displayhook, zmqshell
from IPython.core.inputtransformer2 import leading_empty_lines
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type

from .cells import Cell, InheritedParent
from .interrupts import Interrupts, without_kernel_frames
from .limits import limit_bundle


class _LimitedSender(InheritedParent):
    """Mix-in for the display hook and the display publisher: applies ``item_bytes`` before any other hook."""

    session: Any
    _thread_local: Any

    @property
    def _hooks(self) -> list[Any]:
        if not hasattr(self._thread_local, "hooks"):
            self._thread_local.hooks = [self._apply_limit]
        hooks: list[Any] = self._thread_local.hooks
        return hooks

    def _apply_limit(self, message: dict[str, Any]) -> dict[str, Any]:
        cell = message["parent_header"]
        data = message["content"].get("data")
        if data and isinstance(cell, Cell) and cell.limits.item_bytes is not None:
            # The caller may still own the bundle.
            data = message["content"]["data"] = dict(data)
            omitted = limit_bundle(data, cell.limits.item_bytes, self.session.pack)
            if omitted:
                message["metadata"]["omitted"] = omitted
        return message


class DisplayHook(_LimitedSender, displayhook.ZMQShellDisplayHook):
    """Sends the value of a cell."""


class DisplayPublisher(_LimitedSender, zmqshell.ZMQDisplayPublisher):
    """Sends what a cell displays."""


class ZMQInteractiveShell(zmqshell.ZMQInteractiveShell):
    """ipykernel's shell with interrupts of our own; libraries look for a notebook by the name of this class."""

    displayhook_class = Type(DisplayHook)
    display_pub_class = Type(DisplayPublisher)
    keepkernel_on_exit: bool | None

    @property
    def interrupts(self) -> Interrupts:
        """Return the kernel's interrupt handling."""
        interrupts: Interrupts = self.kernel.interrupts
        return interrupts

    def init_instance_attrs(self) -> None:
        """Count leading blank lines, so that errors name the lines that the user sees."""
        super().init_instance_attrs()
        transforms = self.input_transformer_manager.cleanup_transforms
        transforms[transforms.index(leading_empty_lines)] = _blank_lines_before_marks

    def ask_exit(self) -> None:
        """Tell the frontend that the user wants to leave; the kernel stays."""
        self.keepkernel_on_exit = True
        super().ask_exit()

    def _tee(self, channel: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """Do without IPython's copy of everything that is printed, which would stay in memory for good."""
        return nullcontext()

    async def run_code(self, code_obj: Any, result: Any = None, *, async_: bool = False) -> bool:
        """Run a statement; an interrupt that came before it stops it, one while it awaits cancels it."""
        self.interrupts.raise_early()
        if not async_:
            return await self._run_code(code_obj, result, async_=False)
        task = asyncio.current_task()
        with self.interrupts.awaiting(task):
            failed = await self._run_code(code_obj, result, async_=True)
        if task is not None and self.interrupts.cancelled:
            task.uncancel()
        return failed

    async def _run_code(self, code_obj: Any, result: Any, *, async_: bool) -> bool:
        failed = await super().run_code(code_obj, result, async_=async_)
        if self.interrupts.cancelled and result is not None:
            result.error_in_exec = _interrupt_for(result.error_in_exec)
        return bool(failed)

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        """Report an error; the cancellation by which an awaiting cell was interrupted is a KeyboardInterrupt."""
        self.interrupts.reported = True
        error = exc_tuple[1] if exc_tuple else sys.exc_info()[1]
        if self.interrupts.cancelled:
            error = _interrupt_for(error)
        if isinstance(error, KeyboardInterrupt):
            without_kernel_frames(error.__traceback__)
            exc_tuple = (type(error), error, error.__traceback__)
        super().showtraceback(exc_tuple, *args, **kwargs)


def _blank_lines_before_marks(lines: list[str]) -> list[str]:
    """Drop leading blank lines only where IPython looks for a mark in the first line: a cell magic, a pasted prompt."""
    kept = leading_empty_lines(lines)
    marked = bool(kept) and kept[0].lstrip().startswith(("%%", ">>>", "In ["))
    return list(kept) if marked else lines


def _interrupt_for(error: BaseException | None) -> BaseException | None:
    if not isinstance(error, asyncio.CancelledError):
        return error
    return KeyboardInterrupt().with_traceback(error.__traceback__)


RUNNERS = frozenset(
    function.__code__
    for function in (ZMQInteractiveShell.run_code, ZMQInteractiveShell._run_code, InteractiveShell.run_code)
)
ZMQInteractiveShell.__module__ = zmqshell.ZMQInteractiveShell.__module__

# IPython's advice after sys.exit() is for terminals.
warnings.filterwarnings("ignore", message="To exit: use 'exit', 'quit', or Ctrl-D", category=UserWarning)
