"""The seccomp filter: a BPF program that refuses the system calls by which code leaves its context, or reaches rarely used parts of Linux.

A list of what is denied: a list of what is allowed breaks numpy, threads and subprocesses."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from . import linux, syscalls

_ARCHITECTURES = {syscalls.X86_64: 0xC000003E, syscalls.AARCH64: 0xC00000B7}
_X32 = 0x40000000  # the bit by which x86-64 tells the numbers of a second table apart
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # where struct seccomp_data has them
_TYPE_MASK = 0xF
_NETLINK_ROUTE = 0
_STREAMS = {socket.SOCK_STREAM: (0, socket.IPPROTO_TCP)}
_DATAGRAMS = {socket.SOCK_DGRAM: (0, socket.IPPROTO_UDP)}
_FLAGS_OF_SENDING = {"sendto": 3, "sendmsg": 2, "sendmmsg": 3}  # which argument they are
_MSG_FASTOPEN = 0x20000000  # connects without the call that Landlock judges
_PARENT, _NEWTIME = 0x8000, 0x80
_NAMESPACES = linux.NEWNS | linux.NEWCGROUP | linux.NEWUTS | linux.NEWIPC | linux.NEWUSER | linux.NEWPID | linux.NEWNET
_TERMINAL = (0x5412, 0x541C, 0x541D, 0x5423)  # TIOCSTI, TIOCLINUX, TIOCCONS; TIOCSETD, which loads drivers
_ASK = (0, 0xFFFFFFFF)  # of personality
_ONE_PROCESS = {"setpriority": 0, "ioprio_set": 1}  # what their first argument calls one
_OF_A_PROCESS = ("sched_setscheduler", "sched_setparam", "sched_setattr")
_LINGER = (socket.SOL_SOCKET, socket.SO_LINGER)
_FREES = 0x02  # of fallocate: FALLOC_FL_PUNCH_HOLE
# FS_IOC_RESVSP and RESVSP64, FS_IOC_ZERO_RANGE, XFS_IOC_ALLOCSP and ALLOCSP64: fallocate by other names
_RESERVE = (0x40305828, 0x4030582A, 0x40305839, 0x4030580A, 0x40305824)
_SET_LEASE = 1024  # of fcntl: whoever opens that file then waits for its holder, and contexts share files


class _Code:
    """Instructions, with jumps ahead to labels."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, int, str, str]] = []
        self._labels: dict[str, int] = {}

    def load(self, offset: int) -> None:
        self._add(_LOAD, offset)

    def argument(self, number: int) -> None:
        """The low 32 bits: Linux reads these arguments as an int, so that the high ones must not matter."""
        self.load(16 + 8 * number)

    def mask(self, bits: int) -> None:
        self._add(_AND, bits)

    def when(self, kind: int, value: int, yes: str = "", no: str = "") -> None:
        """Jump to a label if the comparison holds, and if it does not; no label: go on."""
        self._add(kind, value, yes, no)

    def any_of(self, values: tuple[int, ...], yes: str) -> None:
        for value in values:
            self.when(_EQUAL, value, yes)

    def label(self, name: str) -> None:
        self._labels[name] = len(self._lines)

    def allow(self) -> None:
        self._add(_RETURN, _ALLOW)

    def kill(self) -> None:
        self._add(_RETURN, _KILL)

    def refuse(self, error: int) -> None:
        self._add(_RETURN, _ERRNO | error)

    @contextmanager
    def only(self, kind: int, value: int) -> Iterator[None]:
        """What is written inside runs only if the comparison holds."""
        end = f"end {len(self._lines)}"
        self.when(kind, value, no=end)
        yield
        self.label(end)

    def assembled(self) -> bytes:
        def distance(label: str, here: int) -> int:
            return self._labels[label] - here - 1 if label else 0

        return b"".join(
            struct.pack("HBBI", kind, distance(yes, here), distance(no, here), value)
            for here, (kind, value, yes, no) in enumerate(self._lines)
        )

    def _add(self, kind: int, value: int, yes: str = "", no: str = "") -> None:
        self._lines.append((kind, value, yes, no))


def problem() -> str | None:
    """Why there is no filter for this machine, or None."""
    machine = os.uname().machine
    return None if machine in _ARCHITECTURES else f"there is no filter for {machine}"


@cache
def program(machine: str, *, network: bool = True, boxed: bool = True) -> bytes:
    """The filter. Without `network` it also refuses what Landlock, which knows TCP only, does not see.

    Not `boxed`: processes of others can be named, so that it lets nobody set the priorities of another."""
    code, number = _Code(), syscalls.numbers(machine)
    code.load(_ARCHITECTURE)  # first of all: the numbers of a 32-bit program are another table
    code.when(_EQUAL, _ARCHITECTURES[machine], "ours")
    code.kill()
    code.label("ours")
    code.load(_NUMBER)
    with code.only(_AT_LEAST, syscalls.NEWEST + 1):  # this is all of x32, too
        code.refuse(errno.ENOSYS)
    for names, error in ((syscalls.UNKNOWN, errno.ENOSYS), (syscalls.REFUSED, errno.EPERM)):
        for each in sorted(number[name] for name in names if name in number):
            with code.only(_EQUAL, each):
                code.refuse(error)
    judged = {
        "clone": _clone,
        "ioctl": _ioctl,
        "fallocate": _fallocate,
        "fcntl": _fcntl,
        "personality": _personality,
        "prlimit64": _prlimit,
        "setsockopt": _setsockopt,
        "socketpair": _socketpair,
    }
    for name, judge in judged.items():
        with code.only(_EQUAL, number[name]):
            judge(code)
    with code.only(_EQUAL, number["socket"]):
        _socket(code, network)
    if not boxed:
        for name in (*_ONE_PROCESS, *_OF_A_PROCESS):
            with code.only(_EQUAL, number[name]):
                _set_own(code, _ONE_PROCESS.get(name))
    if not network:
        for name, flags in _FLAGS_OF_SENDING.items():
            with code.only(_EQUAL, number[name]):
                _send(code, flags)
    code.allow()
    return code.assembled()


def install(*, network: bool = True, boxed: bool = True) -> None:
    """Put the filter on this process, for good. Raises OSError."""
    reason = problem()
    if reason is not None:
        raise OSError(errno.ENOSYS, f"seccomp: {reason}")
    linux.seccomp(program(os.uname().machine, network=network, boxed=boxed))


def _clone(code: _Code) -> None:
    """Threads and forks, but no new namespace, and no child that would be our parent's."""
    code.argument(0)
    with code.only(_ANY_BIT, _NAMESPACES | _NEWTIME | _PARENT):
        code.refuse(errno.EPERM)
    code.allow()


def _ioctl(code: _Code) -> None:
    code.argument(1)
    for request in _TERMINAL:
        with code.only(_EQUAL, request):
            code.refuse(errno.EPERM)
    for request in _RESERVE:
        with code.only(_EQUAL, request):
            code.refuse(errno.EOPNOTSUPP)
    code.allow()


def _fallocate(code: _Code) -> None:
    """Space may be freed, but not taken: one call takes all that the disk has, before anybody can count it.

    Some file systems cannot do it either, so that programs go on: posix_fallocate then writes to each block."""
    code.argument(1)
    with code.only(_ANY_BIT, _FREES):
        code.allow()
    code.refuse(errno.EOPNOTSUPP)


def _fcntl(code: _Code) -> None:
    code.argument(1)
    with code.only(_EQUAL, _SET_LEASE):
        code.refuse(errno.EPERM)
    code.allow()


def _personality(code: _Code) -> None:
    code.argument(0)
    code.any_of(_ASK, "asks")
    code.refuse(errno.EPERM)
    code.label("asks")
    code.allow()


def _prlimit(code: _Code) -> None:
    """Limits of others can be asked for only: Linux looks at the user alone."""
    code.argument(0)
    with code.only(_EQUAL, 0):
        code.allow()
    for half in (0, 4):
        code.load(16 + 8 * 2 + half)  # where the new ones are
        code.when(_EQUAL, 0, no="sets")
    code.allow()
    code.label("sets")
    code.refuse(errno.EPERM)


def _setsockopt(code: _Code) -> None:
    """No waiting at the close of a socket: if we send it to others, it is they who close it. Programs are not told, few would go on."""
    level, name = _LINGER
    code.argument(1)
    with code.only(_EQUAL, level):
        code.argument(2)
        with code.only(_EQUAL, name):
            code.refuse(0)
    code.allow()


def _set_own(code: _Code, one_process: int | None) -> None:
    if one_process is None:
        code.argument(0)
        with code.only(_EQUAL, 0):
            code.allow()
    else:
        code.argument(0)
        with code.only(_EQUAL, one_process):
            code.argument(1)
            with code.only(_EQUAL, 0):
                code.allow()
    code.refuse(errno.EPERM)


def _socketpair(code: _Code) -> None:
    code.argument(0)
    with code.only(_EQUAL, socket.AF_UNIX):
        code.allow()
    code.refuse(errno.EAFNOSUPPORT)


def _socket(code: _Code, network: bool) -> None:
    """Unix, TCP and UDP sockets, and netlink's route protocol, by which programs list the interfaces."""
    code.argument(0)
    code.any_of((socket.AF_INET, socket.AF_INET6), "internet")
    with code.only(_EQUAL, socket.AF_UNIX):
        code.allow()
    with code.only(_EQUAL, socket.AF_NETLINK):
        code.argument(2)
        with code.only(_EQUAL, _NETLINK_ROUTE):
            code.allow()
    code.refuse(errno.EAFNOSUPPORT)
    code.label("internet")
    code.argument(1)
    code.mask(_TYPE_MASK)
    for kind, protocols in _STREAMS.items() if not network else (_STREAMS | _DATAGRAMS).items():
        with code.only(_EQUAL, kind):
            code.argument(2)
            code.any_of(protocols, f"protocol of {kind}")
            code.refuse(
                errno.EPROTONOSUPPORT
            )  # MPTCP among them: Landlock does not see it, and programs fall back to TCP
            code.label(f"protocol of {kind}")
            code.allow()
    code.refuse(errno.EPERM)


def _send(code: _Code, flags: int) -> None:
    code.argument(flags)
    with code.only(_ANY_BIT, _MSG_FASTOPEN):
        code.refuse(errno.EOPNOTSUPP)
    code.allow()
