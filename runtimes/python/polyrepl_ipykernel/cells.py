"""The request behind every output: its header, its limits, and the threads it started."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from .environment import environment_from_metadata
from .limits import OutputLimits, StreamBuffer

_STARTED_BY = "_polyrepl_cell"


class Cell(dict[str, Any]):
    """The header of a request, which ipykernel hands to everything that sends; the kernel's own knowledge travels with it."""

    def __init__(
        self, header: dict[str, Any], *, env: dict[str, str] | None = None, limits: OutputLimits | None = None
    ) -> None:
        super().__init__(header)
        self.env = env or {}
        self.limits = limits or OutputLimits()
        self.ended = False
        self.buffers: dict[str, StreamBuffer] = {}

    @classmethod
    def from_request(cls, request: dict[str, Any]) -> Cell:
        """Make the cell of a request and remove from the request what nobody else may see."""
        metadata = request.get("metadata") or {}
        env = environment_from_metadata(metadata.pop("env_vars", None))
        limits = OutputLimits.from_metadata(metadata.pop("output_limits", None))
        return cls(request["header"], env=env, limits=limits)

    def buffer(self, stream: str) -> StreamBuffer:
        """Return the buffer of a stream, made at its first use."""
        buffer = self.buffers.get(stream)
        if buffer is None:
            buffer = self.buffers[stream] = StreamBuffer(self.limits.stream_bytes)
        return buffer


class InheritedParent:
    """Mix-in for ipykernel's senders: a thread sends on behalf of the cell that started it, not of the running one."""

    _parent_header: ContextVar[dict[str, Any]]
    _parent_header_global: dict[str, Any]

    @property
    def parent_header(self) -> dict[str, Any]:
        """Return the header for the calling task or thread."""
        try:
            return self._parent_header.get()
        except LookupError:
            return getattr(threading.current_thread(), _STARTED_BY, self._parent_header_global)

    @parent_header.setter
    def parent_header(self, value: dict[str, Any]) -> None:
        self._parent_header.set(value)
        self._parent_header_global = value


def mark_threads(current: Callable[[], dict[str, Any]]) -> None:
    """Let every thread started from now on know the cell that started it."""
    start_thread = threading.Thread.start

    @functools.wraps(start_thread)
    def start(self: threading.Thread) -> None:
        setattr(self, _STARTED_BY, current())
        start_thread(self)

    threading.Thread.start = start  # type: ignore[method-assign]
