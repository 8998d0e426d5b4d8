"""stdout and stderr: what Python writes, and what child processes and C code write to the file descriptors."""

from __future__ import annotations

import codecs
import fcntl
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from ipykernel import iostream
from jupyter_client.session import Session
from tornado.ioloop import IOLoop

from .cells import Cell, InheritedParent
from .limits import messages_of
from .publisher import Publisher

# Of the widest characters this many fill one message.
_SEND_AT_ONCE = 1 << 18
_PIPE_BYTES = 1 << 20
_FIRST_FLUSH, _NEXT_FLUSH = 0.01, 0.05
_DRAIN_SECONDS = 0.25
_STARTS_A_CHILD = frozenset({"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "pty.spawn", "subprocess.Popen"})


class Capture:
    """A standard file descriptor turned into a pipe that this process reads."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.original = os.dup(descriptor)
        self.reader, writer = os.pipe()
        os.dup2(writer, descriptor)
        os.close(writer)
        os.set_blocking(self.reader, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            # Room for C code that writes much without letting the reading thread run; the user's quota may forbid it.
            with suppress(OSError):
                fcntl.fcntl(self.reader, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> str | None:
        """Return the next piece of what was written, or None when there is nothing more at the moment."""
        try:
            data = os.read(self.reader, _PIPE_BYTES)
        except OSError:
            return None  # empty, or closed at shutdown
        return self._decoder.decode(data) if data else None


class OutStream(InheritedParent, iostream.OutStream):
    """A standard stream that collects text by cell and sends it from whichever thread flushes."""

    pub_thread: Publisher | None

    def __init__(self, session: Session, pub_thread: Publisher, name: str, **kwargs: Any) -> None:
        descriptor = getattr(sys, f"__{name}__").fileno()
        kwargs.pop("echo", None)
        kwargs["watchfd"] = False
        super().__init__(session, pub_thread, name, **kwargs)
        self._interrupts = pub_thread._interrupts
        self._no_cell = Cell({})
        self._unsent: dict[int, Cell] = {}
        self._overdrawn: dict[int, Cell] = {}
        self._timer_runs = False
        self._forked = False
        self._children = False
        self._capture = Capture(descriptor)
        # ipykernel sends its own log to the descriptor of this name.
        self._original_stdstream_copy = self._capture.original
        self._io_loop.add_handler(self._capture.reader, self._on_captured, IOLoop.READ)
        os.register_at_fork(after_in_child=self._after_fork)

    def fileno(self) -> int:
        """Return the captured descriptor, so that a child that is given this stream is captured as well."""
        return self._capture.descriptor

    def write(self, string: str) -> int:
        """Add text to the output of the calling cell, task or thread."""
        if not isinstance(string, str):
            msg = f"write() argument must be str, not {type(string)}"
            raise TypeError(msg)
        if self._forked:
            return self._write_to_parent(string)
        if self.pub_thread is None:
            msg = "I/O operation on closed file"
            raise ValueError(msg)
        if self._children:
            self.drain()
        self._add(string, self.parent_header)
        return len(string)

    def flush(self) -> None:
        """Send what was written so far."""
        if self._children:
            self.drain()
        if self._unsent and not self._forked:
            with self._interrupts, self._buffer_lock:
                for cell in list(self._unsent.values()):
                    self._send_waiting(cell)

    def close(self) -> None:
        """Send the rest and stop capturing."""
        if self.pub_thread is not None:
            self.drain()
            self.flush()
            os.dup2(self._capture.original, self._capture.descriptor)
            self.pub_thread = None

    def drain(self) -> None:
        """Take over everything that waits in the pipe; a child that never stops writing is given a deadline."""
        if self._forked:
            return
        deadline = time.monotonic() + _DRAIN_SECONDS
        with self._interrupts, self._buffer_lock:
            while (text := self._capture.read()) is not None:
                self._add(text, self._parent_header_global)
                if time.monotonic() > deadline:
                    return

    def child_starts(self) -> None:
        """Send what was written before a child can write; until the cell ends keep the order with its output."""
        if not self._forked:
            self.flush()
            self._children = True

    def finish(self, cell: Cell) -> None:
        """Send all that a cell still has to say, the end of limited output included."""
        self.drain()
        self._children = False
        with self._interrupts, self._buffer_lock:
            cell.ended = True
            for ended in [cell, *self._overdrawn.values()]:
                self._send_waiting(ended)
                self._send_tail(ended)
            self._overdrawn.clear()

    def _add(self, text: str, header: dict[str, Any]) -> None:
        cell = header if isinstance(header, Cell) else self._no_cell
        with self._interrupts, self._buffer_lock:
            buffer = cell.buffers.get(self.name) or cell.buffer(self.name)
            buffer.append(text)
            if buffer.waiting >= _SEND_AT_ONCE:
                self._send_waiting(cell)
            elif buffer.waiting and id(cell) not in self._unsent:
                self._unsent[id(cell)] = cell
                self._start_timer()
            if cell.ended and buffer.holds_back:
                self._overdrawn[id(cell)] = cell

    def _send_waiting(self, cell: Cell) -> None:
        self._unsent.pop(id(cell), None)
        for text in messages_of(cell.buffer(self.name).take()):
            self._send(cell, text, None)

    def _send_tail(self, cell: Cell) -> None:
        tail, omitted = cell.buffer(self.name).finish()
        metadata = {"omitted_bytes": omitted} if omitted else None
        for text in list(messages_of(tail)) or [""] * bool(omitted):
            self._send(cell, text, metadata)
            metadata = None

    def _send(self, cell: Cell, text: str, metadata: dict[str, Any] | None) -> None:
        message = self.session.msg("stream", {"name": self.name, "text": text}, parent=cell, metadata=metadata)
        self.session.send(self.pub_thread, message, ident=self.topic)

    def _start_timer(self) -> None:
        if not self._timer_runs:
            self._timer_runs = True
            self._io_loop.add_callback(self._io_loop.call_later, _FIRST_FLUSH, self._on_timer)

    def _on_timer(self) -> None:
        with self._buffer_lock:
            self._timer_runs = bool(self._unsent)
        if self._timer_runs:
            self.flush()
            self._io_loop.call_later(_NEXT_FLUSH, self._on_timer)

    def _on_captured(self, fd: int, events: int) -> None:
        with self._buffer_lock:
            text = self._capture.read()
            if text:
                self._add(text, self._parent_header_global)

    def _after_fork(self) -> None:
        """Let a forked child write to the pipe that its parent reads; what the parent has not sent is the parent's."""
        self._forked = True
        self._buffer_lock = threading.RLock()

    def _write_to_parent(self, text: str) -> int:
        data = text.encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._capture.descriptor, data) :]
        return len(text)


# Libraries such as click recognise a kernel's streams by the module of their class.
OutStream.__module__ = iostream.OutStream.__module__


def announce_children(*streams: OutStream) -> None:
    """Tell the streams whenever this process is about to start another one."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in _STARTS_A_CHILD:
            # A hook that raises would forbid the child.
            with suppress(Exception):
                for stream in streams:
                    stream.child_starts()

    sys.addaudithook(hook)
