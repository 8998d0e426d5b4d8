"""The calls of Linux that Python has no function for. Each failure is an OSError that names the part: ``part: reason``."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 1, 2, 4, 8  # of mount_setattr
_DETACH = 2

PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_SECCOMP, PR_CAPBSET_READ, PR_CAPBSET_DROP = 4, 15, 22, 23, 24
PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 28, 38, 47

# Newer calls have one number on all machines.
MOUNT_SETATTR, LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 442, 444, 445, 446

_OPENAT2 = 437

_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_NO_LINKS = 4 | 2  # RESOLVE_NO_SYMLINKS, RESOLVE_NO_MAGICLINKS

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


@contextmanager
def part(name: str) -> Iterator[None]:
    """Have every OSError inside say which part failed."""
    try:
        yield
    except OSError as error:
        about = f" ({error.filename})" if isinstance(error.filename, str) else ""
        raise OSError(error.errno, f"{name}: {error.strerror or error}{about}") from None


def check(result: int, name: str) -> int:
    """The result of a call of libc, or its error with the name of the part."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def syscall(number: int, *arguments: int | bytes | None, name: str) -> int:
    """Make a system call that libc has no function for."""
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return check(_libc.syscall(ctypes.c_long(number), *given), name)


def prctl(option: int, value: int | bytes = 0, third: int | bytes = 0, *, name: str) -> int:
    """Tell Linux something about this process."""
    given = [each if isinstance(each, bytes) else ctypes.c_ulong(each) for each in (value, third, 0, 0)]
    return check(_libc.prctl(option, *given), name)


def unshare(kinds: int, name: str) -> None:
    """Leave namespaces for new ones."""
    check(_libc.unshare(kinds), name)


def setns(fd: int, kinds: int, name: str) -> None:
    """Join namespaces: those of a process if `fd` is a pidfd."""
    check(_libc.setns(fd, kinds), name)


def mount(source: str | None, target: str, kind: str | None = None, flags: int = 0, options: str | None = None) -> None:
    """mount(2)."""
    what = [None if each is None else os.fsencode(each) for each in (source, target, kind)]
    data = None if options is None else os.fsencode(options)
    check(_libc.mount(*what, ctypes.c_ulong(flags), data), f"mount {target}")


def mount_attributes(target: str, on: int, off: int = 0, *, recursive: bool = False) -> None:
    """Change what a mount allows; with `recursive` also those below it. Needs Linux 5.12."""
    attributes = struct.pack("4Q", on, off, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    syscall(
        MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), flags, attributes, len(attributes), name=f"restrict {target}"
    )


def pivot_root(path: str) -> None:
    """Make `path` the root of this mount namespace, and let go of the old one."""
    os.chdir(path)
    check(_libc.pivot_root(b".", b"."), "pivot_root")  # the old root then lies on the new one, at the same place
    check(_libc.umount2(b".", _DETACH), "unmount the old root")
    os.chdir("/")


def capset(header: bytes, data: bytes, name: str) -> None:
    """capset(2)."""
    check(_libc.capset(ctypes.create_string_buffer(header), data), name)


def capget(header: bytes, data: ctypes.Array[ctypes.c_char], name: str) -> None:
    """capget(2)."""
    check(_libc.capget(ctypes.create_string_buffer(header), data), name)


def signal_descriptor(number: int) -> int:
    """A descriptor that is readable while this signal, which is blocked, is pending."""
    return check(_libc.signalfd(-1, struct.pack("Q", 1 << (number - 1)), os.O_NONBLOCK), "signalfd")


def open_place(path: str) -> int:
    """A descriptor of what is at an absolute path (O_PATH). No link leads there: who can write around it could set one at any time."""
    how = struct.pack("3Q", os.O_PATH | os.O_CLOEXEC, 0, _NO_LINKS)
    fd: int = _libc.syscall(
        ctypes.c_long(_OPENAT2), ctypes.c_long(_AT_FDCWD), os.fsencode(path), how, ctypes.c_long(len(how))
    )
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return fd


def seccomp(program: bytes) -> None:
    """Have each system call of this process, and of all that it starts, judged by a BPF program. Needs no_new_privs."""
    kept = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(kept))
    prctl(PR_SET_SECCOMP, 2, filter_, name="seccomp")
