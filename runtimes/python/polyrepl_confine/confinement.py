"""Confinement: what a process of a context puts on itself before any user code runs.

A confinement is a JSON object of the server's, one entry per kind (``_KINDS``; ``runtimes/README.md`` says what each means)."""

from __future__ import annotations

import fcntl
import os
import re
import resource
from collections.abc import Callable
from typing import Any

from . import box, filter, landlock, linux, privileges

_MOST_CGROUPS = 8
_PIDFD = 1
_ASIDE = 1 << 8


def check(confinement: Any) -> None:
    """Raise ValueError that names what is wrong."""
    if not isinstance(confinement, dict):
        raise ValueError("a confinement is an object")
    for kind, wanted in confinement.items():
        if kind not in _KINDS:
            raise ValueError(f"unknown confinement {kind!r}; known: {', '.join(_KINDS)}")
        _KINDS[kind](kind, wanted)


def prepare() -> None:
    """Make, in what forks, what all that is forked would otherwise make again."""
    if filter.problem() is None:
        for network, boxed in ((True, True), (True, False), (False, False)):
            filter.program(os.uname().machine, network=network, boxed=boxed)


def descriptors(confinement: dict[str, Any]) -> int:
    """How many descriptors come with it: the pidfd of a box's init first, then the files of cgroups."""
    return _PIDFD * bool(confinement.get("box")) + int(confinement.get("cgroups", 0))


class Confining:
    """One process on its way into its confinement: `account`, `join`, `apply`, in this order."""

    def __init__(self, confinement: dict[str, Any], fds: list[int]) -> None:
        """`fds`: as many as `descriptors` says. They are the caller's to close in the process that stays outside."""
        check(confinement)
        self._wanted = confinement
        self.boxed = bool(confinement.get("box"))
        self.pidfd = fds[0] if self.boxed else -1
        self._cgroups = fds[1:] if self.boxed else fds

    def account(self) -> None:
        """Have all that this process takes from now on counted to its control groups. Raises OSError."""
        for fd in self._cgroups:
            with linux.part("cgroups"):
                os.write(fd, b"0")
                os.close(fd)

    def keep_aside(self) -> int:
        """Have the box's descriptor where it is in nobody's way while others are arranged; returns its number, -1 without a box."""
        if self.boxed:
            self.pidfd = fcntl.fcntl(self.pidfd, fcntl.F_DUPFD_CLOEXEC, _ASIDE)
        return self.pidfd

    def join(self) -> None:
        """Enter the box, if there is one. Its descriptor is closed. Raises OSError."""
        if self.boxed:
            box.join(self.pidfd)
            os.close(self.pidfd)

    def apply(self) -> None:
        """Give up all that the confinement says, for good. Raises OSError that names the part."""
        wanted = self._wanted
        if wanted.get("cpus"):
            with linux.part("cpus"):
                os.sched_setaffinity(0, wanted["cpus"])
        if "uid" in wanted:
            privileges.become(wanted["uid"])
        elif self.boxed or wanted.get("no_new_privs"):
            privileges.drop()
        _apply_rlimits(wanted.get("rlimits", {}))
        if wanted.get("no_new_privs"):
            if "uid" not in wanted:
                _leave_descriptors()
            privileges.no_new()
        network = True
        if "landlock" in wanted:
            files = wanted["landlock"]
            network = bool(files["network"]) or self.boxed
            own = (["/"], list(box.WRITABLE)) if self.boxed else ([], [])
            landlock.restrict([*own[0], *files["read"]], [*own[1], *files["write"]], network=network)
        if wanted.get("seccomp"):
            filter.install(network=network, boxed=self.boxed)
        if self.boxed or "uid" in wanted or wanted.get("hidden"):
            # Linux hides a process that has changed its user. Another that may look into this one finds it confined.
            shown = not wanted.get("hidden")
            linux.prctl(linux.PR_SET_DUMPABLE, int(shown), name="hidden")


def _check_bool(kind: str, wanted: Any) -> None:
    if type(wanted) is not bool:
        raise ValueError(f"{kind} is true or false")


def _check_rlimits(kind: str, limits: Any) -> None:
    if not isinstance(limits, dict):
        raise ValueError("rlimits is an object")
    for name, pair in limits.items():
        if not re.fullmatch("[A-Z]+", name) or not hasattr(resource, f"RLIMIT_{name}"):
            raise ValueError(f"unknown rlimit {name!r}")
        if not isinstance(pair, list) or len(pair) != 2 or any(type(each) is not int or each < -1 for each in pair):
            raise ValueError(f"rlimit {name} is a pair of numbers")


def _check_uid(kind: str, uid: Any) -> None:
    if type(uid) is not int or not 0 < uid < 1 << 31:
        raise ValueError("uid is a number above 0")


def _check_cpus(kind: str, cpus: Any) -> None:
    if not isinstance(cpus, list) or not cpus or any(type(each) is not int or each < 0 for each in cpus):
        raise ValueError("cpus is a list of numbers")


def _check_cgroups(kind: str, count: Any) -> None:
    if type(count) is not int or not 0 <= count <= _MOST_CGROUPS:
        raise ValueError(f"cgroups is a number from 0 to {_MOST_CGROUPS}")


def _check_landlock(kind: str, files: Any) -> None:
    if not isinstance(files, dict) or files.keys() != {"read", "write", "network"}:
        raise ValueError("landlock is an object of read, write and network")
    for name in ("read", "write"):
        paths = files[name]
        if not isinstance(paths, list) or not all(
            isinstance(path, str) and path.startswith("/") and "\0" not in path for path in paths
        ):
            raise ValueError(f"landlock's {name} is a list of absolute paths")
    _check_bool("landlock's network", files["network"])


def _apply_rlimits(limits: dict[str, list[int]]) -> None:
    for name, wanted in limits.items():
        number = getattr(resource, f"RLIMIT_{name}")
        most = resource.getrlimit(number)[1]
        soft, hard = (_lower(each, most) for each in wanted)
        with linux.part(f"rlimit {name}"):
            resource.setrlimit(number, (_lower(soft, hard), hard))


def _leave_descriptors() -> None:
    """Have at most half of the descriptors that the server may have.

    Linux counts those that lie in sockets by user, and lets nobody send any who may have fewer: this user is the server's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard // 2
    with linux.part("rlimit NOFILE"):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, most), most))


def _lower(one: int, other: int) -> int:
    """The smaller of two limits: nobody without privilege raises one, and with it nobody should."""
    # RLIM_INFINITY is -1 before Python 3.15 and the largest number from then on; -1 is understood by all.
    finite = [each for each in (one, other) if each not in (-1, resource.RLIM_INFINITY)]
    return min(finite, default=resource.RLIM_INFINITY)


_KINDS: dict[str, Callable[[str, Any], None]] = {
    "rlimits": _check_rlimits,
    "hidden": _check_bool,
    "box": _check_bool,
    "uid": _check_uid,
    "seccomp": _check_bool,
    "no_new_privs": _check_bool,
    "landlock": _check_landlock,
    "cpus": _check_cpus,
    "cgroups": _check_cgroups,
}
