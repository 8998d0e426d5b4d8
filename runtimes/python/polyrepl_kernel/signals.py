"""Handlers that cells set for signals: they run once for each signal, and what they raise reaches user code or is reported."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from .helper import Helper
from .interrupts import Interrupts, end_wait

_AGAIN_SECONDS = 0.005
_kill = os.kill  # a cell may mock it


class Handler:
    """Stands where a cell's handler would. Code of this package is not torn apart by what that raises: the signal comes again."""

    def __init__(self, function: Callable[..., Any], interrupts: Interrupts, helper: Helper) -> None:
        self.function = function
        self._interrupts = interrupts
        self._helper = helper

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Called by Python, in the main thread."""
        if number == signal.SIGINT:
            self._interrupts.note_handled()
        place = self._interrupts.place_of(frame)
        if place is False and self._helper.ident:
            self._helper.call_later(_AGAIN_SECONDS, functools.partial(_kill, os.getpid(), number))
        elif place is None:
            try:
                self.function(number, frame)
            except BaseException as error:
                error.__traceback__ = without_handlers(error.__traceback__)
                self._interrupts.fail(error)
        else:
            self.function(number, frame)


def guard(interrupts: Interrupts, helper: Helper) -> None:
    """Have every handler that is set from now on guarded. Cells see their own."""
    set_handler, get_handler = signal.signal, signal.getsignal

    @functools.wraps(set_handler)
    def set_guarded(signalnum: Any, handler: Any) -> Any:
        if callable(handler) and handler != interrupts.handler:
            handler = Handler(handler, interrupts, helper)
        return _own(set_handler(signalnum, handler))

    @functools.wraps(get_handler)
    def get_own(signalnum: Any) -> Any:
        return _own(get_handler(signalnum))

    signal.signal, signal.getsignal = set_guarded, get_own


def _own(handler: Any) -> Any:
    if handler is end_wait:
        return signal.SIG_DFL
    return handler.function if isinstance(handler, Handler) else handler


def without_handlers(traceback: TracebackType | None) -> TracebackType | None:
    """Leave the frames of this module out: between a cell and its handler there is nothing, as far as it knows."""
    while traceback is not None and traceback.tb_frame.f_code is _CALL:
        traceback = traceback.tb_next
    found = traceback
    while traceback is not None:
        if traceback.tb_next is not None and traceback.tb_next.tb_frame.f_code is _CALL:
            traceback.tb_next = traceback.tb_next.tb_next
        else:
            traceback = traceback.tb_next
    return found


_CALL = Handler.__call__.__code__
