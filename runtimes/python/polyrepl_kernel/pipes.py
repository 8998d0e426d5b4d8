"""Pipes in the place of stdout and stderr: what this process reads, and what a process that it has forked writes."""

from __future__ import annotations

import codecs
import fcntl
import os
import select
import threading
from contextlib import suppress

_PIPE_BYTES = 1 << 20
_PIPE_BUF = select.PIPE_BUF  # so many bytes are written in one piece
_LONGEST_LINE = 1 << 18  # characters; what is longer is written in pieces


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


class ForkedOutput:
    """What a forked child writes to the pipe that its parent reads: whole lines, so that those of several children do not mix."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.RLock()
        self._line = ""

    def write(self, text: str) -> None:
        """Write the lines that are complete now."""
        with self._lock:
            self._line += text
            if "\n" in text or len(self._line) > _LONGEST_LINE:
                end = self._line.rfind("\n") + 1 or len(self._line)
                complete, self._line = self._line[:end], self._line[end:]
                self._write_out(complete)

    def flush(self) -> None:
        """Write the line that is not complete as well."""
        with self._lock:
            rest, self._line = self._line, ""
            self._write_out(rest)

    def _write_out(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        while data:
            end = len(data) if len(data) <= _PIPE_BUF else data.rfind(b"\n", 0, _PIPE_BUF) + 1 or _PIPE_BUF
            data = data[os.write(self._descriptor, data[:end]) :]
