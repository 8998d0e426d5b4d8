"""The spawner: a zygote that has imported nothing, and whose children become other programs. So those have a parent that ends
what they leave behind."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from typing import NoReturn

from polyrepl_confine import box, world

from . import prctl
from .start import Start
from .zygote import Zygote

_ASIDE = 64  # the first number that is in nobody's way while descriptors are arranged
_CANNOT_RUN = 127  # as a shell says it


def main(fd: int, place: str = "") -> NoReturn:
    """Start programs for the server at the other end of `fd`; in a forked process, be one.

    `place`: the world to be in, as a descriptor; or "new", to make it and send its descriptor with the first message."""
    connection = socket.socket(fileno=fd)
    connection.set_inheritable(False)
    made = []
    if place == "new":
        made.append(world.make())
    elif place:
        world.enter(int(place))
    prctl.hide()
    hello = {"preloaded": [], "failed": {}, "watched": {}, "threads": 1, "boot_ms": 0, "huge_page_bytes": 0}
    zygote = Zygote(connection, box.Maker())
    start = zygote.serve(hello, *made)
    try:
        _become(start)
    except OSError as error:
        os.write(2, f"{start.argv[:1]}: {error.strerror}\n".encode("utf-8", "backslashreplace"))
    os._exit(_CANNOT_RUN)


def _become(start: Start) -> None:
    """Be the program, with what Popen would have given it. Raises OSError; stderr is its own by then."""
    signal.set_wakeup_fd(-1)
    start.confining.account()
    aside = max(_ASIDE, start.stream_fd + 1)
    stream, stdin, _, stdout, _, stderr = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, aside) for fd in start.fds)
    for number, fd in enumerate((stdin, stdout, stderr)):
        os.dup2(fd, number)
    if start.stream_fd > 2:
        os.dup2(stream, start.stream_fd)
    os.setsid()
    prctl.take_orphans()
    for each in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(each) not in (signal.SIG_DFL, None):
            signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    start.confining.join()
    start.confining.apply()
    os.chdir(start.cwd)  # as the user, who may not enter what others have
    # In a box the parent has no number, and a kernel that looks for it would end.
    parent = {} if start.confining.boxed else {"JPY_PARENT_PID": str(os.getppid())}
    os.execvpe(start.argv[0], start.argv, {**start.env, **parent})
