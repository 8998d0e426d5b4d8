"""The watchdog: a thread that looks at what contexts take, often while they work and rarely while they rest."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from engine.log import get_logger

_TICK = 0.1  # seconds between two looks at what works
_MOST_SHARE = 0.05  # of one processor, for all looks
_REST = 5.0  # seconds between two looks at what rests
_REST_PAUSE = 1.0  # seconds between two rounds while nothing works
_QUIET_ROUNDS = 20  # after which it rests
_STOP_SECONDS = 2.0


class Watched(Protocol):
    """What is looked at, from the watchdog's thread."""

    def works(self) -> bool:
        """Whether it has worked since the last look."""

    def look(self) -> None:
        """Look at it, for some milliseconds at most."""

    def close(self) -> None:
        """It was removed: let go of what is open."""


class Watchdog:
    """Looks at everything that was added until it is removed. Its thread runs while there is something."""

    def __init__(self, name: str, *, tick: float = _TICK, rest: float = _REST) -> None:
        self._name = name
        self._tick = tick
        self._rest = rest
        self._lock = threading.Lock()
        self._removed: list[Watched] = []
        self._watched: dict[Watched, float] = {}  # and when each was looked at last
        self._thread: threading.Thread | None = None
        self._woken = threading.Event()
        self._rests = False  # nothing works
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Watchdog {self._name}, {len(self._watched)} watched>"

    def add(self, watched: Watched) -> None:
        """Raises RuntimeError where no thread can be started."""
        with self._lock:
            self._watched[watched] = time.monotonic()
            self.wake()
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()
                self._thread = thread

    def remove(self, watched: Watched) -> None:
        """A look at it that has begun may go on for a moment; it is closed after that."""
        with self._lock:
            if self._watched.pop(watched, None) is not None:
                self._removed.append(watched)

    def wake(self) -> None:
        """Something begins to work. Cheap if something worked a moment ago."""
        if self._rests:
            self._rests = False
            self._woken.set()

    def close(self) -> None:
        """End the thread. May be called again."""
        self._is_closed = True
        self._woken.set()
        thread = self._thread
        if thread is not None:
            thread.join(_STOP_SECONDS)
            if not thread.is_alive():
                self._close_removed()

    def _run(self) -> None:
        pause, quiet = self._tick, 0
        while not self._is_closed:
            self._woken.wait(pause)
            self._woken.clear()
            began = time.thread_time()
            quiet = 0 if self.round(time.monotonic()) else quiet + 1
            pause = max(self._tick, (time.thread_time() - began) / _MOST_SHARE)
            self._rests = quiet > _QUIET_ROUNDS
            if self._rests:
                pause = max(pause, _REST_PAUSE)

    def _close_removed(self) -> None:
        with self._lock:
            removed, self._removed = self._removed, []
        for watched in removed:
            watched.close()

    def round(self, now: float) -> bool:
        """Look at all that is due. Returns whether something works."""
        any_works = False
        self._close_removed()
        with self._lock:
            waiting = list(self._watched.items())
        for watched, looked in waiting:
            works = watched.works()
            any_works = any_works or works
            if not works and now - looked < self._rest:
                continue
            try:
                watched.look()
            except Exception:
                get_logger().exception("limits_not_watched", watched=repr(watched))
            with self._lock:
                if watched in self._watched:
                    self._watched[watched] = now
        return any_works
