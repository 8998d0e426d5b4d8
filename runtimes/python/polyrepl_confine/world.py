"""The world: one user namespace in which the server of an ordinary user may make boxes, and put kernels into them. Root needs none."""

from __future__ import annotations

import os

from . import linux


def needed() -> bool:
    """Whether this user has to be in a user namespace to make others."""
    return os.geteuid() != 0


def make() -> int:
    """Be in a new user namespace that knows this user and group only, by the same numbers; returns its descriptor.

    Raises OSError, also in a process that has hidden itself: its files in /proc are root's."""
    new_user_namespace()
    with linux.part("user namespace"):
        return os.open("/proc/self/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def enter(fd: int) -> None:
    """Be in the world behind `fd`, which is closed. Raises OSError."""
    linux.setns(fd, linux.NEWUSER, "join the user namespace")
    os.close(fd)


def taken_from(arguments: list[str]) -> str:
    """Take ``--world FD``, or ``--world new``, out of a command line; returns the value, or nothing."""
    if "--world" not in arguments[:-1]:
        return ""
    at = arguments.index("--world")
    value = arguments[at + 1]
    del arguments[at : at + 2]
    return value


def new_user_namespace() -> None:
    """Unshare, with the same user and group inside and outside, so that files keep their owner."""
    uid, gid = os.geteuid(), os.getegid()
    linux.unshare(linux.NEWUSER, "user namespace")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with linux.part("user namespace"):  # gid_map can be written once setgroups is denied
            fd = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)
