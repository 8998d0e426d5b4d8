"""stdout and stderr: what Python writes, and what child processes and C code write to the file descriptors."""

from __future__ import annotations

import codecs
import fcntl
import io
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from .cells import Cell, Cells
from .helper import Helper
from .interrupts import Interrupts
from .limits import StreamBuffer, messages_of

# Of the widest characters this many fill one message.
_SEND_AT_ONCE = 1 << 18
_PIPE_BYTES = 1 << 20
_FIRST_FLUSH, _NEXT_FLUSH = 0.01, 0.05
_DRAIN_SECONDS = 0.25
_STARTS_A_CHILD = frozenset({"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "pty.spawn", "subprocess.Popen"})

SendStream = Callable[..., None]


class Capture:
    """A pipe that stands where a standard file descriptor was; this process reads it."""

    def __init__(self, descriptor: int, reader: int) -> None:
        self.descriptor = descriptor
        self.reader = reader
        os.set_blocking(reader, False)
        # Room for C code that writes much without letting the reading thread run; the user's quota may forbid it.
        with suppress(OSError):
            fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @classmethod
    def of(cls, descriptor: int) -> Capture:
        """Put a new pipe in the place of `descriptor`."""
        reader, writer = os.pipe()
        os.dup2(writer, descriptor)
        os.close(writer)
        return cls(descriptor, reader)

    def read(self) -> str | None:
        """Return the next piece of what was written, or None when there is nothing more at the moment."""
        try:
            data = os.read(self.reader, _PIPE_BYTES)
        except OSError:
            return None
        return self._decoder.decode(data) if data else None


class OutStream(io.TextIOBase):
    """A standard stream that collects text by cell and sends it from whichever thread flushes."""

    encoding = "UTF-8"
    errors = "strict"
    mode = "w"

    def __init__(self, name: str, cells: Cells, helper: Helper, interrupts: Interrupts, send: SendStream) -> None:
        self.name = name
        self._cells = cells
        self._helper = helper
        self._interrupts = interrupts
        self._send_message = send
        self._lock = threading.RLock()
        self._unsent: dict[int, Cell] = {}
        self._overdrawn: dict[int, Cell] = {}
        self._timer_runs = False
        self._forked = False
        self._children = False
        self._capture: Capture | None = None
        os.register_at_fork(after_in_child=self._after_fork)

    def attach(self, capture: Capture) -> None:
        """Take over what is written to a file descriptor."""
        self._capture = capture
        self._forked = False
        self._timer_runs = False
        self._helper.add_reader(capture.reader, self._on_captured)

    @property
    def lock(self) -> threading.RLock:
        """Held while text is sent."""
        return self._lock

    def fileno(self) -> int:
        """Return the captured descriptor, so that a child that is given this stream is captured as well."""
        return {"stdout": 1, "stderr": 2}[self.name]

    def isatty(self) -> bool:
        """Return False: there is no terminal."""
        return False

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, string: str) -> int:
        """Add text to the output of the calling cell, task or thread."""
        if not isinstance(string, str):
            msg = f"write() argument must be str, not {type(string)}"  # type: ignore[unreachable]
            raise TypeError(msg)
        if self._forked:
            return self._write_to_parent(string)
        if self._children:
            self.drain()
        if string:
            self._add(string, self._cells.current())
        if self._interrupts.deferred:
            self._interrupts.settle()
        return len(string)

    def flush(self) -> None:
        """Send what was written so far."""
        if self._children:
            self.drain()
        if self._unsent and not self._forked:
            with self._lock:
                for cell in list(self._unsent.values()):
                    self._send_waiting(cell)
        if self._interrupts.deferred:
            self._interrupts.settle()

    def drain(self) -> None:
        """Take over everything that waits in the pipe; a child that never stops writing is given a deadline."""
        if self._forked or self._capture is None:
            return
        with self._lock:  # the helper thread may hold a piece that it has not added yet
            text = self._capture.read()
            if text is None:
                return
            deadline = time.monotonic() + _DRAIN_SECONDS
            while text is not None:
                self._add(text, self._cells.latest)
                text = self._capture.read() if time.monotonic() < deadline else None

    def child_starts(self) -> None:
        """Send what was written before a child can write; until the cell ends keep the order with its output."""
        if not self._forked:
            self.flush()
            self._children = True

    def finish(self, cell: Cell) -> None:
        """Send all that a cell still has to say, the end of limited output included, and what earlier ones have said meanwhile."""
        self.drain()
        self._children = False
        cell.ended = True
        if self.name not in cell.buffers and not self._overdrawn and not self._unsent:
            return
        with self._lock:
            for each in list(self._unsent.values()):
                self._send_waiting(each, hold=True)
            for ended in [cell, *self._overdrawn.values()]:
                self._send_waiting(ended, hold=True)
                self._send_tail(ended)
            self._overdrawn.clear()

    def _add(self, text: str, cell: Cell) -> None:
        """The path of every write: no lock, and nothing that can be done once for many."""
        buffer = cell.buffers.get(self.name) or cell.buffer(self.name)
        buffer.fresh.append(text)
        buffer.fresh_length += len(text)
        if buffer.fresh_length >= _SEND_AT_ONCE:
            with self._lock:
                self._send_waiting(cell)
        elif not buffer.is_noted:
            self._note_unsent(cell, buffer)

    def _note_unsent(self, cell: Cell, buffer: StreamBuffer) -> None:
        with self._lock:
            buffer.is_noted = True
            self._unsent[id(cell)] = cell
            if not self._timer_runs:
                self._timer_runs = True
                self._helper.call_later(_FIRST_FLUSH, self._on_timer)

    def _send_waiting(self, cell: Cell, *, hold: bool = False) -> None:
        self._unsent.pop(id(cell), None)
        buffer = cell.buffers.get(self.name)
        if buffer is None:
            return
        buffer.is_noted = False  # before a look at what is fresh: what is written after that is noted again
        for text in messages_of(buffer.take()):
            self._send_message(cell, self.name, text, hold=hold)
        if cell.ended and buffer.holds_back:
            self._overdrawn[id(cell)] = cell

    def _send_tail(self, cell: Cell) -> None:
        if self.name not in cell.buffers:
            return
        tail, omitted = cell.buffers[self.name].finish()
        metadata = {"omitted_bytes": omitted} if omitted else None
        for text in list(messages_of(tail)) or [""] * bool(omitted):
            self._send_message(cell, self.name, text, metadata, hold=True)
            metadata = None

    def _on_timer(self) -> None:
        with self._lock:
            self._timer_runs = bool(self._unsent)
        if self._timer_runs:
            self._helper.call_later(_NEXT_FLUSH, self._on_timer)
            self.flush()

    def _on_captured(self) -> None:
        """Leave it in the pipe until it can be sent: there it survives a crash of this process, and the server finds it."""
        assert self._capture is not None
        self._helper.remove(self._capture.reader)
        self._helper.call_later(_FIRST_FLUSH, self._take_captured)

    def _take_captured(self) -> None:
        assert self._capture is not None
        self.drain()
        self.flush()
        self._helper.add_reader(self._capture.reader, self._on_captured)

    def _after_fork(self) -> None:
        """Let a forked child write to the pipe that its parent reads; what the parent has not sent is the parent's."""
        self._forked = True
        self._lock = threading.RLock()

    def _write_to_parent(self, text: str) -> int:
        data = text.encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(self.fileno(), data) :]
        return len(text)


# Libraries such as click recognise a kernel's streams by the module of their class.
OutStream.__module__ = "ipykernel.iostream"


class Listener(Protocol):
    """Who has to know of child processes."""

    def child_starts(self) -> None:
        """This process is about to start another one."""


def announce_children(*listeners: Listener) -> None:
    """Tell the listeners whenever this process is about to start another one."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in _STARTS_A_CHILD:
            # A hook that raises would forbid the child.
            with suppress(Exception):
                for listener in listeners:
                    listener.child_starts()

    sys.addaudithook(hook)
