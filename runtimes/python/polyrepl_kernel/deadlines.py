"""Calls of what may be user code, with a deadline and in silence, outside of any cell."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from threading import get_ident
from types import FrameType
from typing import Any, TypeVar

from . import clock

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
# Of this package only these may be left at any point; all else, such as a message on its way, must not be torn apart.
_LEAVABLE = {_PACKAGE + name for name in ("deadlines.py", "fingerprints.py", "previews.py", "requests.py")}
_set_handler, _get_handler = signal.signal, signal.getsignal  # cells get others (`signals`)
_AGAIN = 0.01  # seconds after which a call that caught `Expired` gets the next one

Value = TypeVar("Value")


class Expired(BaseException):
    """The time of a call is up. No Exception, so that few callers catch it."""


class Deadlines:
    """Runs calls with a time limit for each subject, between two `next_subject`, and one for all; use it as a context.

    The means is the alarm of the process, SIGALRM by ITIMER_REAL. A user's handler and timer are put back at the end. An alarm
    raises only inside a call made here. What the calls write to sys.stdout and sys.stderr is dropped."""

    def __init__(self, *, each: float, total: float) -> None:
        self._each = each
        self._left = total
        self._left_for_subject = each
        self._is_armed = False
        self._handler: Any = None
        self._timer = (0.0, 0.0)
        self._armed_at = 0.0
        self._streams: tuple[Any, Any] = (None, None)

    def __enter__(self) -> Deadlines:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if not self._is_armed:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        _set_handler(signal.SIGALRM, self._handler)
        sys.stdout, sys.stderr = self._streams
        value, interval = self._timer
        if value:
            left = value - (clock.monotonic() - self._armed_at)
            signal.setitimer(signal.ITIMER_REAL, max(left, 1e-6), interval)

    def next_subject(self) -> None:
        """Give the calls that follow the time of a new subject."""
        self._left_for_subject = self._each

    def call(self, function: Callable[..., Value], *args: Any) -> Value:
        """Call a function. Raises Expired when its time is up, or was before; calls cannot be nested."""
        limit = min(self._left_for_subject, self._left)
        if limit <= 0 or not (self._is_armed or self._arm()):
            raise Expired
        if _get_handler(signal.SIGALRM) != self._on_alarm:
            _set_handler(signal.SIGALRM, self._on_alarm)  # an earlier call had replaced it
        started = clock.monotonic()
        signal.setitimer(signal.ITIMER_REAL, limit, _AGAIN)
        try:
            return _guarded(function, args)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            spent = clock.monotonic() - started
            self._left -= spent
            self._left_for_subject -= spent

    def _arm(self) -> bool:
        """Take the alarm over; False where that is impossible: in another thread, or when C code handles it."""
        if threading.main_thread().ident != get_ident() or _get_handler(signal.SIGALRM) is None:
            return False
        self._armed_at = clock.monotonic()
        self._timer = signal.setitimer(signal.ITIMER_REAL, 0)
        self._handler = _set_handler(signal.SIGALRM, self._on_alarm)
        self._streams = (sys.stdout, sys.stderr)
        sys.stdout, sys.stderr = (stream and _Silenced(stream) for stream in self._streams)
        self._is_armed = True
        return True

    def _on_alarm(self, signum: int, frame: FrameType | None) -> None:
        while frame is not None:
            code = frame.f_code
            if code is _guarded.__code__:
                raise Expired
            if code.co_filename.startswith(_PACKAGE) and code.co_filename not in _LEAVABLE:
                return  # the alarm comes again
            frame = frame.f_back


def _guarded(function: Callable[..., Value], args: tuple[Any, ...]) -> Value:
    """The frame that an alarm looks for: it raises in what this calls and nowhere else."""
    return function(*args)


class _Silenced:
    """Stands in for a stream: what the calling thread writes is dropped, what other threads write passes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._thread = get_ident()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> Any:
        return len(text) if get_ident() == self._thread else self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)
