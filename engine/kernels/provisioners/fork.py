"""The forking provisioner: a kernel as a copy of a zygote, watched by its pidfd and by the zygote, which reaps it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from jupyter_client.connect import KernelConnectionInfo

from engine.kernels.provisioners.confinement import UNCONFINED, Confinement
from engine.kernels.provisioners.process import end_marked, end_tree, fork_name, name_of, open_pidfd
from engine.kernels.provisioners.provisioner import Exit, Provisioner
from engine.kernels.provisioners.zygote import ForkRequest, Watcher, Zygote, ZygoteFailed
from engine.metrics import Metrics

_TO_THE_GROUP = 1 << 2  # PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9
_NOTICE_WAIT = 1.0  # seconds the zygote's word may come later than the pidfd's
_PIPE_BYTES = 1 << 20
_LAST_OUTPUT_CHARS = 16 * 1024


class Family(Protocol):
    """The box that a kernel and its branches share."""

    def inner_pid(self, pidfd: int, pid: int) -> int:
        """The number that a branch has in the box. Raises OSError for a process that is no child of the box's init."""

    def watch(self, inner: int, watcher: Watcher, *, has_ended: bool) -> None:
        """Have `watcher` told how that process ends."""


class ForkProvisioner(Provisioner):
    """Forks `zygote`; `zygote` None is for `adopt` alone. Nothing but the stream and the pipes is shared with the kernel.

    The kernel reads its own stdout and stderr. Our copies of these pipes are for what is in them when it has died."""

    reads_connection_file = False
    enters_groups = True

    def __init__(
        self,
        zygote: Zygote | None,
        *,
        metrics: Metrics | None,
        mark: str,
        confinement: Confinement = UNCONFINED,
        pipes: Mapping[str, int] | None = None,
        family: Family | None = None,
        **kwargs: Any,
    ) -> None:
        """`mark`: the kernel's name, which its process gets, too. For `adopt` alone: `family`, its box, and `pipes`,
        our copies of the readers of stdout and stderr, which are owned here from now on."""
        super().__init__(**kwargs)
        self.zygote = zygote
        self._metrics = metrics
        self._confinement = confinement
        self._family = family
        self._pidfd = -1
        self._pipes = dict(pipes or {})
        self._last = ""
        self._mark = mark
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_process(self) -> bool:
        return self.pid is not None and self.exit is None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork a kernel; `cmd` is what its zygote was started with. Raises OSError, also where the zygote cannot fork."""
        if kwargs["stream"] is None:
            raise OSError("only kernels with a stream are forked")
        started = time.perf_counter()
        info = await self._fork(**kwargs)
        if self._metrics is not None:
            self._metrics.fork_seconds.observe(time.perf_counter() - started)
        return info

    async def _fork(
        self, *, argv: Sequence[str] = (), groups: Sequence[int] = (), **kwargs: Any
    ) -> KernelConnectionInfo:
        if self.zygote is None:
            raise OSError("there is nothing to fork")
        stream: socket.socket | None = kwargs["stream"]
        self._ended = asyncio.get_running_loop().create_future()
        with contextlib.ExitStack() as passed:
            nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            passed.callback(os.close, nothing)
            stream_fd = -1 if stream is None else stream.fileno()
            fds = [nothing if stream is None else stream_fd, kwargs.get("stdin", nothing)]
            for name in ("stdout", "stderr"):
                reader, writer = os.pipe2(os.O_CLOEXEC)
                passed.callback(os.close, writer)
                self._pipes[name] = reader
                fds += [reader, writer]
            confinement = replace(self._confinement, cgroups=tuple(groups))
            request = ForkRequest(
                kwargs["cwd"], kwargs["env"], self._mark, confinement, fds, argv=argv, stream_fd=stream_fd
            )
            try:
                fork = await self.zygote.fork(request, self)
            except ZygoteFailed as error:
                raise OSError(f"the zygote failed: {error}") from None
        self._watch(fork.pid, fork.pidfd)
        info: KernelConnectionInfo = kwargs["connection_info"]
        return info

    async def adopt(self, pid: int) -> None:
        pidfd = open_pidfd(pid)
        try:
            if name_of(pid) != fork_name(self._mark):
                # The number came with a message; it is somebody else's by now. The name was made up just for this process.
                raise ProcessLookupError(errno.ESRCH, "its process has ended")
            self._ended = asyncio.get_running_loop().create_future()
            if self._family is not None:
                inner = self._family.inner_pid(pidfd, pid)
                self._family.watch(inner, self, has_ended=_has_ended(pidfd))
            elif self.zygote is not None and self.zygote.is_alive:
                await self._adopt_in_zygote(self.zygote, pid, pidfd)
        except BaseException:
            os.close(pidfd)
            raise
        self._watch(pid, pidfd)

    async def _adopt_in_zygote(self, zygote: Zygote, pid: int, pidfd: int) -> None:
        try:
            await zygote.adopt(pid, self)
        except BaseException as error:
            with contextlib.suppress(OSError):  # nobody else knows of the process
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            if isinstance(error, ZygoteFailed):
                raise OSError(str(error)) from None
            raise

    def _watch(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        if self.exit is not None:  # the notice was quicker
            os.close(pidfd)
            return
        self._pidfd = pidfd
        asyncio.get_running_loop().add_reader(pidfd, self._note_gone)

    def note_exit(self, ended: Exit) -> None:
        """The zygote has reaped it."""
        self._finish(ended)

    def note_zygote_gone(self) -> None:
        """From now on nobody tells how it ends; that it does, the pidfd says."""
        self.zygote = self._family = None

    def _note_gone(self) -> None:
        """The process is gone; the zygote's notice, which knows more, is on its way if there is a zygote."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._pidfd)
        if self.zygote is None and self._family is None:
            self._finish(Exit(None))
        else:
            self._timer = loop.call_later(_NOTICE_WAIT, self._finish, Exit(None))

    def _finish(self, ended: Exit) -> None:
        if self.exit is not None:
            return
        if ended.code is None:
            self._signal(signal.SIGKILL)  # what it left in its group; a zygote does this itself
            _collect(self._pidfd)
        if self._timer is not None:
            self._timer.cancel()
        self.exit = ended
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._ended is not None:
            self._ended.set_result(ended.code)

    def read_output(self) -> list[tuple[str, str]]:
        """What the kernel did not read any more, once it is dead."""
        if self.exit is None:
            return []
        pipes, self._pipes = self._pipes, {}
        found = [(name, _read_rest(fd)) for name, fd in pipes.items()]
        self._last = (self._last + "".join(text for _, text in found))[-_LAST_OUTPUT_CHARS:]
        return [(name, text) for name, text in found if text]

    def last_output(self) -> str:
        return self._last

    async def send_signal(self, signum: int) -> None:
        """Signal the kernel and the processes it started, as a terminal's Ctrl-C would."""
        self._signal(signum)

    def _signal(self, signum: int) -> None:
        """By the pidfd, so that the signal reaches this kernel's group and no other that has its number later."""
        if self._pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            if not self._signal_group(signum):
                signal.pidfd_send_signal(self._pidfd, signum)

    def _signal_group(self, signum: int) -> bool:
        """Returns whether there is a group: a process that was forked just now has none yet."""
        assert self.pid is not None
        try:
            signal.pidfd_send_signal(self._pidfd, signum, None, _TO_THE_GROUP)
        except ProcessLookupError:
            return False
        except OSError:  # an older Linux, which knows groups by number only
            if _has_ended(self._pidfd):  # it is gone, and the number may be somebody else's
                return True
            try:
                os.killpg(self.pid, signum)
            except (ProcessLookupError, PermissionError):
                return False
        return True

    async def kill(self, restart: bool = False) -> None:
        """End the kernel. The zygote or spawner ends what it leaves, in an order in which shared memory is removed."""
        if self.zygote is None:
            if self.has_process and self.pid is not None:  # nobody else ends what it started
                await asyncio.to_thread(end_tree, self.pid)
            self._signal(signal.SIGKILL)
        elif self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        self._signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        mark, self._mark = self._mark, ""
        try:
            if mark and self.zygote is None:
                await asyncio.to_thread(end_marked, mark)
        finally:
            while self._pipes:
                os.close(self._pipes.popitem()[1])


def _has_ended(pidfd: int) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(0))


def _collect(pidfd: int) -> None:
    """Reap a process that became ours because we are the init of a container; any other is no child of ours."""
    with contextlib.suppress(OSError):
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)


def _read_rest(fd: int) -> str:
    """What is left in a pipe, which is closed.

    It is opened anew: what a kernel has left behind may share `fd`'s flags, and would have us wait for what it never writes."""
    data = b""
    with contextlib.suppress(OSError):
        own = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            while len(data) < _PIPE_BYTES and (more := os.read(own, _PIPE_BYTES)):
                data += more
        finally:
            os.close(own)
    os.close(fd)
    return data.decode("utf-8", "replace")
