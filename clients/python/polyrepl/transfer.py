"""The content of files on its way: where it comes from, and where it goes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from polyrepl.transport import CHUNK

Source = bytes | str | os.PathLike[str] | IO[bytes]


class Content:
    """What is uploaded: bytes, a file by its path (`str` or Path), or an open file from where it stands."""

    def __init__(self, source: Source) -> None:
        self._file: IO[bytes] | None = None
        self._is_ours = False
        self._bytes = b""
        self._start = 0
        self.size: int | None = None
        self.is_repeatable = True
        self.name: str | None = None
        if isinstance(source, (bytes, bytearray, memoryview)):
            self._bytes = bytes(source)
            self.size = len(self._bytes)
        elif isinstance(source, (str, os.PathLike)):
            path = Path(source)
            self._file, self._is_ours, self.name = path.open("rb"), True, path.name
            self.size = os.fstat(self._file.fileno()).st_size
        else:
            self._take(source)

    def _take(self, file: IO[bytes]) -> None:
        self._file = file
        name = getattr(file, "name", None)
        self.name = Path(name).name if isinstance(name, str) else None
        self.is_repeatable = file.seekable()
        if self.is_repeatable:
            self._start = file.tell()
            self.size = file.seek(0, os.SEEK_END) - self._start
            file.seek(self._start)

    def chunks(self) -> Iterator[bytes]:
        """From the beginning, each time."""
        if self._file is None:
            yield from (self._bytes[at : at + CHUNK] for at in range(0, len(self._bytes), CHUNK))
            return
        if self.is_repeatable:
            self._file.seek(self._start)
        left = self.size
        while left is None or left > 0:
            chunk = self._file.read(CHUNK if left is None else min(CHUNK, left))
            if not chunk:
                return
            if left is not None:
                left -= len(chunk)
            yield chunk

    def close(self) -> None:
        if self._file is not None and self._is_ours:
            self._file.close()


class Download:
    """What is downloaded, to memory or to a file, which is there under its name only when it is whole.

    After a break the rest is asked for, and all of it where the file is another by now."""

    def __init__(self, to: Path | None) -> None:
        import tempfile  # slow to import, and few programs download

        self._to = to
        self._etag: str | None = None
        self.written = 0
        if to is None:
            self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=64 * CHUNK)  # noqa: SIM115 - closed by `close`
            self._part: Path | None = None
        else:
            fd, name = tempfile.mkstemp(prefix=f".{to.name}.", dir=to.parent)
            self._file, self._part = os.fdopen(fd, "wb"), Path(name)

    def headers(self) -> dict[str, str]:
        """Of the next attempt."""
        if self._etag is None or self.written == 0:
            return {}
        return {"Range": f"bytes={self.written}-", "If-Range": self._etag}

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self._etag = headers.get("etag")
        if status != 206:
            self._file.seek(0)
            self._file.truncate()
            self.written = 0

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self.written += len(chunk)

    def content(self) -> bytes:
        """All of it, of one to memory."""
        self._file.seek(0)
        return self._file.read()

    def finish(self) -> None:
        """Give a file its name."""
        self._file.flush()
        if self._to is not None and self._part is not None:
            self._file.close()
            umask = _umask()
            self._part.chmod(0o666 & ~umask)
            self._part.replace(self._to)

    def close(self) -> None:
        """Let go of what is not finished. May be called again."""
        self._file.close()
        if self._part is not None:
            with contextlib.suppress(FileNotFoundError):
                self._part.unlink()


def _umask() -> int:
    """That of this process, which can be read only by setting it; Linux tells it."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Umask:")).split()[1], 8)
    return 0o022


def remote_path(path: str | None, content: Content) -> str:
    """Where a file goes; by default under its own name. Raises ValueError where it has none."""
    name = path or content.name
    if not name:
        msg = "path: where the content goes must be said, as it has no name of its own"
        raise ValueError(msg)
    return name
