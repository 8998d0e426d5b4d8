"""The zygote: one process that has imported and tried everything once, and forks a kernel for each request of the server.

It stays single-threaded and holds no secret: every kernel is a copy of it. A kernel takes its orphans, and the zygote those of a
kernel that has ended, whatever they call themselves: it ends them. Messages are described in ``runtimes/README.md``."""

from __future__ import annotations

import array
import gc
import json
import os
import resource
import select
import signal
import socket
import tempfile
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from polyrepl_confine import box, confinement, linux

from . import prctl
from .lifetime import outlive_parent
from .start import Message, Start, process_name

MAX_MESSAGE = 1 << 18
_ANCILLARY = socket.CMSG_SPACE(16 * 4)
_REMEMBERED_EXITS = 256
_END_ROUNDS = 20
_CLEAN_UP = 0.5  # seconds that what a kernel leaves behind has after SIGTERM
_AGAIN = 1.0  # seconds before one that was killed, and is still there, is killed again
_BRANCH_SECONDS = 30.0  # that a branch may take until the server knows it, see `_SETTLE_SECONDS` there
_STATE = ("IPYTHONDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME")  # where libraries keep what they believe the next time


class Zygote:
    """Answers the server at the other end of `connection`, and ends what it forked when the server is gone."""

    def __init__(self, connection: socket.socket, boxes: box.Maker | None = None) -> None:
        self._connection = connection
        self._boxes = boxes
        self._aimed = False  # at the pid namespace of a box: an ordinary user cannot fork outside boxes any more
        self._wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._kernels: dict[int, str] = {}  # by pid, with their names
        self._expected: dict[str, float] = {}  # names of branches that are on their way to the server, and until when
        self._leaving: dict[int, tuple[float, Message]] = {}  # groups of ended kernels: until when, and the notice
        self._orphans: dict[int, float] = {}  # children that are no kernels, and when each is killed
        self._mercy_until = 0.0  # what appears later is killed at once
        self._other_exits: OrderedDict[int, Message] = OrderedDict()
        confinement.prepare()
        _allow_descriptors()
        prctl.take_orphans()
        outlive_parent()  # the end of the connection says that the server is gone
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that the descriptor is written to
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(each, signal.SIG_IGN)  # meant for the server, which then ends us in order

    def serve(self, hello: Message, *fds: int) -> Start:
        """Greet, then answer requests until the server is gone. Returns in forked processes only."""
        self._send({"op": "hello", "pid": os.getpid(), **hello}, *fds)
        for fd in fds:
            os.close(fd)
        poller = select.poll()
        poller.register(self._connection, select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        while True:
            ready = poller.poll(self._patience())
            looks = not ready
            for fd, _ in ready:
                if fd == self._wake:
                    os.read(fd, 4096)
                    self._reap()
                    looks = True
                    continue
                start = self._receive()
                if start is not None:
                    return start
            if looks or self._leaving or self._orphans:
                children = _children()
                while select.select([self._connection], [], [], 0)[
                    0
                ]:  # a branch among them was announced before it came
                    start = self._receive()
                    if start is not None:
                        return start
                self._settle(children)

    def _patience(self) -> float | None:
        """Milliseconds until something has had its time; None if nothing waits."""
        ends = [*(until for until, _ in self._leaving.values()), *self._orphans.values(), *self._expected.values()]
        return max(0.0, min(ends) - time.monotonic()) * 1000 + 1 if ends else None

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
                return start if self._fork(message.get("id"), start) else None
            case "box" if self._boxes is not None:
                if len(fds) != 1:
                    raise ValueError(f"{len(fds)} descriptors instead of 1")
                self._boxes.make(message.get("plan"), fds[0])
                self._send({"op": "boxing", "id": message.get("id")})
                return None
            case "adopt":
                self._adopt(message.get("id"), message.get("pid"))
                return None
            case "expect":
                until = time.monotonic() + _BRANCH_SECONDS
                self._expected |= {process_name(str(tag)): until for tag in message["tags"]}
                return None
            case other:
                raise ValueError(f"unknown op {other!r}")

    def _fork(self, number: Any, start: Start) -> bool:
        if start.confining.boxed:
            self._aim(start.confining.pidfd)
        elif self._aimed:
            raise ValueError("this process starts kernels in boxes, and can start none outside any more")
        with linux.part("fork"):  # a box that ends right now has no memory, Linux says
            pid = os.fork()
        if pid == 0:
            return True
        try:
            pidfd = os.pidfd_open(pid)
        except (AttributeError, OSError) as error:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise OSError(f"no pidfd: {error}") from None
        self._kernels[pid] = process_name(start.tag)
        self._send({"op": "spawned", "id": number, "pid": pid}, pidfd)
        os.close(pidfd)
        return False

    def _aim(self, pidfd: int) -> None:
        """Have the next fork land in the pid namespace of a box. The fork after it is aimed at its own."""
        if self._boxes is not None:
            self._boxes.start()  # while a fork still lands beside us
        self._aimed = True
        box.aim(pidfd)

    def _adopt(self, number: Any, pid: Any) -> None:
        """A process that a kernel left to us, the subreaper, is a kernel of its own now."""
        if type(pid) is not int or pid <= 1:
            raise ValueError("pid is a number above 1")
        ended = self._other_exits.pop(pid, None)
        if ended is None and pid not in _children():
            raise ValueError(f"{pid} is not our child")
        self._send({"op": "adopted", "id": number, "pid": pid})
        name = _name_of(pid)
        self._expected.pop(name, None)
        if ended is None:
            self._kernels[pid] = name
        else:
            self._send(ended)

    def _reap(self) -> None:
        """Collect every process that ended; what a kernel has left behind is asked to end.

        SIGTERM first: Python's resource trackers ignore it, and remove shared memory once all that used it have ended."""
        while (pid := _next_zombie()) is not None:
            if pid in self._kernels:  # it is a zombie still, so the number is nobody else's
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGTERM)
            _, status, usage = os.wait4(pid, 0)
            notice: Message = {"op": "exit", "pid": pid, "status": status, "peak_bytes": usage.ru_maxrss * 1024}
            if pid in self._kernels:
                self._expected.pop(self._kernels.pop(pid), None)
                self._mercy_until = time.monotonic() + _CLEAN_UP
                self._leaving[pid] = (self._mercy_until, notice)
            else:
                self._other_exits[pid] = notice
                if len(self._other_exits) > _REMEMBERED_EXITS:
                    self._other_exits.popitem(last=False)

    def _settle(self, children: set[int]) -> None:
        """End our children that are no kernels, and tell of the kernels that have ended once their groups are empty.

        Each was left by a kernel that has ended; what it leaves itself comes to us next. Not so the branch of a kernel, which the
        server has announced and will adopt."""
        now = time.monotonic()
        self._expected = {name: until for name, until in self._expected.items() if now < until}
        kept = {*self._kernels, self._boxes.pid if self._boxes is not None else 0}
        left = {pid for pid in children - kept if _name_of(pid) not in self._expected}
        self._orphans = {pid: self._ask_to_end(pid, now) for pid in left}
        groups = {_group_of(pid) for pid in left}  # a child of ours that is not collected keeps the number of its group
        for leader, (until, notice) in list(self._leaving.items()):
            if leader in groups:
                if now < until:
                    continue
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(leader, signal.SIGKILL)
            del self._leaving[leader]
            self._send(notice)

    def _ask_to_end(self, orphan: int, now: float) -> float:
        """Politely at first, but not for ever: what comes long after its kernel's end is what another left that was to end."""
        until = self._orphans.get(orphan)
        if until is None:
            _kill(orphan, signal.SIGTERM)
            until = min(now + _CLEAN_UP, self._mercy_until)
        if now >= until:
            _kill(orphan, signal.SIGKILL)
            until = now + _AGAIN
        return until

    def _send(self, message: Message, *fds: int) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._connection.sendmsg([json.dumps(message).encode()], rights)
        except OSError:
            self._end()

    @staticmethod
    def _collect_until(until: float) -> None:
        """Collect children until there are none, or the time is over."""
        with suppress(ChildProcessError):
            while time.monotonic() < until:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.005)

    def _end(self) -> None:
        """The server is gone: end everything that came from us, and ourselves."""
        for pid in self._kernels:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGTERM)
                os.kill(pid, signal.SIGKILL)
        self._collect_until(time.monotonic() + _CLEAN_UP)
        for _ in range(_END_ROUNDS):  # what those had started becomes ours, and is ended in the next round
            left = _children()
            if not left:
                break
            for pid in left:
                if _group_of(pid) == pid:  # not collected, so the number is still its own
                    with suppress(ProcessLookupError, PermissionError):
                        os.killpg(pid, signal.SIGKILL)
                _kill(pid, signal.SIGKILL)
            self._collect_until(time.monotonic() + _CLEAN_UP)
        os._exit(0)


def main(fd: int, names: Sequence[str]) -> NoReturn:
    """Be a zygote with these modules for the server at the other end of `fd`; in a forked process, be its kernel."""
    began = time.monotonic()
    if "POLYREPL_HIDDEN" in os.environ:
        prctl.hide()  # whoever writes into our memory writes into that of every kernel
    _keep_state_apart()
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
    kernel.reserve.prepare()  # not before: it would be filled with huge pages
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


def _keep_state_apart() -> None:
    """Believe nothing that was there before: each zygote has a new directory for what libraries keep and read again."""
    caches = os.path.join(tempfile.gettempdir(), "cache")
    os.makedirs(caches, mode=0o700, exist_ok=True)
    place = tempfile.mkdtemp(prefix="zygote-", dir=caches)
    for name in _STATE:
        os.environ[name] = os.path.join(place, name.lower())


def _allow_descriptors() -> None:
    """Have as many as there may be: whoever may have fewer than lie in sockets of this user cannot send any."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _next_zombie() -> int | None:
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return found.si_pid if found else None


def _kill(pid: int, signum: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # a set-user-id program
        os.kill(pid, signum)


def _group_of(pid: int) -> int:
    """The process group of a child; 0 if it has ended and was collected."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _children() -> set[int]:
    """Our children. We have one thread."""
    try:
        with open("/proc/thread-self/children") as file:
            return {int(pid) for pid in file.read().split()}
    except OSError:  # this Linux was built without it
        own = os.getpid()
        return {pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent_of(pid) == own}


def _parent_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:  # gone
        return 0


def _name_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:  # gone
        return ""
