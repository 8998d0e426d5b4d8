"""The server's private directory: sockets, kernels' connection files and contexts' working directories, mode 0700."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from engine.workspaces.labels import Labels

_ELSEWHERE = "k-elsewhere"
_MAX_SOCKET_PATH = 100  # sun_path holds 108 bytes, and "-5" is appended


class RunDir:
    """One directory per server under a base that only its user can enter; gone when the server ends.

    `base` defaults to $XDG_RUNTIME_DIR/polyrepl, or /tmp/polyrepl-<uid>. What servers that were killed left there is removed.
    Raises PermissionError when the base belongs to somebody else or others may enter it."""

    def __init__(self, base: Path | None = None) -> None:
        base = base or _default_base()
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_private(base)
        self._base = base.resolve()
        self._remove_stale()
        self.path = Path(tempfile.mkdtemp(prefix="s-", dir=self._base))
        self._lock = _lock(self.path)
        self.kernels = self._short_dir()
        self.contexts = self.path / "contexts"
        self.contexts.mkdir(mode=0o700)
        # What kernels would otherwise make anew for every server (fonts known to matplotlib, compiled code) stays.
        self.cache = self._base / "cache"
        self.cache.mkdir(mode=0o700, exist_ok=True)

    def new_kernel_dir(self) -> Path:
        """A directory for one kernel's sockets and connection file."""
        return Path(tempfile.mkdtemp(prefix="k", dir=self.kernels))

    def new_context_dir(self, context_id: str) -> Path:
        """A directory for one context id, never one that another context had."""
        slug = re.sub(r"[^A-Za-z0-9_-]", "_", context_id)[:40]
        return Path(tempfile.mkdtemp(prefix=f"{slug}-", dir=self.contexts))

    def new_workspace(self, name: str, cwd: Path | None = None) -> Workspace:
        """Directories for a context, not made yet but for their root. `cwd`: an existing one to work in."""
        root = self.new_context_dir(name)
        return Workspace(root, cwd or root / "work", root / "tmp")

    def remove(self, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        if self._lock is None:
            return
        self.remove(self.path)
        self.remove(self.kernels)
        os.close(self._lock)
        self._lock = None

    def _short_dir(self) -> Path:
        """Where the sockets lie: in the run directory, or in /tmp where its path is too long for a socket."""
        inside = self.path / "k"
        if len(str(inside)) + len("/kxxxxxxxx/k-5") <= _MAX_SOCKET_PATH:
            inside.mkdir(mode=0o700)
            return inside
        outside = Path(tempfile.mkdtemp(prefix="polyrepl-", dir="/tmp"))
        (self.path / _ELSEWHERE).symlink_to(outside)
        return outside

    def _remove_stale(self) -> None:
        for path in self._base.glob("s-*"):
            lock = _lock(path)
            if lock is not None:
                self._remove_outside(path)
                self.remove(path)
                os.close(lock)

    def _remove_outside(self, path: Path) -> None:
        """Remove the sockets of a server whose own directory has too long a path for them."""
        link = path / _ELSEWHERE
        if link.is_symlink():
            self.remove(link.readlink())


@dataclass(slots=True)
class Workspace:
    """What the contexts of one id share, or of two: files, and names.

    `root` is ours and goes with its last context; `cwd` is in it unless a request named another."""

    root: Path
    cwd: Path
    tmp: Path
    users: set[tuple[str, str]] = field(default_factory=set)  # id and language of its contexts
    env: dict[str, str] = field(default_factory=dict)  # variables of its kernels besides those of all
    labels: Labels = field(default_factory=Labels)

    @property
    def is_own(self) -> bool:
        """Whether the working directory is ours, too."""
        return str(self.cwd).startswith(f"{self.root}{os.sep}")

    @property
    def packages(self) -> Path:
        """Where what is installed into the context lies, but for what belongs into its working directory. May not be there."""
        return self.root / "packages"

    @property
    def uploads(self) -> Path:
        """Where files that are sent lie until they are whole. May not be there."""
        return self.root / "uploads"

    @property
    def replacement_mark(self) -> Path:
        """A file that is there once the context has other versions of packages that its interpreter has."""
        return self.packages / "replaces"

    @property
    def replaces_packages(self) -> bool:
        return self.replacement_mark.exists()

    def prepare(self) -> None:
        """Have the directories that are ours; a cell may have removed them."""
        self.tmp.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.is_own:
            self.cwd.mkdir(mode=0o700, parents=True, exist_ok=True)


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


def _lock(path: Path) -> int | None:
    """Take the lock of a server's directory; None where a living server holds it. The lock ends with its process."""
    try:
        fd = os.open(path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd
