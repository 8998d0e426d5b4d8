"""Landlock: which files a process may reach, whether it may use TCP, and that its signals and abstract sockets stay inside."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterable

from . import linux

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_FILE_RIGHTS = (13, 14, 15, 15, 16)  # how many ABI 1, 2, 3, 4 and 5 know
_TCP, _TCP_SINCE = 3, 4  # bind and connect
_SCOPES, _SCOPES_SINCE = 3, 6  # abstract sockets, signals
_ASK_VERSION, _PATH_BENEATH = 1, 1
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
"""What every process may read and write."""


def abi() -> int:
    """The version of Landlock. Raises OSError if this Linux has none, or has it switched off."""
    return linux.syscall(linux.LANDLOCK_CREATE, None, 0, _ASK_VERSION, name="landlock")


def restrict(read: Iterable[str], write: Iterable[str], *, network: bool) -> None:
    """Let this process, and all that it starts, reach nothing but these paths and what is below them. Needs no_new_privs.

    A path that is not there is skipped. To what may be written no link leads, except below /dev.
    Raises OSError, also if `network` is to be refused by a Linux that cannot."""
    version = abi()
    if not network and version < _TCP_SINCE:
        raise OSError(errno.ENOSYS, f"landlock: version {version} cannot refuse the network, which takes {_TCP_SINCE}")
    rights = (1 << _FILE_RIGHTS[min(version, len(_FILE_RIGHTS)) - 1]) - 1
    scopes = _SCOPES if version >= _SCOPES_SINCE else 0
    handled = struct.pack("3Q", rights, 0 if network else _TCP, scopes)
    size = 24 if version >= _SCOPES_SINCE else 16 if version >= _TCP_SINCE else 8
    rules = linux.syscall(linux.LANDLOCK_CREATE, handled, size, 0, name="landlock")
    try:
        allowed = rights & ~(_MAKE_CHAR | _MAKE_BLOCK)
        for paths, granted in ((read, _READ), (write, allowed), (DEVICES, _READ_FILE | _WRITE_FILE | _TRUNCATE)):
            for path in paths:
                _allow(rules, path, granted & rights, links=paths is not write or path.startswith("/dev/"))
        linux.syscall(linux.LANDLOCK_RESTRICT, rules, 0, name="landlock")
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int, *, links: bool) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC) if links else linux.open_place(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise OSError(error.errno, f"landlock {path}: {error.strerror}") from None
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _OF_A_FILE
        linux.syscall(
            linux.LANDLOCK_ADD, rules, _PATH_BENEATH, struct.pack("<Qi", rights, fd), 0, name=f"landlock {path}"
        )
    finally:
        os.close(fd)
