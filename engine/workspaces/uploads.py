"""Uploads: files that are being written, elsewhere until they are whole, within the quota of their context."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import uuid

from engine.errors import FileTooLarge, StorageFull
from engine.models import FileInfo
from engine.workspaces.beneath import check_file
from engine.workspaces.files import file_info
from engine.workspaces.places import Place, descended
from engine.workspaces.usage import FileLimits, Usage

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Upload:
    """A file that is being written, and then renamed into its place.

    Its methods are called in threads, of which one may still run for a caller that was cancelled when `close` comes. `uploads`: where
    it lies meanwhile; None: beside its place, which may be on any file system, and then no quota counts but that of one file."""

    def __init__(
        self, path: str, names: tuple[str, ...], work: Place, uploads: Place | None, limits: FileLimits, usage: Usage
    ) -> None:
        self._path = path
        self._above, self._last = names[:-1], names[-1]
        self._limits = limits
        self._usage = usage if uploads is not None else None
        self._crosses = work.crosses
        self._size = 0
        self._reserved = 0
        self._lock = threading.Lock()
        self._name = f".{uuid.uuid4().hex}.part"
        self._is_published = False
        with contextlib.ExitStack() as stack, work.opened(make=True) as root:
            self._root = os.dup(root)
            stack.callback(os.close, self._root)
            if self._usage is not None:
                self._usage.count(root, limits)
            self._replaced = self._find_replaced()
            self._reserve(files=self._replaced is None, size=-(self._replaced or 0))
            stack.callback(self._release)
            if uploads is not None:  # where nobody sees it
                with uploads.opened(make=True) as directory:
                    self._staging = os.dup(directory)
            else:
                with descended(root, self._above, make=True, crosses=True, mode=0o777) as directory:
                    self._staging = os.dup(directory)
            stack.callback(os.close, self._staging)
            self._fd = os.open(self._name, _CREATE, 0o666, dir_fd=self._staging)
            stack.pop_all()

    def append(self, part: bytes) -> None:
        """Raises FileTooLarge, StorageFull or OSError."""
        with self._lock:
            if self._fd < 0:
                return
            self._size += len(part)
            if self._size > self._limits.file_bytes:
                raise FileTooLarge(self._path, self._limits.file_bytes)
            self._reserve(files=False, size=len(part))
            view = memoryview(part)
            while view:
                view = view[os.write(self._fd, view) :]

    def publish(self) -> tuple[FileInfo, bool]:
        """Have the file in its place. Returns whether it is a new one. Raises OSError."""
        with self._lock:
            with descended(self._root, self._above, make=True, crosses=self._crosses, mode=0o777) as directory:
                info = os.fstat(self._fd)
                os.rename(self._name, self._last, src_dir_fd=self._staging, dst_dir_fd=directory)
                self._is_published = True
            return file_info((*self._above, self._last), info), self._replaced is None

    def close(self) -> None:
        """Let go of it; what was not published is gone. May be called again."""
        with self._lock:
            if self._fd < 0:
                return
            os.close(self._fd)
            self._fd = -1
            if not self._is_published:
                with contextlib.suppress(OSError):
                    os.unlink(self._name, dir_fd=self._staging)
            os.close(self._staging)
            os.close(self._root)
            self._release()

    def _find_replaced(self) -> int | None:
        """The size of the file that will be replaced, None for a new one. Raises NotAFile for what is no file."""
        try:
            with descended(self._root, self._above, crosses=self._crosses) as directory:
                info = os.stat(self._last, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISLNK(info.st_mode):  # a link is replaced, not written through
            check_file(info)
        return info.st_size

    def _reserve(self, *, files: bool, size: int) -> None:
        if self._usage is None:
            return
        try:
            self._usage.reserve(self._limits, files=int(files), size=size)
        except StorageFull:  # as of the latest count
            self._usage.count_again(self._root, self._limits)
            self._usage.reserve(self._limits, files=int(files), size=size)
        self._reserved += size

    def _release(self) -> None:
        if self._usage is not None:
            is_new = int(self._replaced is None)
            self._usage.release(files=is_new, size=self._reserved, is_written=self._is_published)
