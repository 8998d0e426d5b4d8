"""The server's private directory: sockets, kernels' connection files and contexts' working directories, mode 0700."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.log import get_logger
from engine.options import Isolation
from engine.workspaces.claims import Claim, sweep
from engine.workspaces.named import Naming
from engine.workspaces.places import Anchor
from engine.workspaces.removal import LATE, remove_at, remove_tree
from engine.workspaces.slots import Slot, SlotSource, Uids, as_owner
from engine.workspaces.threads import Disk, Lane, Stuck
from engine.workspaces.workspace import Lanes, Workspace

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_MAX_SOCKET_PATH = 100  # sun_path holds 108 bytes, and "-5" is appended
_SWEEP_SECONDS = 10.0  # that a start waits for what other servers left; the rest is removed meanwhile
_CLOSE_SECONDS = 20.0
_SLICE_SECONDS = 0.5  # that one removal has a thread for, before others get it
_REMOVAL_SECONDS = 30.0  # that a caller waits for a removal; the rest is tried again later
_TRIES = 5  # where something is in the way
_PAUSE_SECONDS = 0.2  # between them


class RunDir:
    """One directory per server under a base that only its user can enter; gone when the server ends.

    `base` defaults to $XDG_RUNTIME_DIR/polyrepl, or /tmp/polyrepl-<uid>. What servers that were killed left there is removed, as far
    as it can be. A directory in it that was removed is made again for whoever needs it next.
    Raises PermissionError when the base belongs to somebody else or others may enter it, and OSError."""

    def __init__(self, base: Path | None = None) -> None:
        self._base = _open_base(base).resolve()
        _in_time(lambda: sweep(self._base), _SWEEP_SECONDS)
        self.disk = Disk()
        self.left: dict[Path, Lane] = {}  # what could not be removed yet
        self.uids: Uids | None = None  # of slots that are made from now on
        self.spares: SlotSource | None = None
        self._slots: dict[Path, Slot] = {}  # by the roots of their workspaces
        self._naming = Naming(self.disk.names)
        self._claim: Claim | None = Claim.make(self._base)
        self.path = self._claim.path
        self._root = Anchor(self.path)
        self._kernels = Anchor(self.path / "k", self._root)
        self._contexts = Anchor(self.path / "contexts", self._root)
        try:
            self._kernels = self._short_dir()
            self._kernels.make()
            self._contexts.make()
        except BaseException:
            self.close()
            raise

    @property
    def kernels(self) -> Path:
        """Where the kernels' own directories are."""
        return self._kernels.path

    @property
    def contexts(self) -> Path:
        """Where the contexts' directories are."""
        return self._contexts.path

    def overlaps(self, path: Path) -> bool:
        """Whether a path leads into the directories of servers, or to one that holds them."""
        return path.is_relative_to(self._base) or self._base.is_relative_to(path)

    @staticmethod
    def problem(base: Path | None) -> str | None:
        """Why a server cannot have its directory under `base`, which is made if it is not there; None if it can. Blocks."""
        try:
            base = _open_base(base)
        except OSError as error:
            if isinstance(error, FileExistsError):
                return f"cannot use {error.filename}: it is not a directory"
            return str(error) if error.strerror is None else f"cannot use {error.filename}: {error.strerror}"
        return None if os.access(base, os.W_OK | os.X_OK) else f"cannot write to {base}"

    def open_to(self, uids: Uids) -> None:
        """From now on slots have owners of their own: let those pass, but not look around. Raises OSError."""
        self.uids = uids
        for path in (self._base, self.path, self.kernels, self.contexts):
            os.chmod(path, 0o711)  # noqa: S103 - to pass, not to look

    def new_kernel_dir(self) -> Path:
        """A directory for one kernel's sockets and connection file."""
        return self._make(self._kernels, "k", suffix=8)

    def new_kernel_dir_of(self, slot: Slot) -> Path:
        """The same for one that runs as the owner of `slot`."""
        path = self.new_kernel_dir()
        if slot.uid is not None:
            os.chown(path, slot.uid, slot.uid)
        return path

    def new_slot(self) -> Slot:
        """A directory for the workspaces of one family of kernels, never one that another had. Raises OSError; nothing is left then."""
        path = self._make(self._contexts, "", suffix=12)
        anchor = Anchor(path, self._contexts)
        uid = None
        try:
            uid = None if self.uids is None else self.uids.acquire()
            held = anchor.make()
            if uid is not None:
                os.fchown(held.fd, uid, uid)
        except BaseException:
            if uid is not None and self.uids is not None:
                self.uids.release(uid)
            os.rmdir(path)
            raise
        return Slot(path, anchor, uid)

    def make(self, name: str, *, uid: int | None = None) -> None:
        """Make a directory in the run directory, for that user. Raises OSError: FileExistsError where it is there."""
        held = self._root.make()
        os.mkdir(name, 0o700, dir_fd=held.fd)
        if uid is not None:
            os.chown(name, uid, uid, dir_fd=held.fd, follow_symlinks=False)

    def new_workspace(
        self, name: str, cwd: Anchor | None = None, slot: Slot | None = None, isolation: Isolation | None = None
    ) -> Workspace:
        """Directories for a context, not made yet but for their root. `cwd`: one to work in that a request named.

        `slot`: that of the context of which it is to be a branch; by default another one. `isolation`: what a request asked for.
        Raises OSError; nothing is left then."""
        if slot is None and self.spares is not None and cwd is None and isolation is None:
            slot = self.spares.acquire_slot()
        slot = slot or self.new_slot()
        root = slot.path / f"{_NOT_IN_NAMES.sub('_', name)[:40]}-{secrets.token_hex(4)}"
        slot.roots.add(root)
        self._slots[root] = slot
        try:
            anchor = Anchor(root, slot.anchor)
            with as_owner(slot.uid):
                anchor.make()
        except BaseException:
            self._forget(root)
            if not slot.roots:
                os.rmdir(slot.path)
                self._release(slot)
            raise
        work = root / "work" if cwd is None else cwd.path
        lanes = Lanes.of(self.disk, slot.uid)
        return Workspace(
            root, work, root / "tmp", slot=slot, isolation=isolation, anchor=anchor, named=cwd, lanes=lanes
        )

    def _forget(self, root: Path) -> None:
        slot = self._slots.pop(root, None)
        if slot is not None:
            slot.roots.discard(root)
            slot.ended.discard(root)

    def _release(self, slot: Slot) -> None:
        """Its directory is gone."""
        slot.anchor.close()
        if slot.spare is not None:
            slot.spare.discard()
        if slot.uid is not None and self.uids is not None:
            uid, slot.uid = slot.uid, None
            self.uids.release(uid)

    async def named(self, cwd: str | None, allowed: Sequence[Path]) -> Anchor | None:
        """As `Naming.find`."""
        return await self._naming.find(cwd, allowed, for_others=self.uids is not None)

    async def remove(self, path: Path) -> bool:
        """Remove a directory of ours with all that is in it, and a slot with its last workspace. Returns whether it is gone; if
        not, `retry` tries again."""
        slot = self._slots.get(path)
        if slot is not None:
            slot.ended.add(path)
        target = path if slot is None or not slot.is_over else slot.path
        return await self._remove_all(path, target, slot)

    async def remove_slot(self, slot: Slot) -> bool:
        """Remove one that has no workspace. Returns as `remove` does."""
        return await self._remove_all(slot.path, slot.path, slot)

    async def _remove_all(self, path: Path, target: Path, slot: Slot | None) -> bool:
        lane = self.left.get(path) or Lane(self.disk.deletions)
        deadline = time.monotonic() + _REMOVAL_SECONDS
        reason: str | None = None
        tries = 0
        while tries < _TRIES and time.monotonic() < deadline:
            try:
                reason = await lane.run(lambda: self._remove(target, _SLICE_SECONDS), timeout=_REMOVAL_SECONDS)
            except OSError as error:
                reason = "its file system does not answer" if isinstance(error, Stuck) else error.strerror
                break
            if reason is None:
                self.left.pop(path, None)
                self._forget(path)
                if slot is not None and target == slot.path:
                    self._release(slot)
                return True
            if reason != LATE:
                tries += 1
                await asyncio.sleep(_PAUSE_SECONDS)
        if path not in self.left:
            get_logger().warning("files_left", directory=path.name, reason=reason)
        self.left[path] = lane
        return False

    async def retry(self) -> None:
        """Remove what could not be removed before. It takes as long as `remove`."""
        await asyncio.gather(*map(self.remove, list(self.left)))

    def close(self) -> None:
        """Remove it, as far as that can be. Blocks for some seconds at most; may be called again."""
        if self._claim is None:
            return
        claim, self._claim = self._claim, None
        for anchor in (self._contexts, self._kernels, self._root):
            anchor.close()

        def remove() -> None:
            if self.kernels.parent != self.path:
                remove_tree(self.kernels, seconds=_CLOSE_SECONDS)
            remove_tree(self.path, seconds=_CLOSE_SECONDS)

        _in_time(remove, _CLOSE_SECONDS)
        claim.close()
        if self.uids is not None:
            self.uids.close()

    def _make(self, anchor: Anchor, prefix: str, *, suffix: int) -> Path:
        held = anchor.make()
        while True:
            name = prefix + secrets.token_hex(suffix // 2)
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=held.fd)
                return anchor.path / name

    def _remove(self, path: Path, seconds: float) -> str | None:
        """Blocks. Returns why something is left; None when nothing is."""
        for anchor in (self._kernels, self._contexts, self._root):
            if path.parent == anchor.path:
                try:
                    return remove_at(anchor.hold().fd, path.name, seconds=seconds)
                except FileNotFoundError:  # the server has ended
                    return None
        return remove_tree(path, seconds=seconds)

    def _short_dir(self) -> Anchor:
        """Where the sockets lie: in the run directory, or in /tmp where its path is too long for a socket."""
        if len(str(self._kernels.path)) + len("/kxxxxxxxx/k-5") <= _MAX_SOCKET_PATH:
            return self._kernels
        assert self._claim is not None
        return Anchor(self._claim.make_outside())


def _in_time(work: Callable[[], object], seconds: float) -> None:
    """Do it in a thread of its own, and go on without it when it takes too long."""
    thread = threading.Thread(target=work, name="removal", daemon=True)
    thread.start()
    thread.join(seconds)


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
    others = 0o077 if os.getuid() else 0o066  # root's contexts have users of their own, who pass
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & others:
        msg = f"{base} must be a directory of the user {os.getuid()} with mode 0700"
        raise PermissionError(msg)
