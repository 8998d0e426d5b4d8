"""The user and the rights of a process, which it gives up for good."""

from __future__ import annotations

import ctypes
import errno
import os

from . import linux

_VERSION_3 = 0x20080522
_CLEAR_ALL = 4  # of the ambient set
_MOST = 64  # capabilities that there can be


def become(uid: int) -> None:
    """Be this user, with the group of the same number and no other, and without any capability."""
    with linux.part(f"uid {uid}"):
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        drop_bounding_set()  # before setresuid, which takes the right to
        os.setresuid(uid, uid, uid)
    drop()


def drop() -> None:
    """Have no capability, and never get one again."""
    drop_bounding_set()
    try:
        linux.prctl(linux.PR_CAP_AMBIENT, _CLEAR_ALL, name="capabilities")
    except OSError as error:
        if error.errno != errno.EINVAL:  # before Linux 4.3 there were none
            raise
    header = _VERSION_3.to_bytes(4, "little") + bytes(4)
    linux.capset(header, bytes(24), "capabilities")


def drop_bounding_set() -> None:
    """Have no program that is run later bring a capability back. A process without any right has nothing to drop, and may not."""
    if not _permitted():
        return
    for number in range(_MOST):
        try:
            there = linux.prctl(linux.PR_CAPBSET_READ, number, name="capabilities")
        except OSError:  # beyond the last
            return
        if there:
            linux.prctl(linux.PR_CAPBSET_DROP, number, name="bounding set")


def _permitted() -> bool:
    """Whether this process has a capability."""
    data = ctypes.create_string_buffer(24)
    linux.capget(_VERSION_3.to_bytes(4, "little") + bytes(4), data, "capabilities")
    return any(data.raw[4:8] + data.raw[16:20])


def no_new() -> None:
    """Have no program that is run later be more than this process is (set-user-id)."""
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1, name="no_new_privs")
