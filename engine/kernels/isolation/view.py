"""The view: what isolated code sees of this machine's files besides the system's, and nothing of the server or of other contexts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from jupyter_client.kernelspec import KernelSpec

from engine.kernels.isolation.box import Box
from engine.kernels.provisioners import Rules
from engine.settings import Settings

# What Landlock shows besides the view: a box has a root of its own. Nothing of /etc that may hold a secret.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sys/devices/system")
_ETC = (
    *(
        "alternatives",
        "ca-certificates",
        "debian_version",
        "fonts",
        "gai.conf",
        "group",
        "host.conf",
        "hostname",
        "hosts",
    ),
    *(
        "inputrc",
        "java",
        "ld.so.cache",
        "ld.so.conf",
        "ld.so.conf.d",
        "locale.alias",
        "localtime",
        "lsb-release",
        "magic",
    ),
    *("mime.types", "nsswitch.conf", "OpenCL", "os-release", "passwd", "pki", "protocols", "R", "redhat-release"),
    *("resolv.conf", "rpc", "services", "ssl", "terminfo", "texmf", "timezone", "vulkan"),
)
_WRITABLE = ("/dev/ptmx", "/dev/tty", "/dev/shm")  # noqa: S108 - semaphores of libc lie there
_TERMINALS = "/dev/pts"  # of an ordinary user's contexts, and of that user, too: then for none of them


class Readable(Protocol):
    """Who knows what kernels read. Its methods may block."""

    def common(self) -> tuple[str, ...]:
        """What kernels of ours and package tools read."""

    def of(self, spec: KernelSpec) -> tuple[str, ...]:
        """What a kernel of this kernelspec reads besides."""


class View:
    """Of the kernels of one server."""

    def __init__(self, settings: Settings, readable: Readable) -> None:
        self._settings = settings
        self._readable = readable
        self._devices = [str(device) for device in settings.devices]

    def of(self, spec: KernelSpec | None) -> tuple[str, ...]:
        """The paths that a kernel of this kernelspec reads; None: those that package tools read."""
        more = self._readable.of(spec) if spec is not None else ()
        return (*self._readable.common(), *more)

    def is_common(self, spec: KernelSpec) -> bool:
        """Whether a kernel of this kernelspec reads nothing that others do not."""
        return not self._readable.of(spec)

    def plan(
        self,
        root: Path,
        spec: KernelSpec | None,
        write: Iterable[Path],
        *,
        network: str,
        uid: int | None,
        read: Iterable[str] = (),
    ) -> dict[str, Any]:
        """What a box is to be (runtimes/README.md). `root`: an empty directory; `read`: more paths that are shown."""
        return {
            "root": str(root),
            "read": list(dict.fromkeys([*self.of(spec), *map(os.path.normpath, read)])),
            "write": [str(path) for path in write],
            "network": network,
            "uid": uid,
            "devices": self._devices,
            "mounts": [list(pair) for pair in self._settings.mounts],
        }

    def rules_in(self, box: Box) -> Rules:
        """What Landlock lets code write to in a box besides what the box has of its own; it lets code read all that is there."""
        return Rules((), (*box.written, *self._devices), network=True)

    def rules(self, spec: KernelSpec | None, write: Iterable[Path], *, network: str, read: Iterable[str] = ()) -> Rules:
        """The same for Landlock, which shows paths where they are: a mount at another path is not there."""
        mounts = [source for source, target in self._settings.mounts if source == target]
        shown = [*_SYSTEM, *(f"/etc/{name}" for name in _ETC), *self.of(spec), *mounts, *read]
        terminals = [_TERMINALS] if os.geteuid() == 0 else []
        written = [*map(str, write), *_WRITABLE, *terminals, *self._devices]
        return Rules(tuple(shown), tuple(written), network=network == "open")
