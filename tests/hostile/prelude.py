"""What an attack has at hand in its context: system calls by name, children, and facts about the server. Standard library only.

This file is sent to a context as text, before the attack. An attack is a function that returns what it has reached. Nothing,
or an OSError, means that it was stopped. Every other exception is a mistake in the attack."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = [  # noqa: RUF022 - modules first
    "contextlib", "ctypes", "errno", "fcntl", "mmap", "os", "platform", "resource", "signal", "socket", "stat", "struct",
    "subprocess", "sys", "threading", "time", "Callable", "Iterator", "Path", "Any",
    "Absent", "FACTS", "KERNEL", "LIBC", "PARENT", "call", "in_child", "not_refused", "report", "reached", "sink", "status_of",
]  # fmt: skip

FACTS: dict[str, Any] = {}
"""Numbers of processes, paths, ports and secrets, as the machine sees them."""
KERNEL, PARENT = os.getpid(), os.getppid()
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
NUMBERS = {  # x86-64, aarch64
    "add_key": (248, 217), "bpf": (321, 280), "chroot": (161, 51), "clone": (56, 220), "clone3": (435, 435), "delete_module": (176, 106),
    "finit_module": (313, 273), "fsopen": (430, 430), "init_module": (175, 105), "io_uring_setup": (425, 425), "ioctl": (16, 29),
    "kcmp": (312, 272), "kexec_load": (246, 104), "keyctl": (250, 219), "memfd_create": (319, 279), "mount": (165, 40),
    "mount_setattr": (442, 442), "move_mount": (429, 429), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "open_tree": (428, 428), "perf_event_open": (298, 241), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60),
    "setns": (308, 268), "shmat": (30, 196), "shmget": (29, 194), "socket": (41, 198), "swapon": (167, 224), "tgkill": (234, 131),
    "umount2": (166, 39), "unshare": (272, 97), "userfaultfd": (323, 282),
}  # fmt: skip
REFUSALS = (errno.EPERM, errno.EACCES, errno.ENOSYS)


class Absent(Exception):
    """The machine has not what the attack needs, so that it cannot tell anything."""


def call(name: str | int, *arguments: Any) -> int:
    """Make a system call by name; raise OSError if it fails."""
    number = NUMBERS[name][platform.machine() == "aarch64"] if isinstance(name, str) else name
    plain = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(LIBC.syscall(ctypes.c_long(number), *plain))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def not_refused(name: str | int, *arguments: Any) -> bool:
    """Whether a system call came to its work, even if that failed: it was neither refused nor unknown."""
    try:
        call(name, *arguments)
    except OSError as error:
        return error.errno not in REFUSALS
    return True


def reached(attempts: dict[str, Callable[[], object]]) -> list[str]:
    """The names of the attempts that succeeded."""
    found = []
    for name, attempt in attempts.items():
        with contextlib.suppress(OSError):
            if attempt():
                found.append(name)
    return found


def in_child(attempt: Callable[[], object]) -> str:
    """What an attempt returns in a forked child, as text; "" if it was stopped, by an error or by a signal."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = ""
        with contextlib.suppress(BaseException):
            got = attempt()
            text = str(got) if got else ""
        os.write(writer, text.encode()[:4000])
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        text = file.read().decode()
    os.waitpid(pid, 0)
    return text


def status_of(pid: int | str) -> dict[str, str]:
    """The fields of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def sink(path: str, text: bytes) -> bool:
    """Whether a file holds a text."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return text in os.read(fd, 1 << 20)
    finally:
        os.close(fd)


def report(attack: Callable[[], object]) -> None:
    """Run an attack in a child, so that it leaves no open file; print how it ended, as the last line."""

    def carry_out() -> str:
        outcome, detail = "open", ""
        try:
            got = attack()
            outcome, detail = ("open", str(got)) if got else ("stopped", f"{got!r}")
        except Absent as absent:
            outcome, detail = "absent", str(absent)
        except OSError as error:
            outcome, detail = "stopped", f"{type(error).__name__}: {error}"
        except BaseException as error:
            outcome, detail = "mistake", f"{type(error).__name__}: {error} {error.__traceback__.tb_next.tb_lineno}"
        return json.dumps([outcome, detail[:600]])

    print("\n@" + (in_child(carry_out) or '["mistake", "the child ended"]'), flush=True)
