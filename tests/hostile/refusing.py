"""Run a program on a system that refuses a part: `python refusing.py PART PROGRAM ARGUMENT...`. Standard library only.

A filter for system calls stands in for systems that are built or set so: with Docker's default profile, without Landlock, or
without `no_new_privs`. All children inherit it."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_ARM = platform.machine() == "aarch64"
_NAMESPACES = 0x7E020000  # all flags of clone and unshare that make a namespace
_ARGUMENT = 16  # where the first argument is in what the filter sees
CALLS = {  # x86-64, aarch64
    "clone": (56, 220),
    "clone3": (435, 435),
    "fsopen": (430, 430),
    "landlock_create_ruleset": (444, 444),
    "mount": (165, 40),
    "open_tree": (428, 428),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "setns": (308, 268),
    "umount2": (166, 39),
    "unshare": (272, 97),
}
# Part -> name of the call, error, and bits or value of the first argument for which it is refused.
PARTS: dict[str, list[tuple[str, int, tuple[str, int] | None]]] = {
    "docker": [
        *((name, errno.EPERM, None) for name in ("fsopen", "mount", "open_tree", "pivot_root", "setns", "umount2")),
        ("unshare", errno.EPERM, ("bits", _NAMESPACES)),
        ("clone", errno.EPERM, ("bits", _NAMESPACES)),
        ("clone3", errno.ENOSYS, None),
    ],
    "landlock": [("landlock_create_ruleset", errno.EOPNOTSUPP, None)],
    "no_new_privs": [("prctl", errno.EINVAL, ("value", 38))],
}


def program_of(part: str) -> bytes:
    """The filter as instructions: (code, jump if true, jump if false, operand) each."""
    load, jump_equal, jump_set, give = 0x20, 0x15, 0x45, 0x06
    steps: list[tuple[int, int, int, int]] = []
    for name, error, condition in PARTS[part]:
        refuse = (give, 0, 0, 0x00050000 | error)
        steps.append((load, 0, 0, 0))
        if condition is None:
            steps += [(jump_equal, 0, 1, CALLS[name][_ARM]), refuse]
        else:
            test = (jump_set if condition[0] == "bits" else jump_equal, 0, 1, condition[1])
            steps += [(jump_equal, 0, 3, CALLS[name][_ARM]), (load, 0, 0, _ARGUMENT), test, refuse]
    steps.append((give, 0, 0, 0x7FFF0000))
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def refuse(part: str) -> None:
    """Have this process, and all that it starts, see such a system."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = program_of(part)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    if os.geteuid() and libc.prctl(38, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if libc.prctl(22, 2, program, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    refuse(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
