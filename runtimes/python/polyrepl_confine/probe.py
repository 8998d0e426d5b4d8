"""What this machine can do, found by doing it: each part in a process of its own, apart from the others.

Boxes are tried by making one (``box`` to the spawner): parts that work alone prove nothing about the whole."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable
from typing import Any

from . import box, filter, landlock, linux, privileges

_MOST = 1 << 12
_ANY = "/etc"


def main() -> None:
    """Print one JSON object: for each part why it does not work here, or null; and the version of Landlock."""
    print(json.dumps(found()))


def found() -> dict[str, Any]:
    """Try everything."""
    try:
        version = landlock.abi()
    except OSError:
        version = 0
    return {
        "process": problem(_try_process),
        "landlock": problem(_try_landlock),
        "landlock_abi": version,
        "seccomp": filter.problem() or problem(_try_seccomp),
        "box": box.problem(),
    }


def problem(attempt: Callable[[], None]) -> str | None:
    """Why an attempt fails, which a child of ours makes; None if it does not."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            attempt()
        except OSError as error:
            os.write(writer, (error.strerror or str(error)).encode()[:_MOST])
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode()[:_MOST])
        else:
            os._exit(0)
        os._exit(1)
    os.close(writer)
    with open(reader, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return said or (None if ended == 0 else f"the attempt ended with {ended}")


def _try_process() -> None:
    privileges.drop()
    privileges.no_new()


def _try_landlock() -> None:
    privileges.drop()
    privileges.no_new()
    os.listdir(_ANY)
    landlock.restrict(["/usr"], [], network=True)
    _must_fail(errno.EACCES, "landlock: a directory that is not allowed can be read", lambda: os.listdir(_ANY))
    os.listdir("/usr")


def _try_seccomp() -> None:
    privileges.drop()
    privileges.no_new()
    filter.install(network=False)
    kinds = (socket.AF_INET, socket.SOCK_DGRAM)
    _must_fail(errno.EPERM, "seccomp: a datagram socket can be made", lambda: socket.socket(*kinds))
    _must_fail(errno.EPERM, "seccomp: a user namespace can be made", lambda: linux.unshare(linux.NEWUSER, "unshare"))
    socket.socketpair()


def _must_fail(number: int, otherwise: str, attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except OSError as error:
        if error.errno == number:
            return
        raise
    raise OSError(0, otherwise)
