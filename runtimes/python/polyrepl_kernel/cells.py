"""The request behind every output: whose it is, its limits, its environment, and the threads and tasks it started."""

from __future__ import annotations

import functools
import threading
from contextvars import ContextVar
from typing import Any

from .environment import environment_from_metadata
from .limits import OutputLimits, StreamBuffer
from .protocol import EMPTY, SHELL, Request

_STARTED_BY = "_polyrepl_cell"
_current: ContextVar[Cell | None] = ContextVar("polyrepl_cell", default=None)


class Cell:
    """A request that is being answered. Output that it causes, whenever it comes, is sent with its header as parent."""

    __slots__ = (
        "after_interrupt",
        "allow_stdin",
        "buffers",
        "channel",
        "colors",
        "ended",
        "env",
        "gives_data",
        "header",
        "idents",
        "limits",
        "raw_header",
        "reads_items",
        "tracks_changes",
    )  # fmt: skip

    def __init__(self, request: Request | None = None) -> None:
        self.raw_header = EMPTY
        self.header: dict[str, Any] = {}
        self.idents: Any = ()
        self.channel = SHELL
        self.env: dict[str, str] = {}
        self.limits = OutputLimits()
        self.allow_stdin = False
        self.tracks_changes = False
        self.gives_data = False
        self.reads_items = False
        self.colors = False
        self.after_interrupt = False
        self.ended = False
        self.buffers: dict[str, StreamBuffer] = {}
        if request is not None:
            self.raw_header, self.header = request.raw_header, request.header
            self.idents, self.channel = request.idents, request.channel

    @classmethod
    def to_execute(cls, request: Request) -> Cell:
        """The cell of an execute_request; what only the kernel may see is taken out of the request's metadata."""
        cell = cls(request)
        metadata = request.metadata
        cell.env = environment_from_metadata(metadata.pop("env_vars", None))
        cell.limits = OutputLimits.from_metadata(metadata.pop("output_limits", None))
        cell.tracks_changes = metadata.pop("changes", False) is True
        cell.gives_data = metadata.pop("data", False) is True
        cell.reads_items = metadata.pop("items", False) is True
        cell.colors = metadata.pop("colors", False) is True
        cell.after_interrupt = metadata.pop("after_interrupt", False) is True
        cell.allow_stdin = bool(request.content.get("allow_stdin", False))
        return cell

    def buffer(self, stream: str) -> StreamBuffer:
        """Return the buffer of a stream, made at its first use."""
        buffer = self.buffers.get(stream)
        if buffer is None:
            buffer = self.buffers.setdefault(
                stream, StreamBuffer(self.limits.stream_bytes)
            )  # of several threads, the first
        return buffer


class Cells:
    """Which cell the caller acts for: the one of its task or thread while that is answered, and afterwards the latest.

    `latest`: the cell that runs, or ran last. `of_children`: the one that child processes print for."""

    def __init__(self) -> None:
        self.latest = self.of_children = Cell()

    def enter(self, cell: Cell) -> None:
        """Make `cell` the one of the calling thread, of the tasks made by it, and the latest."""
        self.latest = self.of_children = cell
        _current.set(cell)

    def enter_aside(self, cell: Cell, *, runs_user_code: bool) -> None:
        """Make `cell` the one of the calling thread, and with `runs_user_code` of its child processes; threads act for the latest."""
        _current.set(cell)
        if runs_user_code:
            self.of_children = cell

    def leave_aside(self) -> None:
        """Let child processes print for the latest cell again."""
        self.of_children = self.latest

    def current(self) -> Cell:
        """The cell on whose behalf the caller runs. What an ended one left behind acts for the one that runs now, if any."""
        cell = _current.get() or getattr(threading.current_thread(), _STARTED_BY, None)
        if cell is None or (cell.ended and not self.latest.ended):
            return self.latest
        return cell

    def mark_threads(self) -> None:
        """Let every thread started from now on know the cell that started it."""
        start_thread = threading.Thread.start

        @functools.wraps(start_thread)
        def start(thread: threading.Thread) -> None:
            setattr(thread, _STARTED_BY, self.current())
            start_thread(thread)

        threading.Thread.start = start  # type: ignore[method-assign]
