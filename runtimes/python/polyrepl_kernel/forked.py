"""The first steps of a forked kernel: it sheds what was the zygote's and becomes a process as if started on its own."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Set
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from . import inventory, loops, prctl, reopening
from .pipes import Capture
from .shell import NO_TERMINAL
from .start import process_name
from .stream import StreamTransport
from .threads import ThreadPools

if TYPE_CHECKING:
    from .kernel import Kernel
    from .start import Start

_ASIDE = 64  # the first number that is in nobody's way while descriptors are arranged
_MT19937_WORDS = 624
STREAM, STDOUT_READER, STDERR_READER = 3, 4, 5


def run(kernel: Kernel, start: Start, *, foreign_fds: Set[int], umask: int) -> NoReturn:
    """Be the kernel that `start` asks for; where that fails, the reason is on its stderr."""
    try:
        stream = enter(start, own_fds=loops.descriptors(kernel.loop), foreign_fds=foreign_fds, umask=umask)
        if kernel.pools is not None:
            kernel.pools.obey(start.env)
        if "PYTHONASYNCIODEBUG" in start.env:
            kernel.loop = None  # a loop looks at it when it is made
        else:
            loops.renew(kernel.loop)
        kernel.shell.history_manager.dir_hist[:] = [Path.cwd()]
        transport, stdout, stderr = StreamTransport(stream), Capture(1, STDOUT_READER), Capture(2, STDERR_READER)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode("utf-8", "backslashreplace"))
        os._exit(1)
    kernel.serve(transport, stdout, stderr)


def prepare(kernel: Kernel) -> None:
    """Make, in the zygote, what costs a forked kernel more to make than to take over: its event loop. And find what every kernel
    has to tell how many threads it may have."""
    kernel.loop = loops.above(STDERR_READER)
    kernel.pools = ThreadPools()


def enter(
    start: Start, *, own_fds: Iterable[int] = (), foreign_fds: Set[int] = frozenset(), umask: int = 0o022
) -> socket.socket:
    """Become what `start` says; returns the stream. `own_fds` stay as they are; `foreign_fds`: those that libraries opened in
    the zygote.

    Raises what goes wrong; stderr is the kernel's own by then."""
    signal.set_wakeup_fd(-1)
    start.confining.account()
    box_fd = start.confining.keep_aside()
    foreign = _arrange(start.fds, {*own_fds, box_fd}, foreign_fds)
    _detach(foreign, {*own_fds, box_fd}, boxed=start.confining.boxed)
    os.setsid()
    prctl.name_process(process_name(start.tag))
    prctl.take_orphans()
    threading.main_thread()._set_native_id()  # type: ignore[attr-defined]  # Python leaves the zygote's
    _reset_signals()
    os.umask(umask)
    _replace_environment({**start.env, **NO_TERMINAL})
    reseed()
    start.confining.join()
    start.confining.apply()
    os.chdir(start.cwd)  # as the user, who may not enter what others have
    gc.enable()
    return socket.socket(fileno=STREAM)


def _arrange(fds: list[int], own_fds: Set[int], foreign_fds: Set[int]) -> set[int]:
    """Have stdin, stdout, stderr, the stream, and the readers of stdout and stderr open as 0 to 5, and nothing else but `own_fds`;
    returns which of `foreign_fds` are still open."""
    stream, stdin, stdout_reader, stdout, stderr_reader, stderr = (
        fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ASIDE) for fd in fds
    )
    for number, fd in enumerate((stdin, stdout, stderr)):
        os.dup2(fd, number)
    for number, fd in ((STREAM, stream), (STDOUT_READER, stdout_reader), (STDERR_READER, stderr_reader)):
        os.dup2(fd, number, inheritable=False)
    kept = set()
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd in foreign_fds and fd > STDERR_READER:
            kept.add(fd)
        elif fd > STDERR_READER and fd not in own_fds:
            with suppress(OSError):  # that of the listing itself is closed already
                os.close(fd)
    return kept


def _detach(foreign_fds: Set[int], own_fds: Set[int], *, boxed: bool) -> None:
    """Some library still believes that these are its files, and may use them: with a position of their own. A box has no such file."""
    if boxed:
        for fd in foreign_fds:
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            if null == fd:  # that of the listing: the library has closed its own meanwhile
                continue
            os.dup2(null, fd, inheritable=False)
            os.close(null)
    elif foreign_fds:
        reopening.reopen(inventory.descriptors({*range(STDERR_READER + 1), *own_fds}), ())


def _reset_signals() -> None:
    """What Python has at its start: SIGINT raises, SIGPIPE and SIGXFSZ are ignored, all others do what Linux says."""
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _replace_environment(env: dict[str, str]) -> None:
    """Only what differs is written: every page of memory that is written to has to be copied."""
    for name in [name for name in os.environ if name not in env and name != "MPLBACKEND"]:  # which `build` has set
        del os.environ[name]
    for name, value in env.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    time.tzset()
    tempfile.tempdir = None


def reseed() -> None:
    """Give this process random numbers of its own; `random` itself does so at every fork, `secrets` and `uuid` need nothing."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        # A state at random touches a tenth of the memory that making one of a seed does.
        state = memoryview(os.urandom(4 * _MT19937_WORDS)).cast("I")
        try:
            numpy_random.set_state(("MT19937", state, _MT19937_WORDS))
        except ValueError:  # a user has chosen another generator
            numpy_random.set_bit_generator(type(numpy_random.get_bit_generator())())
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.seed()
