"""What a fork does not copy: threads, tasks, processes, connections. Each is found by name, so that none is lost silently."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import socket
import stat
import sys
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

_FD = "/proc/self/fd"
_DATABASE = b"SQLite format 3\0"
_SHARED = re.compile(r"^\S+ rw-s \S+ \S+ \d+ *(.*)$", re.MULTILINE)
_MAX_NAME = 200
_GPUS = ("/dev/nvidia", "/dev/dri", "/dev/kfd")
# Threads that their library starts again when it misses them, by module and class.
_RENEWABLE = {("tqdm._monitor", "TMonitor")}


class Finding(NamedTuple):
    """Something that is not copied. `blocks`: state of the user's hangs on it, so that a branch needs the user's consent."""

    kind: str
    name: str
    blocks: bool = True


class OpenFile(NamedTuple):
    """A regular file or directory that is open: a branch opens it anew."""

    fd: int
    path: str
    flags: int
    position: int
    inheritable: bool
    is_deleted: bool
    is_directory: bool


class Descriptors(NamedTuple):
    """What the descriptors that are not the kernel's lead to. `unusable`: those that a branch must not share."""

    files: list[OpenFile]
    unusable: list[int]
    findings: list[Finding]


def threads(loop: asyncio.AbstractEventLoop, helper: tuple[int, int]) -> Iterator[Finding]:
    """Threads of Python by name, those of libraries by the name the system knows. `helper`: ident and native id of ours."""
    python = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    for thread in python:
        if not _is_renewable(thread) and not _is_idle_worker(thread, loop):
            yield Finding("thread", thread.name)
    named = {thread.ident for thread in threading.enumerate()} | {helper[0]}
    unnamed = [frame for ident, frame in sys._current_frames().items() if ident not in named]
    for frame in unnamed:
        while frame.f_back is not None:
            frame = frame.f_back
        yield Finding("thread", f"unnamed, running {frame.f_code.co_name}")
    known = {os.getpid(), helper[1], *(thread.native_id for thread in python)}
    others = [tid for tid in map(int, os.listdir("/proc/self/task")) if tid not in known]
    # Which of them are the unnamed ones nobody tells; all are of this process, so any will do for the count.
    names = Counter(map(_thread_name, others[len(unnamed) :]))
    for name, count in names.items():
        yield Finding("native_thread", f"{name} ({count})", blocks=False)


def _thread_name(tid: int) -> str:
    try:
        with open(f"/proc/self/task/{tid}/comm") as file:
            return file.read().strip()
    except OSError:
        return "gone"


def _is_renewable(thread: threading.Thread) -> bool:
    return (type(thread).__module__, type(thread).__name__) in _RENEWABLE


def _is_idle_worker(thread: threading.Thread, loop: asyncio.AbstractEventLoop) -> bool:
    """Whether it belongs to the loop's own executor (asyncio.to_thread) and nothing is to do there; the loop makes a new one."""
    executor = getattr(loop, "_default_executor", None)
    if executor is None or thread not in getattr(executor, "_threads", ()):
        return False
    waiting: int = executor._idle_semaphore._value
    return bool(executor._work_queue.empty()) and waiting == len(executor._threads)


def tasks(loop: asyncio.AbstractEventLoop) -> Iterator[tuple[Finding, asyncio.Task[Any]]]:
    """The tasks that are not done."""
    for task in asyncio.all_tasks(loop):
        name = getattr(task.get_coro(), "__qualname__", "")
        yield Finding("task", f"{task.get_name()} ({name})"), task


def timers() -> Iterator[Finding]:
    """Alarms that are set; a fork has none."""
    for number, name in (
        (signal.ITIMER_REAL, "SIGALRM"),
        (signal.ITIMER_VIRTUAL, "SIGVTALRM"),
        (signal.ITIMER_PROF, "SIGPROF"),
    ):
        left = signal.getitimer(number)[0]
        if left:
            yield Finding("timer", f"{name} in {left:.3g} s", blocks=False)


def processes() -> Iterator[Finding]:
    """Child processes, whichever thread started them."""
    tracker = _resource_tracker()[0]
    for task in os.listdir("/proc/self/task"):
        with suppress(OSError), open(f"/proc/self/task/{task}/children") as file:
            for pid in map(int, file.read().split()):
                if pid != tracker:
                    yield _process(pid)


def _process(pid: int) -> Finding:
    command, state = "", ""
    with suppress(OSError):
        with open(f"/proc/{pid}/cmdline", errors="replace") as file:
            command = file.read().replace("\0", " ").strip()
        with open(f"/proc/{pid}/stat") as file:
            name, _, rest = file.read().partition("(")[2].rpartition(")")
            command, state = command or name, rest.split()[0]
    if state == "Z":  # all that is left of it is its exit status
        return Finding("process", f"{pid} {command} (ended)", blocks=False)
    return Finding("process", f"{pid} {command}"[:_MAX_NAME])


def _resource_tracker() -> tuple[int | None, int | None]:
    """Process and descriptor of multiprocessing's resource tracker, which forks are meant to share."""
    module = sys.modules.get("multiprocessing.resource_tracker")
    tracker = getattr(module, "_resource_tracker", None)
    return getattr(tracker, "_pid", None), getattr(tracker, "_fd", None)


def shared_memory() -> Iterator[Finding]:
    """Memory that both processes would go on writing to."""
    with open("/proc/self/maps", errors="replace") as file:
        paths = {found[1] for found in _SHARED.finditer(file.read())}
    for path in sorted(paths):
        if not path.startswith(_GPUS):
            yield Finding("shared_memory", path[:_MAX_NAME], blocks=False)


def descriptors(own: Collection[int]) -> Descriptors:
    """Look at every open descriptor but those in `own`."""
    found = Descriptors([], [], [])
    tracker = _resource_tracker()[1]
    for fd in map(int, os.listdir(_FD)):
        if fd in own or fd == tracker:
            continue
        with suppress(OSError):  # that of the listing itself is closed already
            _look_at(fd, found)
    return found


def remaining(found: Descriptors) -> Descriptors:
    """What is left of them in a process that was just forked: libraries close files of theirs there (os.register_at_fork).

    Their numbers are free then, and the next file or socket that is opened has one of them."""
    files = [file for file in found.files if _leads_to(file.fd) == file.path]
    return Descriptors(files, [fd for fd in found.unusable if _leads_to(fd) is not None], found.findings)


def _leads_to(fd: int) -> str | None:
    try:
        return os.readlink(f"{_FD}/{fd}")
    except OSError:
        return None


def _look_at(fd: int, found: Descriptors) -> None:
    info = os.fstat(fd)
    path = os.readlink(f"{_FD}/{fd}")
    kind, name = "", path
    if stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode):
        if not _is_database(fd, info, path):
            found.files.append(_open_file(fd, info, path))
            found.findings.extend(_locks(fd, path))
            return
        kind = "database"
    elif stat.S_ISSOCK(info.st_mode):
        kind, name = "socket", _describe_socket(fd)
    elif stat.S_ISFIFO(info.st_mode):
        kind = "pipe"
    elif stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
        if path.startswith(_GPUS):
            found.findings.append(Finding("gpu", path))
        return  # any other device has no state of this process
    else:  # epoll, eventfd, timerfd, inotify, ...
        found.findings.append(Finding("descriptor", f"{fd} {path}", blocks=False))
        found.unusable.append(fd)
        return
    found.findings.append(Finding(kind, f"{fd} {name}"[:_MAX_NAME]))
    found.unusable.append(fd)


def _open_file(fd: int, info: os.stat_result, path: str) -> OpenFile:
    is_directory = stat.S_ISDIR(info.st_mode)
    return OpenFile(
        fd,
        path,
        fcntl.fcntl(fd, fcntl.F_GETFL),
        0 if is_directory else os.lseek(fd, 0, os.SEEK_CUR),
        os.get_inheritable(fd),
        info.st_nlink == 0,
        is_directory,
    )


def _is_database(fd: int, info: os.stat_result, path: str) -> bool:
    """Whether this is SQLite's: its journal has a path of its own, which a branch would share with the parent."""
    if not stat.S_ISREG(info.st_mode):
        return False
    if path.endswith(("-journal", "-wal", "-shm")):
        return True
    if info.st_size == 0:
        return path.endswith((".db", ".sqlite", ".sqlite3"))
    try:
        return os.pread(fd, len(_DATABASE), 0) == _DATABASE
    except OSError:  # open for writing only
        return False


def _locks(fd: int, path: str) -> Iterator[Finding]:
    with open(f"/proc/self/fdinfo/{fd}") as file:
        if re.search(r"^lock:", file.read(), re.MULTILINE):
            yield Finding("lock", f"{fd} {path}"[:_MAX_NAME], blocks=False)


def _describe_socket(fd: int) -> str:
    with socket.socket(fileno=os.dup(fd)) as sock:
        family = "unix" if sock.family == socket.AF_UNIX else sock.family.name.removeprefix("AF_").lower()
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            family = {socket.SOCK_STREAM: "tcp", socket.SOCK_DGRAM: "udp"}.get(sock.type, family)
        here = _address(sock.getsockname())
        try:
            return f"{family} {here} -> {_address(sock.getpeername())}"
        except OSError:
            return f"{family} {here}"


def _address(value: Any) -> str:
    if isinstance(value, tuple) and len(value) >= 2:
        host = f"[{value[0]}]" if ":" in str(value[0]) else value[0]
        return f"{host}:{value[1]}"
    if isinstance(value, bytes):
        return value.decode(errors="replace").replace("\0", "@")
    return str(value) or "unnamed"
