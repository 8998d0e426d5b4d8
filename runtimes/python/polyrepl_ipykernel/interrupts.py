"""SIGINT: one handler for the life of the process, which only ever stops user code."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from types import CodeType, FrameType, TracebackType
from typing import Any

from tornado.ioloop import IOLoop

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_RETRY_SECONDS = 0.005


class Interrupts:
    """Decides what a SIGINT does: raise in user code, cancel an awaiting cell, wait for the cell to begin, or nothing."""

    def __init__(self) -> None:
        self._main_thread = threading.main_thread().ident
        self._user_globals: dict[str, Any] | None = None
        self._runners: frozenset[CodeType] = frozenset()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._in_cell = False
        self._early = False
        self._task: asyncio.Task[Any] | None = None
        self._helper: IOLoop | None = None
        self._cells = 0
        self._shields = 0
        self._deferred = False
        self.cancelled = False
        self.reported = False

    def install(self) -> None:
        """Make this the handler of SIGINT."""
        signal.signal(signal.SIGINT, self._on_signal)

    def retry_with(self, helper: IOLoop) -> None:
        """Use the loop of another thread to repeat interrupts that came where Python ignores exceptions."""
        self._helper = helper
        os.register_at_fork(before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._in_child)
        report = sys.unraisablehook

        def unraisablehook(unraisable: sys.UnraisableHookArgs, /) -> None:
            if isinstance(unraisable.exc_value, KeyboardInterrupt):
                self._retry()
            else:
                report(unraisable)

        sys.unraisablehook = unraisablehook

    def watch(self, runners: frozenset[CodeType]) -> None:
        """Name the functions that run user code."""
        self._runners = runners

    def wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let a signal wake the loop, also when another thread of the process received it."""
        self._loop = loop
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        loop.add_reader(reader, reader.recv, 4096)
        signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)

    def begin_cell(self, user_globals: dict[str, Any]) -> None:
        """Say that interrupts are meant for a new cell from now on."""
        if signal.getsignal(signal.SIGINT) != self._on_signal:
            self.install()  # an earlier cell had replaced it
        self._user_globals = user_globals
        self._early = self._deferred = self.cancelled = self.reported = False
        self._task = None
        self._cells += 1
        self._in_cell = True

    def end_cell(self) -> None:
        """Say that there is nothing to interrupt any more."""
        self._in_cell = self._early = self._deferred = False

    @contextmanager
    def awaiting(self, task: asyncio.Task[Any] | None) -> Iterator[None]:
        """Mark the time in which user code may be suspended in a task."""
        self._task = task
        try:
            yield
        finally:
            self._task = None

    def raise_early(self) -> None:
        """Raise the interrupt that came between the start of the cell and that of its code."""
        if self._early:
            self._early = False
            raise KeyboardInterrupt

    def __enter__(self) -> None:
        """Begin a section of the main thread that must not be torn apart, such as a message on its way."""
        if get_ident() == self._main_thread:
            self._shields += 1

    def __exit__(self, *exc_info: object) -> None:
        """End the section and raise what came during it."""
        if get_ident() == self._main_thread:
            self._shields -= 1
            if self._deferred and not self._shields:
                self._deferred = False
                raise KeyboardInterrupt

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._user_code_runs(frame):
            if not self._shields:
                raise KeyboardInterrupt
            self._deferred = True
        elif self._task is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, self._task)
        elif self._in_cell:
            self._early = True

    def _user_code_runs(self, frame: FrameType | None) -> bool:
        """Say whether an exception raised in this frame reaches user code, or the shell that reports its errors."""
        seen = False
        while frame is not None:
            if frame.f_code in self._runners:
                # Around the user's own frames the runner prepares them, or the kernel reports their error.
                return seen or not self.reported
            seen = seen or frame.f_globals is self._user_globals
            frame = frame.f_back
        # A task that the awaiting cell has started.
        return seen and self._task is not None

    def _before_fork(self) -> None:
        # What other modules do around a fork, such as taking locks, must not be torn apart either.
        if get_ident() == self._main_thread:
            self._shields += 1

    def _after_fork(self) -> None:
        if get_ident() == self._main_thread:
            self._shields -= 1
            if self._deferred:
                self._deferred = False
                self._retry()

    def _in_child(self) -> None:
        self._main_thread = get_ident()
        self._shields = 0
        self._deferred = False

    def _retry(self) -> None:
        if self._helper is not None:
            self._helper.add_callback(self._helper.call_later, _RETRY_SECONDS, self._repeat, self._cells)

    def _repeat(self, cell: int) -> None:
        if self._in_cell and cell == self._cells:
            os.kill(os.getpid(), signal.SIGINT)

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        if task is self._task:
            self.cancelled = True
            task.cancel()


def without_kernel_frames(traceback: TracebackType | None) -> None:
    """Cut the frames at the end of a traceback that belong to this package: the user's code ends above them."""
    last_foreign = None
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(_PACKAGE):
            last_foreign = traceback
        traceback = traceback.tb_next
    if last_foreign is not None:
        last_foreign.tb_next = None
