"""Boxes: namespaces with an init of their own, which live as long as the server holds the other end of their socket.

The maker is a small process beside the spawner. The spawner cannot make boxes itself: once it has aimed a fork at the pid namespace
of one box, an ordinary user has no way back. For a box the maker forks an intermediate process, which leaves for the box's user and
pid namespaces, and forks init there. Init puts the rest together and becomes a program of 500 bytes."""

from __future__ import annotations

import errno
import fcntl
import gc
import json
import os
import signal
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from . import linux, world
from .plan import Plan
from .root import Root

NAME = "pr-boxes"
_INIT_NAME = b"pr-init"
_INITS = Path(__file__).with_name("init")
_PARTS = linux.NEWNS | linux.NEWCGROUP | linux.NEWUTS | linux.NEWIPC
_MAX_MESSAGE = 1 << 18
WRITABLE = ("/tmp", "/dev/shm", "/dev/pts", "/proc")
"""What a box has of its own to write to. Of /proc that is what its processes may change about themselves."""
_ASIDE = 64
_SOCKET, _SIGNALS = 3, 4  # where init has its descriptors
_NO_ROOT = 1  # of the securebits: a program that root runs gets no capabilities by that
_SIOCSIFFLAGS, _UP_AND_RUNNING = 0x8914, 0x41
_PR_SET_CHILD_SUBREAPER = 36


def problem() -> str | None:
    """Why there are no boxes on this machine, or None. Only making one shows whether Linux allows it."""
    machine = os.uname().machine
    return None if (_INITS / f"{machine}.elf").exists() else f"there is no init for {machine}"


class Maker:
    """The maker, as the spawner has it."""

    def __init__(self) -> None:
        self.pid = 0
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Fork it, unless it runs. To be called before the first fork into a box. Raises OSError."""
        if self.pid:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            _make_boxes(theirs)
        theirs.close()
        self._socket = ours

    def make(self, plan: Any, box_socket: int) -> None:
        """Have a box made; what becomes of it is said on its socket, whose descriptor stays the caller's.

        Raises ValueError for what is no plan, and OSError where no box can be made."""
        Plan.of(plan)
        reason = problem()
        if reason is not None:
            raise OSError(errno.ENOSYS, f"box: {reason}")
        self.start()
        assert self._socket is not None
        with linux.part("the maker of boxes"):
            socket.send_fds(self._socket, [json.dumps(plan).encode()], [box_socket])


def _make_boxes(requests: socket.socket) -> NoReturn:
    try:
        requests = socket.socket(fileno=fcntl.fcntl(requests, fcntl.F_DUPFD_CLOEXEC, _ASIDE))
        os.closerange(3, requests.fileno())
        os.closerange(requests.fileno() + 1, 1 << 20)
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Linux then collects our children itself
        linux.prctl(linux.PR_SET_NAME, NAME.encode() + b"\0", name="name")
        linux.prctl(_PR_SET_CHILD_SUBREAPER, 1, name="subreaper")  # an init is ours, and not the spawner's to end
        program = _program()
        gc.disable()
        gc.freeze()  # what is forked shares all that it does not write to
        while True:
            data, fds, _, _ = socket.recv_fds(requests, _MAX_MESSAGE, 1)
            if not data:
                os._exit(0)
            with socket.socket(fileno=fds[0]) as box:
                _make(Plan.of(json.loads(data)), box, program)
    except BaseException as error:
        os.write(2, f"the maker of boxes ends: {type(error).__name__}: {error}\n".encode())
    os._exit(1)


def _program() -> int:
    """The descriptor of init's program. All inits share its memory."""
    with linux.part("init"):
        code = (_INITS / f"{os.uname().machine}.elf").read_bytes()
        fd = os.memfd_create("pr-init", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(fd, code)
        os.fchmod(fd, 0o500)
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        return fd


def _make(plan: Plan, box: socket.socket, program: int) -> None:
    """Fork the intermediate process, which forks init; both tell of their failures on the box's socket."""
    try:
        with linux.part("fork"):
            between = os.fork()
    except OSError as error:
        _say_error(box, error)
        return
    if between:
        return
    try:
        if world.needed():
            linux.prctl(linux.PR_SET_DUMPABLE, 1, name="dumpable")  # for the maps, which are root's otherwise
            world.new_user_namespace()
            linux.prctl(linux.PR_SET_DUMPABLE, 0, name="dumpable")
        linux.unshare(linux.NEWPID, "pid namespace")
        with linux.part("fork init"):
            if os.fork() == 0:
                _be_init(plan, box, program)
    except BaseException as error:
        _say_error(box, error)
    os._exit(0)


def _be_init(plan: Plan, box: socket.socket, program: int) -> NoReturn:
    try:
        os.setsid()
        own_network = linux.NEWNET if plan.network == "none" else 0
        linux.unshare(_PARTS | own_network, "mount, cgroup, uts, ipc and net namespaces")
        with linux.part("host name"):
            socket.sethostname("box")
        if own_network:
            _raise_loopback()
        Root(plan).build()
        with linux.part("descriptors"):
            pidfd = os.pidfd_open(os.getpid())
            proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            socket.send_fds(box, [json.dumps({"made": True}).encode()], [pidfd, proc])
        _become_program(box, program)
    except BaseException as error:
        _say_error(box, error)
    os._exit(1)


def _become_program(box: socket.socket, program: int) -> None:
    with linux.part("init"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGCHLD})
        signals = linux.signal_descriptor(signal.SIGCHLD)
        aside = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ASIDE) for fd in (box.fileno(), signals, program)]
        os.dup2(aside[0], _SOCKET)
        os.dup2(aside[1], _SIGNALS)
        os.closerange(0, _SOCKET)
        os.closerange(_SIGNALS + 1, min(aside))
        if os.geteuid() == 0:
            linux.prctl(linux.PR_SET_SECUREBITS, _NO_ROOT, name="securebits")
        os.execve(aside[2], [_INIT_NAME], {})


def _raise_loopback() -> None:
    with linux.part("loopback"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))


def _say_error(box: socket.socket, error: BaseException) -> None:
    reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    with suppress(OSError):  # the server wants it no longer
        box.send(json.dumps({"error": reason}).encode(), socket.MSG_NOSIGNAL)


def aim(pidfd: int) -> None:
    """Have the next processes that this one forks start in the pid namespace of a box. Raises OSError if it has ended."""
    linux.setns(pidfd, linux.NEWPID, "box")


def join(pidfd: int) -> None:
    """Enter what is left of a box: files, host name, ipc, cgroup names, network, and its user namespace unless we are root."""
    kinds = _PARTS | (linux.NEWUSER if world.needed() else 0) | (0 if _shares_network(pidfd) else linux.NEWNET)
    linux.setns(pidfd, kinds, "join the box")


def _shares_network(pidfd: int) -> bool:
    """Whether the box has the machine's network: joining that is refused to an ordinary user, who has it already."""
    with linux.part("the box's network"), open(f"/proc/self/fdinfo/{pidfd}") as file:
        pid = next(line.split()[1] for line in file if line.startswith("Pid:"))
    with linux.part("the box's network"):
        return os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino
