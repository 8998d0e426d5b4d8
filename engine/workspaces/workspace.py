"""A workspace: the directories and names that the contexts of one id share."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path

from engine.workspaces.labels import Labels


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
    is_gone: bool = False  # its last context has ended: what comes now must not make directories again

    @property
    def is_own(self) -> bool:
        """Whether the working directory is ours, too."""
        return str(self.cwd).startswith(f"{self.root}{os.sep}")

    @property
    def packages(self) -> Path:
        """Where what is installed into the context lies, but for what belongs into its working directory. May not be there."""
        return self.root / "packages"

    @property
    def state(self) -> Path:
        """Where programs of the context keep caches, settings and histories between runs."""
        return self.root / "state"

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
        """Have the directories that are ours; a cell may have removed them. Raises FileNotFoundError after its last context."""
        if self.is_gone:
            raise FileNotFoundError(errno.ENOENT, "The context has ended", str(self.root))
        for own in (self.tmp, self.state):
            own.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.is_own:
            self.cwd.mkdir(mode=0o700, parents=True, exist_ok=True)
