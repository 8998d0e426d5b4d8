"""The zygote: one process that has imported and tried everything once, and forks a kernel for each request of the server.

It stays single-threaded and holds no secret: every kernel is a copy of it. Messages are described in ``runtimes/README.md``."""

from __future__ import annotations

import array
import gc
import json
import os
import re
import select
import signal
import socket
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from . import confine
from .lifetime import outlive_parent

MAX_MESSAGE = 1 << 18
_FDS = 6  # stream, stdin, and both ends of the pipes for stdout and stderr
_ANCILLARY = socket.CMSG_SPACE(16 * 4)
_REMEMBERED_EXITS = 256
_TAG = re.compile(r"[A-Za-z0-9_-]{1,12}")
_PR_SET_CHILD_SUBREAPER = 36
_END_ROUNDS = 20
_CLEAN_UP = 0.5  # seconds that what a kernel leaves in its process group has after SIGTERM

Message = dict[str, Any]


class Start:
    """What a forked process is to become. The descriptors are owned by whoever has this."""

    def __init__(self, message: Message, fds: list[int]) -> None:
        """Raises ValueError that names what is wrong with the request."""
        if len(fds) != _FDS:
            raise ValueError(f"{len(fds)} descriptors instead of {_FDS}")
        self.cwd = message.get("cwd")
        self.env = message.get("env")
        self.tag = message.get("tag")
        self.confinement = message.get("confinement", {})
        self.fds = fds
        if not isinstance(self.cwd, str) or not self.cwd.startswith("/") or "\0" in self.cwd:
            raise ValueError("cwd is an absolute path")
        if not isinstance(self.env, dict) or not all(map(_is_variable, self.env.items())):
            raise ValueError("env is an object of strings")
        if not isinstance(self.tag, str) or not _TAG.fullmatch(self.tag):
            raise ValueError("tag is 1 to 12 letters, digits, _ or -")
        confine.check(self.confinement)


def _is_variable(item: tuple[str, Any]) -> bool:
    name, value = item
    return bool(name) and isinstance(value, str) and not {"=", "\0"} & set(name) and "\0" not in value


class Zygote:
    """Answers the server at the other end of `connection`, and ends what it forked when the server is gone."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._kernels: set[int] = set()
        self._leaving: dict[
            int, tuple[float, Message]
        ] = {}  # groups of kernels that have ended: until when, and the notice
        self._other_exits: OrderedDict[int, Message] = OrderedDict()
        become_subreaper()
        outlive_parent()  # the end of the connection says that the server is gone
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that the descriptor is written to
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(each, signal.SIG_IGN)  # meant for the server, which then ends us in order

    def serve(self, hello: Message) -> Start:
        """Greet, then answer requests until the server is gone. Returns in forked processes only."""
        self._send({"op": "hello", "pid": os.getpid(), **hello})
        poller = select.poll()
        poller.register(self._connection, select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        while True:
            for fd, _ in poller.poll(self._patience()):
                if fd == self._wake:
                    os.read(fd, 4096)
                    self._reap()
                    continue
                start = self._receive()
                if start is not None:
                    return start
            self._settle()

    def _patience(self) -> float | None:
        """Milliseconds until the first group has had its time; None if there is none."""
        if not self._leaving:
            return None
        first = min(until for until, _ in self._leaving.values())
        return max(0.0, first - time.monotonic()) * 1000 + 1

    def _receive(self) -> Start | None:
        try:
            data, ancillary, flags, _ = self._connection.recvmsg(MAX_MESSAGE, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            self._end()
        if not data:
            self._end()
        fds = array.array("i")
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        number = None
        try:
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise ValueError("the message is too large")
            message = json.loads(data)
            if not isinstance(message, dict):
                raise ValueError("a message is an object")
            number = message.get("id")
            start = self._answer(message, list(fds))
            if start is not None:
                return start
        except (ValueError, OSError, RecursionError) as error:
            self._send({"op": "failed", "id": number, "error": str(error)})
        for fd in fds:
            os.close(fd)
        return None

    def _answer(self, message: Message, fds: list[int]) -> Start | None:
        """Do what a message asks for; returns something in a forked process only."""
        match message.get("op"):
            case "spawn":
                start = Start(message, fds)
                return start if self._fork(message.get("id")) else None
            case "adopt":
                self._adopt(message.get("id"), message.get("pid"))
                return None
            case other:
                raise ValueError(f"unknown op {other!r}")

    def _fork(self, number: Any) -> bool:
        pid = os.fork()
        if pid == 0:
            return True
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self._kernels.add(pid)
        self._send({"op": "spawned", "id": number, "pid": pid}, pidfd)
        os.close(pidfd)
        return False

    def _adopt(self, number: Any, pid: Any) -> None:
        """A process that a kernel left to us, the subreaper, is a kernel of its own now."""
        if type(pid) is not int or pid <= 1:
            raise ValueError("pid is a number above 1")
        ended = self._other_exits.pop(pid, None)
        children = _children()
        if ended is None and children is not None and pid not in children:
            raise ValueError(f"{pid} is not our child")
        self._send({"op": "adopted", "id": number, "pid": pid})
        if ended is None:
            self._kernels.add(pid)
        else:
            self._send(ended)

    def _reap(self) -> None:
        """Collect every process that ended; what a kernel left in its process group ends with it.

        SIGTERM first: Python's resource trackers ignore it, and remove shared memory once all that used it have ended."""
        first = signal.SIGKILL if _children() is None else signal.SIGTERM
        while (pid := _next_zombie()) is not None:
            if pid in self._kernels:  # it is a zombie still, so the number is nobody else's
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, first)
            _, status, usage = os.wait4(pid, 0)
            notice: Message = {"op": "exit", "pid": pid, "status": status, "peak_bytes": usage.ru_maxrss * 1024}
            if pid in self._kernels:
                self._kernels.discard(pid)
                self._leaving[pid] = (time.monotonic() + _CLEAN_UP, notice)
            else:
                self._other_exits[pid] = {**notice, "orphans": True}
                if len(self._other_exits) > _REMEMBERED_EXITS:
                    self._other_exits.popitem(last=False)

    def _settle(self) -> None:
        """Tell of the kernels that have ended once their groups are empty, or have had their time."""
        if not self._leaving:
            return
        children = _children()
        others = (children or set()) - self._kernels
        groups = {
            _group_of(pid) for pid in others
        }  # a child of ours that is not collected keeps the number of its group
        now = time.monotonic()
        for pid, (until, notice) in list(self._leaving.items()):
            if pid in groups:
                if now < until:
                    continue
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
            del self._leaving[pid]
            self._send({**notice, "orphans": children is None or bool(others)})

    def _send(self, message: Message, *fds: int) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._connection.sendmsg([json.dumps(message).encode()], rights)
        except OSError:
            self._end()

    def _end(self) -> None:
        """The server is gone: end everything that came from us, and ourselves."""
        for pid in self._kernels:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGTERM)
                os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + _CLEAN_UP
        with suppress(ChildProcessError):
            while time.monotonic() < until:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.005)
        for _ in range(_END_ROUNDS):
            alive = self._kernels | (_children() or set())
            for pid in alive:
                for kill in (os.killpg, os.kill):
                    with suppress(ProcessLookupError, PermissionError):
                        kill(pid, signal.SIGKILL)
            for pid in alive:  # what those had started becomes ours and is ended in the next round
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)
            self._kernels.clear()
            if not alive:
                break
        os._exit(0)


def main(fd: int, names: Sequence[str]) -> NoReturn:
    """Be a zygote with these modules for the server at the other end of `fd`; in a forked process, be its kernel."""
    began = time.monotonic()
    from . import forked, pages, preload, warm
    from .app import build

    kernel = build()
    loaded, failed = preload.preload(names)
    try:
        warm.warm(kernel, loaded)
    except Exception as error:  # kernels are slower at first, no more
        failed["first cells"] = f"{type(error).__name__}: {error}"
    connection = socket.socket(fileno=fd)
    connection.set_inheritable(False)
    foreign_fds = _open_fds() - {0, 1, 2, fd}
    umask = os.umask(0o077)
    os.umask(umask)
    forked.prepare(kernel)
    zygote = Zygote(connection)
    _try_fork()
    warm.forget_warnings()  # of forking beside the threads that have ended with this
    hello = {
        "preloaded": loaded,
        "failed": failed,
        "watched": preload.watched(loaded),
        "threads": len(os.listdir("/proc/self/task")),
        "boot_ms": round((time.monotonic() - began) * 1000),
    }
    gc.collect()
    gc.disable()
    gc.freeze()  # a collection in a kernel would otherwise write to, and so copy, all that it shares with us
    hello["huge_page_bytes"] = pages.collapse()
    start = zygote.serve(hello)
    forked.run(kernel, start, foreign_fds=foreign_fds, umask=umask)


def _open_fds() -> set[int]:
    with os.scandir("/proc/self/fd") as entries:
        found = {int(entry.name) for entry in entries}
    return {fd for fd in found if os.path.exists(f"/proc/self/fd/{fd}")}  # without that of the scan itself


def _try_fork() -> None:
    """Fork once for nothing: what libraries do before their first fork, such as ending their threads, is done then."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def become_subreaper() -> None:
    """Have the orphans among our descendants become our children, so that they can be found."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _next_zombie() -> int | None:
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return found.si_pid if found else None


def _group_of(pid: int) -> int:
    """The process group of a child; 0 if it has ended and was collected."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _children() -> set[int] | None:
    """Our children; None where Linux does not tell."""
    try:
        with open("/proc/thread-self/children") as file:
            return {int(pid) for pid in file.read().split()}
    except OSError:
        return None
