"""The first steps of a forked kernel: it sheds what was the zygote's and becomes a process as if started on its own."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress

from . import confine
from .zygote import Start

_ASIDE = 64  # the first number that is in nobody's way while descriptors are arranged
_COMM_BYTES = 15
STREAM, STDOUT_READER, STDERR_READER = 3, 4, 5


def enter(start: Start, *, foreign_fds: Iterable[int] = (), umask: int = 0o022) -> socket.socket:
    """Become what `start` says; returns the stream. `foreign_fds`: those that libraries opened in the zygote.

    Raises what goes wrong; stderr is the kernel's own by then."""
    _arrange(start.fds, foreign_fds)
    os.setsid()
    name_process(start.tag)
    _reset_signals()
    os.umask(umask)
    _replace_environment(start.env)
    reseed()
    os.chdir(start.cwd)
    confine.apply(start.confinement)
    gc.enable()
    return socket.socket(fileno=STREAM)


def _arrange(fds: list[int], foreign_fds: Iterable[int]) -> None:
    """Have exactly stdin, stdout, stderr, the stream, and the readers of stdout and stderr open, as 0 to 5."""
    stream, stdin, stdout_reader, stdout, stderr_reader, stderr = (
        fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ASIDE) for fd in fds
    )
    for number, fd in enumerate((stdin, stdout, stderr)):
        os.dup2(fd, number)
    for number, fd in ((STREAM, stream), (STDOUT_READER, stdout_reader), (STDERR_READER, stderr_reader)):
        os.dup2(fd, number, inheritable=False)
    signal.set_wakeup_fd(-1)
    # Some library still believes that these are its files, and will close their numbers one day.
    foreign = set(foreign_fds)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC) if foreign else -1
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd in foreign and fd != null:
            os.dup2(null, fd, inheritable=False)
        elif fd > STDERR_READER:
            with suppress(OSError):  # that of the listing itself is closed already
                os.close(fd)


def name_process(tag: str) -> None:
    """Processes that are forked without an exec keep this name, so that they are found when their kernel is gone."""
    with suppress(OSError), open("/proc/self/comm", "w") as file:
        file.write(f"pr-{tag}"[:_COMM_BYTES])


def _reset_signals() -> None:
    """What Python has at its start: SIGINT raises, SIGPIPE and SIGXFSZ are ignored, all others do what Linux says."""
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _replace_environment(env: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    tempfile.tempdir = None


def reseed() -> None:
    """Give this process random numbers of its own; `random` itself does so at every fork, `secrets` and `uuid` need nothing."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.seed()
