"""SIGINT: one handler for the life of the process, which only ever stops user code."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import get_ident
from types import FrameType, TracebackType
from typing import Any, NoReturn

from .helper import Helper
from .places import PACKAGE, Places

# A cell may mock these, and gets others of the signal module (`signals`).
_kill, _getpid = os.kill, os.getpid
_set_handler, _get_handler = signal.signal, signal.getsignal
_WAKE = signal.SIGURG  # ends a wait, and means nothing to programs that are started
_RETRY_SECONDS = 0.005
_LONGEST_RETRY = 0.1
_TURN_SECONDS = 0.1  # a loop that does not come round for so long is held up by a task that never awaits


class Interrupts:
    """Decides what a SIGINT does: raise in user code, cancel an awaiting cell, wait for the cell to begin, or nothing.

    Code of this package is never torn apart: an interrupt that meets it is raised when it returns (`settle`), or repeated."""

    def __init__(self, helper: Helper) -> None:
        self._helper = helper
        self._main_thread = threading.main_thread().ident
        self.places = Places()
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
        self.raised = self._raised_before = 0  # how often, in all and before this cell
        self.idle = False
        self.cancelled = False
        self.cause: BaseException | None = None  # of the cancellation, unless it was an interrupt
        self.reported = False

    def install(self) -> None:
        """Make this the handler of SIGINT."""
        _set_handler(signal.SIGINT, self._on_signal)
        _set_handler(_WAKE, end_wait)

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
        wait: a signal that came right before that does not end the wait. So another one ends it, until the first has been handled.
        The same one again could call a handler of the user twice."""
        self._helper.remove(self._received.fileno())
        self._helper.call_later(_RETRY_SECONDS, functools.partial(self._insist, _RETRY_SECONDS))

    def _insist(self, waited: float) -> None:
        try:
            arrived = self._received.recv(4096, socket.MSG_PEEK)
        except BlockingIOError:
            arrived = b""
        if signal.SIGINT in arrived:
            _kill(_getpid(), _WAKE)
            later = min(2 * waited, _LONGEST_RETRY)
            self._helper.call_later(later, functools.partial(self._insist, later))
            return
        if arrived:  # other signals, whose handlers the user has set
            self._received.recv(len(arrived))
        self._helper.add_reader(self._received.fileno(), self._on_received)

    def begin_cell(self, user_globals: dict[str, Any], *, forget_earlier: bool) -> None:
        """Say that interrupts are meant for a new cell from now on; `forget_earlier`: none of the earlier ones was."""
        if _get_handler(signal.SIGINT) != self._on_signal:
            self.install()  # an earlier cell had replaced it
        self.places.user_globals = user_globals
        self._early = self.idle and not forget_earlier
        self.places.has_begun = False
        self.idle = self.deferred = self.cancelled = self.reported = False
        self._task, self._cancels, self.cause = None, False, None
        self._raised_before = self.raised
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
        self.places.has_begun = True
        if self._early:
            self._early = False
            raise KeyboardInterrupt

    def settle(self) -> None:
        """Raise the interrupt that met code of this package; to be called where `deferred` is set and nothing is torn."""
        may_raise = self.deferred and get_ident() == self._main_thread and not self._shields
        if may_raise and not self.places.are_kept_whole(sys._getframe(1)):
            self._raise()

    def _raise(self) -> NoReturn:
        self.deferred = False
        self.raised += 1
        self._cancel_soon()
        raise KeyboardInterrupt

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self.note_handled()
        place = self.place_of(frame)
        if place is False:
            self._defer()
            return
        if place:
            self._raise()
        if self._cancel_soon():
            return
        if self._in_cell:
            self._early = True
        elif self._loop is not None:
            self._settle_in_loop(self._loop, frame)

    @property
    def has_raised(self) -> bool:
        """Whether an interrupt was raised in this cell."""
        return self.raised != self._raised_before

    @property
    def handler(self) -> Callable[[int, FrameType | None], None]:
        """What handles SIGINT unless a cell replaces it."""
        return self._on_signal

    def note_handled(self) -> None:
        """A handler of SIGINT runs: the signal need not be repeated."""
        with suppress(OSError):
            self._received.recv(4096)

    def place_of(self, frame: FrameType | None) -> bool | None:
        """Whether an exception may be raised in this frame (`Places.find`). False: not now; None: it would not reach user code."""
        found = self.places.find(frame, is_reported=self.reported, has_task=self._task is not None)
        return False if found and self._shields else found

    def fail(self, error: BaseException) -> None:
        """Deal with what a handler or a callback of user code has raised where none of its code runs: an awaiting cell fails with it."""
        if self._task is not None and self._loop is not None:
            self.cause = error
            self._loop.call_soon_threadsafe(self._cancel, self._task)
        elif not isinstance(error, (KeyboardInterrupt, SystemExit)):
            traceback.print_exception(error)

    def _settle_in_loop(self, loop: asyncio.AbstractEventLoop, frame: FrameType | None) -> None:
        """An interrupt has found no cell. What a cell has left behind goes on, unless it keeps the loop from all else."""
        if self._on_idle is not None:
            self.idle = True
            loop.call_soon_threadsafe(self._on_idle)
        if self._forces:
            self._forces = False
            if self.places.is_left_behind(frame):
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
            _kill(_getpid(), signal.SIGINT)

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
            _kill(_getpid(), signal.SIGINT)

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


def end_wait(number: int, frame: FrameType | None) -> None:
    """Handle a signal that only ends a wait."""


def without_kernel_frames(frames: TracebackType | None) -> None:
    """Cut the frames at the end of a traceback that belong to this package: the user's code ends above them."""
    last_foreign = None
    while frames is not None:
        if not frames.tb_frame.f_code.co_filename.startswith(PACKAGE):
            last_foreign = frames
        frames = frames.tb_next
    if last_foreign is not None:
        last_foreign.tb_next = None
