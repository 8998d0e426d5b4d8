"""stdout and stderr: what Python writes, and what child processes and C code write to the file descriptors."""

from __future__ import annotations

import codecs
import io
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from . import clock
from .cells import Cell, Cells
from .helper import Helper
from .interrupts import Interrupts
from .limits import StreamBuffer, messages_of
from .pipes import Capture, ForkedOutput

# Of the widest characters this many fill one message.
_SEND_AT_ONCE = 1 << 18
_FIRST_FLUSH, _NEXT_FLUSH = 0.01, 0.05
_DRAIN_SECONDS = 0.25
_STARTS_A_CHILD = frozenset({"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "pty.spawn", "subprocess.Popen"})

SendStream = Callable[..., None]


class BytesOf(io.BufferedIOBase):
    """`sys.stdout.buffer`: bytes for a stream of text, as UTF-8. It cannot be closed, as a wrapper does that is thrown away."""

    mode = "wb"

    def __init__(self, stream: OutStream) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.name = f"<{stream.name}>"

    @property
    def raw(self) -> BytesOf:  # type: ignore[override]
        """The same: nothing is buffered here."""
        return self

    def detach(self) -> BytesOf:  # type: ignore[override]
        """Return `raw`."""
        return self

    def fileno(self) -> int:
        """Return the captured descriptor."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Add bytes to the output; a character may be in several pieces."""
        view = memoryview(data)
        with self._stream.lock:
            text = self._decoder.decode(view.tobytes())
            self._stream.write(text)
        return view.nbytes

    def flush(self) -> None:
        """Send what was written so far."""
        self._stream.flush()

    def close(self) -> None:
        """Send what was written so far, and stay open."""
        self.flush()


class OutStream(io.TextIOBase):
    """A standard stream that collects text by cell and sends it from whichever thread flushes."""

    encoding = "UTF-8"
    errors = "strict"
    mode = "w"
    line_buffering = write_through = False

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
        self._is_plain = True  # nothing of what follows is the case
        self._forked: ForkedOutput | None = None
        self._children = False
        self._narrows = False
        self._capture: Capture | None = None
        self._capture_waited = False
        self._buffer = BytesOf(self)
        os.register_at_fork(after_in_child=self._after_fork)

    def attach(self, capture: Capture) -> None:
        """Take over what is written to a file descriptor."""
        self._capture = capture
        self._forked = None
        self._timer_runs = self._capture_waited = False
        self._note_state()
        self._helper.add_reader(capture.reader, self._on_captured)

    def _note_state(self) -> None:
        self._is_plain = not (self._children or self._narrows) and self._forked is None

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

    @property
    def buffer(self) -> BytesOf:
        """The same stream for bytes."""
        return self._buffer

    def detach(self) -> BytesOf:  # type: ignore[override]
        """Return `buffer`. This stream stays usable: the next cell needs it."""
        self.flush()
        return self._buffer

    def reconfigure(
        self,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        line_buffering: bool | None = None,
        write_through: bool | None = None,
    ) -> None:
        """As `io.TextIOWrapper.reconfigure`. Text is sent as text: an encoding only says which characters there are."""
        if encoding is not None:
            self.errors = "strict"
        encoding = "utf-8" if encoding == "locale" else encoding or self.encoding
        errors = errors or self.errors
        codecs.lookup_error(errors)
        "".encode(encoding, errors)
        self.encoding, self.errors = encoding, errors
        self.line_buffering = self.line_buffering if line_buffering is None else bool(line_buffering)
        self.write_through = self.write_through if write_through is None else bool(write_through)
        self._narrows = (codecs.lookup(encoding).name, errors) != ("utf-8", "strict")
        self._note_state()

    def write(self, string: str) -> int:
        """Add text to the output of the calling cell, task or thread."""
        if not isinstance(string, str):
            msg = f"write() argument must be str, not {type(string)}"  # type: ignore[unreachable]
            raise TypeError(msg)
        if not self._is_plain:
            return self._write_specially(string)
        if string:
            self._add(string, self._cells.current())
        if self._interrupts.deferred:
            self._interrupts.settle()
        return len(string)

    def _write_specially(self, string: str) -> int:
        """Write text in another encoding, in a child process, or while one may write, too."""
        text = string
        if self._narrows:
            text = text.encode(self.encoding, self.errors).decode(self.encoding, "replace")
        if self._forked is not None:
            self._forked.write(text)
            return len(string)
        cell = self._cells.current()
        if self._children and not self._is_inside_a_line(cell):
            self.drain()
        if text:
            self._add(text, cell)
        if self._interrupts.deferred:
            self._interrupts.settle()
        return len(string)

    def _is_inside_a_line(self, cell: Cell) -> bool:
        buffer = cell.buffers.get(self.name)
        return buffer is not None and buffer.is_inside_a_line

    def flush(self) -> None:
        """Send what was written so far."""
        if self._forked is not None:
            self._forked.flush()
            return
        if self._children:
            self.drain()
        if self._unsent:
            with self._lock:
                for cell in list(self._unsent.values()):
                    self._send_waiting(cell)
        if self._interrupts.deferred:
            self._interrupts.settle()

    def drain(self) -> None:
        """Take over everything that waits in the pipe; a child that never stops writing is given a deadline."""
        if self._forked is not None or self._capture is None:
            return
        with self._lock:  # the helper thread may hold a piece that it has not added yet
            text = self._capture.read()
            if text is None:
                return
            deadline = clock.monotonic() + _DRAIN_SECONDS
            while text is not None:
                self._add(text, self._cells.of_children)
                text = self._capture.read() if clock.monotonic() < deadline else None

    def child_starts(self) -> None:
        """Send what was written before a child can write; until the cell ends keep the order with its output."""
        if self._forked is None:
            self.flush()
            self._children = True
            self._note_state()

    def finish(self, cell: Cell) -> None:
        """Send all that a cell still has to say, the end of limited output included, and what earlier ones have said meanwhile."""
        self.drain()
        if self._children:
            self._children = False
            self._note_state()
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
        buffer.has_waited = False
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
        """Send what was written. A line that is not complete gets one more round, so that what one `print` writes stays together."""
        with self._lock:
            for cell in list(self._unsent.values()):
                buffer = cell.buffers[self.name]
                if buffer.is_inside_a_line and not buffer.has_waited:
                    buffer.has_waited = True
                else:
                    self._send_waiting(cell)
            self._timer_runs = bool(self._unsent)
        if self._timer_runs:
            self._helper.call_later(_NEXT_FLUSH, self._on_timer)

    def _on_captured(self) -> None:
        """Leave it in the pipe until it can be sent: there it survives a crash of this process, and the server finds it."""
        assert self._capture is not None
        self._helper.remove(self._capture.reader)
        self._helper.call_later(_FIRST_FLUSH, self._take_captured)

    def _take_captured(self) -> None:
        assert self._capture is not None
        self._capture_waited = not self._capture_waited and self._is_inside_a_line(self._cells.of_children)
        if self._capture_waited:
            self._helper.call_later(_NEXT_FLUSH, self._take_captured)
            return
        self.drain()
        self.flush()
        self._helper.add_reader(self._capture.reader, self._on_captured)

    def _after_fork(self) -> None:
        """Let a forked child write to the pipe that its parent reads; what the parent has not sent is the parent's."""
        self._forked = ForkedOutput(self.fileno())
        self._lock = threading.RLock()
        self._note_state()


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
