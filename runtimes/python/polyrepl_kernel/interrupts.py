"""SIGINT: one handler for the life of the process, which only ever stops user code."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import get_ident
from types import CodeType, FrameType, TracebackType
from typing import Any, NoReturn

from .helper import Helper

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_RETRY_SECONDS = 0.005
_LONGEST_RETRY = 0.1
_TURN_SECONDS = 0.1  # a loop that does not come round for so long is held up by a task that never awaits


class Interrupts:
    """Decides what a SIGINT does: raise in user code, cancel an awaiting cell, wait for the cell to begin, or nothing.

    Code of this package is never torn apart: an interrupt that meets it is raised when it returns (`settle`), or repeated."""

    def __init__(self, helper: Helper) -> None:
        self._helper = helper
        self._main_thread = threading.main_thread().ident
        self._user_globals: dict[str, Any] | None = None
        self._runners: set[CodeType] = set()
        self._waiting: set[CodeType] = set()
        self._hooks: set[CodeType] = set()
        self._whole: set[CodeType] = set()
        self._has_begun = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_idle: Callable[[], None] | None = None
        self._in_cell = False
        self._early = False
        self._task: asyncio.Task[Any] | None = None
        self._cancels = False  # the loop has been asked to cancel the task, and has not done so yet
        self._turns = self._forces = False
        self._cells = 0
        self._shields = 0
        self._received: socket.socket
        self.deferred = False
        self.raised = 0  # how often, in all
        self.idle = False
        self.cancelled = False
        self.reported = False

    def install(self) -> None:
        """Make this the handler of SIGINT."""
        signal.signal(signal.SIGINT, self._on_signal)

    def prepare(self) -> None:
        """Repeat interrupts that come where Python ignores exceptions: in finalizers, and around a fork."""
        os.register_at_fork(before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._in_child)
        report = sys.unraisablehook

        def unraisablehook(unraisable: sys.UnraisableHookArgs, /) -> None:
            if isinstance(unraisable.exc_value, KeyboardInterrupt):
                self._defer()
            else:
                report(unraisable)

        sys.unraisablehook = unraisablehook

    def runs_user_code(self, *functions: Any) -> None:
        """Name functions that run user code; an interrupt stops what they call."""
        self._runners.update(function.__code__ for function in functions)

    def runs_hooks(self, *functions: Any) -> None:
        """Name functions that run what is to follow a cell, and pass their errors over; before the cell they are not interrupted."""
        self._hooks.update(function.__code__ for function in functions)

    def never_tears(self, *functions: Any) -> None:
        """Name functions that an interrupt waits for, as for code of this package: what they have made would be lost."""
        self._whole.update(function.__code__ for function in functions)

    def may_stop(self, *functions: Any) -> None:
        """Name functions of this package that an interrupt stops like user code, because they wait."""
        self._waiting.update(function.__code__ for function in functions)

    def attach(self, loop: asyncio.AbstractEventLoop, on_idle: Callable[[], None] | None) -> tuple[int, int]:
        """Become the handler of SIGINT in this process; returns the descriptors used.

        `on_idle` is called in the loop after an interrupt that found no cell: it settles whom that was meant for. None: for nobody."""
        self._loop, self._on_idle = loop, on_idle
        self._turns = self._forces = False
        self._received, written = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._received.setblocking(False)
        written.setblocking(False)
        fds = self._received.fileno(), written.detach()
        signal.set_wakeup_fd(fds[1], warn_on_full_buffer=False)
        self._helper.add_reader(fds[0], self._on_received)
        self.install()
        return fds

    def release(self) -> None:
        """Close the reading end of what `attach` opened: in a fork, before it attaches to descriptors of its own."""
        self._received.close()

    def _on_received(self) -> None:
        """A signal has arrived. Python handles it between two instructions of the main thread, which may just have begun to
        wait: a signal that came right before that does not end the wait. So it is repeated until it has been handled."""
        self._helper.remove(self._received.fileno())
        self._helper.call_later(_RETRY_SECONDS, functools.partial(self._insist, _RETRY_SECONDS))

    def _insist(self, waited: float) -> None:
        try:
            arrived = self._received.recv(4096, socket.MSG_PEEK)
        except BlockingIOError:
            arrived = b""
        if signal.SIGINT in arrived:
            os.kill(os.getpid(), signal.SIGINT)
            later = min(2 * waited, _LONGEST_RETRY)
            self._helper.call_later(later, functools.partial(self._insist, later))
            return
        if arrived:  # other signals, whose handlers the user has set
            self._received.recv(len(arrived))
        self._helper.add_reader(self._received.fileno(), self._on_received)

    def begin_cell(self, user_globals: dict[str, Any], *, forget_earlier: bool) -> None:
        """Say that interrupts are meant for a new cell from now on; `forget_earlier`: none of the earlier ones was."""
        if signal.getsignal(signal.SIGINT) != self._on_signal:
            self.install()  # an earlier cell had replaced it
        self._user_globals = user_globals
        self._early = self.idle and not forget_earlier
        self._has_begun = False
        self.idle = self.deferred = self.cancelled = self.reported = False
        self._task, self._cancels = None, False
        self._cells += 1
        self._in_cell = True

    def end_cell(self) -> None:
        """Say that there is nothing to interrupt any more."""
        self._in_cell = self._early = self.deferred = self._cancels = False

    @contextmanager
    def awaiting(self, task: asyncio.Task[Any] | None) -> Iterator[None]:
        """Mark the time in which user code may be suspended in a task."""
        self._task = task
        try:
            yield
        finally:
            self._task, self._cancels = None, False

    def raise_early(self) -> None:
        """Raise the interrupt that came between the start of the cell and that of its code."""
        self._has_begun = True
        if self._early:
            self._early = False
            raise KeyboardInterrupt

    def settle(self) -> None:
        """Raise the interrupt that met code of this package; to be called where `deferred` is set and nothing is torn."""
        if self.deferred and get_ident() == self._main_thread and not self._shields:
            frame: FrameType | None = sys._getframe(1)
            while frame is not None and frame.f_code not in self._runners:
                if self._must_end(frame):
                    return
                frame = frame.f_back
            self._raise()

    def _raise(self) -> NoReturn:
        self.deferred = False
        self.raised += 1
        self._cancel_soon()
        raise KeyboardInterrupt

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        with suppress(OSError):
            self._received.recv(4096)  # so that it is known to be handled
        found = self._find(frame)
        if found is not None:
            if not found or self._shields:
                self._defer()
                return
            self._raise()
        if self._cancel_soon():
            return
        if self._in_cell:
            self._early = True
        elif self._loop is not None:
            self._settle_in_loop(self._loop, frame)

    def _settle_in_loop(self, loop: asyncio.AbstractEventLoop, frame: FrameType | None) -> None:
        """An interrupt has found no cell. What a cell has left behind goes on, unless it keeps the loop from all else."""
        if self._on_idle is not None:
            self.idle = True
            loop.call_soon_threadsafe(self._on_idle)
        if self._forces:
            self._forces = False
            if self._is_left_behind(frame):
                self.raised += 1
                raise KeyboardInterrupt
        if not self._turns:
            self._turns = True
            loop.call_soon_threadsafe(self._note_turn)
            self._helper.call_later(_TURN_SECONDS, self._force)

    def _note_turn(self) -> None:
        self._turns = False

    def _force(self) -> None:
        if self._turns and not self._in_cell:
            self._turns, self._forces = False, True
            os.kill(os.getpid(), signal.SIGINT)

    def _is_left_behind(self, frame: FrameType | None) -> bool:
        """Whether user code runs that no cell waits for, and nothing of this package inside it."""
        while frame is not None and not frame.f_code.co_filename.startswith(_PACKAGE):
            if frame.f_globals is self._user_globals:
                return True
            frame = frame.f_back
        return False

    def _find(self, frame: FrameType | None) -> bool | None:
        """Whether an exception raised in this frame reaches user code, or the shell that reports its errors.

        None: it would not; False: it would, but be lost on the way, or tear apart code of this package."""
        seen = False
        own = False
        torn = False
        while frame is not None:
            code = frame.f_code
            if code in self._runners or (code in self._hooks and self._has_begun):
                # Around the user's own frames the runner prepares them, or the kernel reports their error.
                return not own if seen or not self.reported else None
            if code.co_filename.startswith(_PACKAGE):
                own = own or code not in self._waiting
            own = own or self._must_end(frame)
            if frame.f_globals is self._user_globals:
                seen, torn = True, own  # code of this package farther out only runs the loop
            frame = frame.f_back
        # A task that the awaiting cell has started.
        return not torn if seen and self._task is not None else None

    def _must_end(self, frame: FrameType) -> bool:
        """Whether this is not to be torn apart, or a library's finalizer, which may pass over every exception."""
        is_foreign_finalizer = frame.f_code.co_name == "__del__" and frame.f_globals is not self._user_globals
        return is_foreign_finalizer or frame.f_code in self._whole

    def _before_fork(self) -> None:
        # What other modules do around a fork, such as taking locks, must not be torn apart either.
        if get_ident() == self._main_thread:
            self._shields += 1

    def _after_fork(self) -> None:
        if get_ident() == self._main_thread:
            self._shields -= 1

    def _in_child(self) -> None:
        signal.set_wakeup_fd(-1)
        self._main_thread = get_ident()
        self._shields = 0
        self.deferred = False

    def _defer(self) -> None:
        """Raise it at the next place that allows it, or a moment later wherever that is."""
        self.deferred = True
        self._helper.call_later(_RETRY_SECONDS, functools.partial(self._repeat, self._cells))

    def _repeat(self, cell: int) -> None:
        if (self.deferred or self._cancels) and self._in_cell and cell == self._cells:
            os.kill(os.getpid(), signal.SIGINT)

    def _cancel_soon(self) -> bool:
        """Have the loop cancel the task of an awaiting cell; False: none awaits. Where the loop does not come to it, because a
        task that the cell has started never awaits, the interrupt is repeated, and stops that one."""
        if self._task is None or self._loop is None:
            return False
        if not self._cancels:
            self._cancels = True
            self._loop.call_soon_threadsafe(self._cancel, self._task)
        self._helper.call_later(_RETRY_SECONDS, functools.partial(self._repeat, self._cells))
        return True

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        if task is self._task:
            self._cancels = False
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
