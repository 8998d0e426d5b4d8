"""The server's private directory: sockets, kernels' connection files and contexts' working directories, mode 0700."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

from engine.workspaces.workspace import Workspace

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_ELSEWHERE = "k-elsewhere"
_CLAIMS = 100  # directories that others may take away before this is an error
_REMOVALS = 3  # times to try: something may be written while it is removed
_MAX_SOCKET_PATH = 100  # sun_path holds 108 bytes, and "-5" is appended


class RunDir:
    """One directory per server under a base that only its user can enter; gone when the server ends.

    `base` defaults to $XDG_RUNTIME_DIR/polyrepl, or /tmp/polyrepl-<uid>. What servers that were killed left there is removed.
    Raises PermissionError when the base belongs to somebody else or others may enter it, and OSError."""

    def __init__(self, base: Path | None = None) -> None:
        self._base = _open_base(base).resolve()
        self._remove_stale()
        self._lock: int | None
        self.path, self._lock = _claim(self._base)
        self.kernels = self.path / "k"
        self.contexts = self.path / "contexts"
        # What kernels would otherwise make anew for every server (fonts known to matplotlib, compiled code) stays.
        self.cache = self._base / "cache"
        try:
            self.kernels = self._short_dir()
            self.contexts.mkdir(mode=0o700)
            self.cache.mkdir(mode=0o700, exist_ok=True)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def problem(base: Path | None) -> str | None:
        """Why a server cannot have its directory under `base`, which is made if it is not there; None if it can. Blocks."""
        try:
            base = _open_base(base)
        except OSError as error:
            return str(error) if error.strerror is None else f"cannot use {error.filename}: {error.strerror}"
        return None if os.access(base, os.W_OK | os.X_OK) else f"cannot write to {base}"

    def new_kernel_dir(self) -> Path:
        """A directory for one kernel's sockets and connection file."""
        return Path(tempfile.mkdtemp(prefix="k", dir=self.kernels))

    def new_context_dir(self, context_id: str) -> Path:
        """A directory for one context id, never one that another context had."""
        slug = _NOT_IN_NAMES.sub("_", context_id)[:40]
        return Path(tempfile.mkdtemp(prefix=f"{slug}-", dir=self.contexts))

    def new_workspace(self, name: str, cwd: Path | None = None) -> Workspace:
        """Directories for a context, not made yet but for their root. `cwd`: an existing one to work in."""
        root = self.new_context_dir(name)
        return Workspace(root, cwd or root / "work", root / "tmp")

    def remove(self, path: Path) -> None:
        """Remove a directory of ours with all that is in it. Blocks."""
        for _ in range(_REMOVALS):
            shutil.rmtree(path, ignore_errors=True)
            if not path.exists():
                return

    def close(self) -> None:
        """Remove everything but the cache. Blocks; may be called again."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        self.remove(self.kernels)
        self.remove(self.path)
        os.close(lock)

    def _short_dir(self) -> Path:
        """Where the sockets lie: in the run directory, or in /tmp where its path is too long for a socket."""
        inside = self.path / "k"
        if len(str(inside)) + len("/kxxxxxxxx/k-5") <= _MAX_SOCKET_PATH:
            inside.mkdir(mode=0o700)
            return inside
        outside = Path(tempfile.mkdtemp(prefix="polyrepl-", dir="/tmp"))
        try:
            (self.path / _ELSEWHERE).symlink_to(outside)
        except BaseException:
            outside.rmdir()
            raise
        return outside

    def _remove_stale(self) -> None:
        for path in self._base.glob("s-*"):
            try:
                lock = _lock(path)
            except OSError:  # a living server holds it, or another one removes it
                continue
            self._remove_outside(path)
            self.remove(path)
            os.close(lock)

    def _remove_outside(self, path: Path) -> None:
        """Remove the sockets of a server whose own directory has too long a path for them."""
        link = path / _ELSEWHERE
        if link.is_symlink():
            self.remove(link.readlink())


def _open_base(base: Path | None) -> Path:
    """The base, made if it is not there. Raises PermissionError unless it is private, and OSError."""
    base = base or _default_base()
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_private(base)
    return base


def _default_base() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        return Path(runtime) / "polyrepl"
    return Path("/tmp") / f"polyrepl-{os.getuid()}"  # noqa: S108 - checked to be ours and private


def _check_private(base: Path) -> None:
    info = base.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
        msg = f"{base} must be a directory of the user {os.getuid()} with mode 0700"
        raise PermissionError(msg)


def _claim(base: Path) -> tuple[Path, int]:
    """A new directory whose lock is ours.

    A server that starts at the same time may see the directory before its lock, take it for one that was left behind, and
    remove it; then another one is made. Once the lock is ours and still lies in its place, nobody removes the directory."""
    for attempt in range(1, _CLAIMS + 1):
        path = Path(tempfile.mkdtemp(prefix="s-", dir=base))
        try:
            lock = _lock(path)
        except (FileNotFoundError, BlockingIOError):
            if attempt == _CLAIMS:
                raise
            continue
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            raise
        if _lies_in(path, lock):
            return path, lock
        os.close(lock)
    msg = f"{_CLAIMS} directories in {base} were removed by others as they were made"
    raise OSError(msg)


def _lock(path: Path) -> int:
    """Take the lock of a server's directory. The lock ends with its process.

    Raises BlockingIOError if a living server holds it, FileNotFoundError if the directory is gone, or OSError."""
    fd = os.open(path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _lies_in(path: Path, lock: int) -> bool:
    """Whether this open file is the lock of that directory, and not of one that was removed meanwhile."""
    try:
        return os.path.samestat(os.fstat(lock), os.stat(path / "lock"))
    except FileNotFoundError:
        return False
