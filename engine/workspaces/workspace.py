"""A workspace: the directories and names that the contexts of one id share."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import FieldError, InvalidRequest
from engine.options import Isolation
from engine.settings import Limits
from engine.workspaces.beneath import open_beneath
from engine.workspaces.labels import Labels
from engine.workspaces.places import Anchor, Held, Place
from engine.workspaces.slots import Slot, as_owner
from engine.workspaces.threads import Disk, Lane, Stuck
from engine.workspaces.usage import Usage

_FIND_SECONDS = 10.0  # that a directory which a request named may take to be found


@dataclass(slots=True)
class Lanes:
    """The share of a context in the threads for files and for copies."""

    files: Lane
    copies: Lane

    @classmethod
    def of(cls, disk: Disk, uid: int | None = None) -> Lanes:
        """`uid`: whose files they are."""
        return cls(Lane(disk.files, uid), Lane(disk.copies, uid))


@dataclass(frozen=True, slots=True)
class Empty:
    """A directory in which nothing was when it was `seen`, and when it was `changed` last: nanoseconds since the epoch."""

    held: Held
    changed: int
    seen: int


@dataclass(slots=True)
class Workspace:
    """What the contexts of one id share, or of two: files, and names.

    `root` is ours and goes with its last context; `cwd` is in it unless a request named another, which is `named`. All paths are for
    kernels: the engine reaches the files by descriptors, from `anchor`, in the threads of `lanes`. A workspace that lies in the
    root of another shares its anchor, and is at `names` below it."""

    root: Path
    cwd: Path
    tmp: Path
    users: set[tuple[str, str]] = field(default_factory=set)  # id and language of its contexts
    env: dict[str, str] = field(default_factory=dict)  # variables of its kernels besides those of all
    limits: Limits | None = None  # of its contexts; None: those of the settings
    excess: int = 0  # bytes of files at which the next kernel ends, if there are more than the limit allows already
    labels: Labels = field(default_factory=Labels)
    is_gone: bool = False  # its last context has ended: what comes now must not make directories again
    anchor: Anchor = None  # type: ignore[assignment]  # by default one of its own
    names: tuple[str, ...] = ()
    named: Anchor | None = None
    slot: Slot = None  # type: ignore[assignment]  # by default the root itself
    isolation: Isolation | None = None  # what a request asked for; None: that of the server
    lanes: Lanes = field(default_factory=lambda: Lanes.of(Disk()))
    usage: Usage = field(default_factory=Usage)
    known_empty: Empty | None = None  # the working directory

    def __post_init__(self) -> None:
        if self.anchor is None:
            self.anchor = Anchor(self.root)
        if self.slot is None:
            self.slot = Slot(self.root, self.anchor)
        if self.named is None and not str(self.cwd).startswith(f"{self.root}{os.sep}"):
            self.named = Anchor(self.cwd.resolve(), is_named=True)

    @property
    def is_own(self) -> bool:
        """Whether the working directory is ours, too."""
        return self.named is None

    @property
    def packages(self) -> Path:
        """Where what is installed into the context lies, but for what belongs into its working directory. May not be there."""
        return self.root / "packages"

    @property
    def state(self) -> Path:
        """Where programs of the context keep caches, settings and histories between runs."""
        return self.root / "state"

    @property
    def home(self) -> Path:
        """The home of isolated code."""
        return self.state / "home"

    def make_home(self) -> None:
        """Have the home, unless a cell has put something in its way."""
        with contextlib.suppress(OSError), as_owner(self.slot.uid):
            self.place("state", "home").make()

    @property
    def replaces_packages(self) -> bool:
        """Whether the context has other versions of packages that its interpreter has. Whoever installs one leaves a mark: a cell
        can be that, too. Nothing is opened, no link is followed, and no mount is entered."""
        try:
            mark = open_beneath(self.anchor.hold().fd, (*self.place("packages").names, "replaces"), os.O_PATH)
        except OSError:
            return False
        os.close(mark)
        return True

    @property
    def work(self) -> Place:
        """The working directory."""
        return Place(self.named) if self.named is not None else self.place("work")

    @property
    def uploads(self) -> Place:
        """Where files that are sent lie until they are whole. May not be there."""
        return self.place("uploads")

    def place(self, *names: str) -> Place:
        """A directory of those that are ours."""
        return Place(self.anchor, (*self.names, *names))

    def within(self, *names: str) -> Workspace:
        """Another workspace in this one's root, which ends with it: for a copy of its files."""
        root = self.root.joinpath(*names)
        cwd = root / "work" if self.is_own else self.cwd
        below = (*self.names, *names)
        return Workspace(
            root,
            cwd,
            root / "tmp",
            slot=self.slot,
            isolation=self.isolation,
            anchor=self.anchor,
            names=below,
            named=self.named,
            lanes=self.lanes,
            limits=self.limits,
        )

    async def ready(self) -> None:
        """As `prepare`, with the look at a directory that a request named in a thread: it may be on any file system."""
        if self.named is not None:
            try:
                await self.lanes.files.run(self._enter_named, timeout=_FIND_SECONDS)
            except OSError as error:
                raise self._unusable(error) from None
        self.prepare()

    async def check_named(self) -> None:
        """Raises InvalidRequest for a directory that a request named and that the context's user may not enter."""
        if self.named is None:
            return
        try:
            await self.lanes.files.run(self._enter_named, timeout=_FIND_SECONDS)
        except OSError as error:
            raise InvalidRequest(FieldError("cwd", self._reason(error))) from None

    def _enter_named(self) -> None:
        """Have the directory that a request named, and see that the context's user may enter it. Raises OSError."""
        if self.named is not None:
            os.stat(".", dir_fd=self.named.find().fd)

    def prepare(self) -> None:
        """Have the directories that are ours; a cell may have removed them. Raises OSError: after its last context always, and where
        a cell has put a link or a mount in the place of the working directory. One that a request named is not looked at again."""
        if self.is_gone:
            raise FileNotFoundError(errno.ENOENT, "The context has ended", str(self.root))
        with as_owner(self.slot.uid):
            self._prepare()

    def _prepare(self) -> None:
        self.anchor.make()
        if self.names:
            with self.place().opened(make=True):
                pass
        for name in ("tmp", "state"):
            self.place(name).make()
        try:
            self._prepare_work()
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> OSError:
        reason = f"its working directory cannot be used: {self._reason(error)}"
        return OSError(error.errno or errno.EIO, reason, str(self.cwd))

    def _reason(self, error: OSError) -> str:
        if isinstance(error, Stuck):
            return "its file system does not answer"
        if isinstance(error, PermissionError) and self.slot.uid is not None:
            return f"the user {self.slot.uid}, as whom the context runs, may not enter it"
        return error.strerror or str(error)

    def _prepare_work(self) -> None:
        if self.named is not None:
            self.named.make()
            return
        is_new = self.work.make()
        held = Held(open_beneath(self.anchor.hold().fd, self.work.names))  # whatever a cell has put there
        if is_new:  # no code has been in it
            self.known_empty = Empty(held, os.fstat(held.fd).st_ctime_ns, sys.maxsize)

    def close(self) -> None:
        """Its last context, or the copy, has ended: what is under way finds nothing any more."""
        self.is_gone = True
        self.known_empty = None
        if self.names:  # it lies in another, whose directories stay
            return
        self.anchor.close()
        if self.named is not None:
            self.named.close()
