"""The helper thread: what must go on while user code runs. Timers, captured output, and the end of the client."""

from __future__ import annotations

import _thread
import heapq
import itertools
import os
import select
import sys
import threading
import traceback
from collections.abc import Callable

from . import clock
from .reserve import end_without_memory

Callback = Callable[[], None]


class Helper:
    """One thread that polls descriptors and calls back after delays. Made by hand, so that users do not see it among theirs.

    Callbacks run in the helper thread; one that fails is dropped, the thread goes on."""

    def __init__(self) -> None:
        self._poller = select.poll()
        self._readers: dict[int, Callback] = {}
        self._hangups: dict[int, Callback] = {}
        self._timers: list[tuple[float, int, Callback]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._wake = -1
        self.on_shortage: Callback = end_without_memory  # called in the helper thread, after a MemoryError
        self.ident = self.native_id = 0

    @property
    def lock(self) -> threading.Lock:
        """Held while timers change."""
        return self._lock

    def reset(self) -> None:
        """Forget everything, in a process where the thread does not run (yet, or any more after a fork)."""
        if self._wake >= 0:
            os.close(self._wake)
        self.__init__()  # type: ignore[misc]

    def start(self) -> None:
        """Start the thread; what was registered before counts from now on."""
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poller.register(self._wake, select.POLLIN)
        self.ident = _thread.start_new_thread(self._run, ())

    @property
    def fds(self) -> tuple[int, ...]:
        """The descriptors that are the helper's own."""
        return (self._wake,)

    def add_reader(self, fd: int, callback: Callback) -> None:
        """Call back whenever `fd` is readable."""
        self._readers[fd] = callback
        self._poller.register(fd, select.POLLIN)
        self.wake()

    def add_hangup(self, fd: int, callback: Callback) -> None:
        """Call back when the other end of `fd` is closed."""
        self._hangups[fd] = callback
        self._poller.register(fd, 0)
        self.wake()

    def remove(self, fd: int) -> None:
        """Stop watching `fd`."""
        if self._readers.pop(fd, None) or self._hangups.pop(fd, None):
            self._poller.unregister(fd)

    def remove_reader(self, fd: int) -> None:
        """Call back no more when `fd` is readable; its hangup is still watched."""
        if self._readers.pop(fd, None) is None:
            return
        if fd in self._hangups:
            self._poller.register(fd, 0)
        else:
            self._poller.unregister(fd)

    def call_later(self, delay: float, callback: Callback) -> None:
        """Call back once, after `delay` seconds."""
        due = clock.monotonic() + delay
        with self._lock:
            heapq.heappush(self._timers, (due, next(self._numbers), callback))
            is_next = self._timers[0][0] == due
        if is_next:
            self.wake()

    def wake(self) -> None:
        """Let the thread look again at what it waits for."""
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        self.native_id = threading.get_native_id()
        while True:
            try:
                for fd, events in self._poller.poll(self._timeout()):
                    self._handle(fd, events)
                for callback in self._due():
                    if not self._call(callback):
                        self._call(callback)
            except MemoryError:
                self.on_shortage()

    def _timeout(self) -> float | None:
        with self._lock:
            return max(0.0, (self._timers[0][0] - clock.monotonic()) * 1000) if self._timers else None

    def _due(self) -> list[Callback]:
        now = clock.monotonic()
        due = []
        with self._lock:
            while self._timers and self._timers[0][0] <= now:
                due.append(heapq.heappop(self._timers)[2])
        return due

    def _handle(self, fd: int, events: int) -> None:
        if fd == self._wake:
            os.eventfd_read(self._wake)
            return
        reader = self._readers.get(fd)
        if reader is not None and events & (select.POLLIN | select.POLLHUP):
            self._call(reader)
        elif fd in self._hangups and events & (select.POLLHUP | select.POLLERR):
            callback = self._hangups[fd]
            self.remove(fd)
            self._call(callback)
        elif events & (select.POLLNVAL | select.POLLERR):
            self.remove(fd)  # a cell has closed it

    def _call(self, callback: Callback) -> bool:
        """Returns False after a MemoryError: there is room for another try now."""
        try:
            callback()
        except MemoryError:
            self.on_shortage()
            return False
        except Exception:
            traceback.print_exc(file=sys.__stderr__)  # a fault of ours; it shall be seen, and the thread goes on
        return True
