"""The plain provisioner: a process as our child in a session of its own, watched by pidfd, or by a thread without those.

For commands, and for kernels where there is no spawner."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from typing import Any

from jupyter_client.connect import KernelConnectionInfo

from engine.kernels.provisioners.confinement import UNCONFINED, Confinement
from engine.kernels.provisioners.process import Pipes, end_group, end_marked, end_tree, open_pidfd
from engine.kernels.provisioners.provisioner import Exit, Provisioner
from engine.validation import KERNEL_VARIABLE


class SpawnProvisioner(Provisioner):
    """Starts `cmd` with exactly the environment given. Killing it kills its descendants, too; its end ends its process group."""

    def __init__(self, *, confinement: Confinement = UNCONFINED, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._confinement = confinement
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None
        self._pipes: Pipes | None = None
        self._mark = ""
        self._ending: asyncio.Future[None] | None = None

    @property
    def has_process(self) -> bool:
        return self._process is not None and self.exit is None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        self._mark = kwargs["env"].get(KERNEL_VARIABLE, "")
        kernel_end = kwargs.get("stream")
        process = subprocess.Popen(  # noqa: ASYNC220 - vfork takes a few ms and the parent stays the main thread
            cmd,
            cwd=kwargs["cwd"],
            env={**kwargs["env"], "JPY_PARENT_PID": str(os.getpid())},
            stdin=kwargs.get("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=() if kernel_end is None else (kernel_end.fileno(),),
            bufsize=0,
        )
        self._process, self.pid = process, process.pid
        self._pipes = Pipes(self._output_ready)
        try:
            with contextlib.suppress(ProcessLookupError):  # it has ended already
                self._confinement.apply(process.pid)
            for name, stream in (("stdout", process.stdout), ("stderr", process.stderr)):
                assert stream is not None
                self._pipes.add(name, os.dup(stream.fileno()))
                stream.close()
            self._watch(loop)
        except BaseException:
            self._abandon(process)
            raise
        info: KernelConnectionInfo = kwargs["connection_info"]
        return info

    def _abandon(self, process: subprocess.Popen[bytes]) -> None:
        """End a process that cannot be watched, as the system refuses something."""
        os.killpg(process.pid, signal.SIGKILL)  # not collected yet, so the number is its own
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        self._close_pipes()
        process.wait()  # SIGKILL is not waited for long
        self._process, self.pid = None, None

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self.pid is not None
        try:
            self._pidfd = open_pidfd(self.pid)
        except OSError:  # a kernel, or a sandbox around us, without pidfds
            # A thread of its own: those of the executor are few, and files and copies need them.
            name = f"polyrepl-wait-{self.pid}"
            threading.Thread(target=self._wait_in_thread, args=(self.pid, loop), name=name, daemon=True).start()
        else:
            loop.add_reader(self._pidfd, self._reap)

    def _wait_in_thread(self, pid: int, loop: asyncio.AbstractEventLoop) -> None:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(RuntimeError):  # the loop was closed before the process ended
            loop.call_soon_threadsafe(self._reap)

    def _reap(self) -> None:
        """The process is a zombie now: its group can still be addressed safely, so end what it left behind, then collect it."""
        assert self.pid is not None
        if self._ending is not None:
            return
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        self._ending = asyncio.get_running_loop().run_in_executor(None, end_group, self.pid)
        self._ending.add_done_callback(lambda _: self._collect())

    def _collect(self) -> None:
        assert self._process is not None
        assert self.pid is not None
        assert self._ended is not None
        _, status, usage = os.wait4(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code  # Popen must not wait for it again
        self.exit = Exit(code, usage.ru_maxrss * 1024)
        self._ended.set_result(code)

    def read_output(self) -> list[tuple[str, str]]:
        return self._pipes.read() if self._pipes is not None else []

    def _close_pipes(self) -> None:
        if self._pipes is not None:
            self._pipes.close()

    def last_output(self) -> str:
        return self._pipes.last() if self._pipes is not None else ""

    async def send_signal(self, signum: int) -> None:
        """Signal the kernel and the processes it started, as a terminal's Ctrl-C would."""
        self._signal_group(signum)

    def _signal_group(self, signum: int) -> None:
        if self.pid is None or self.exit is not None:
            return
        try:
            os.killpg(self.pid, signum)
        except (ProcessLookupError, PermissionError):
            if self._pidfd is not None and signum != signal.SIGKILL:
                signal.pidfd_send_signal(self._pidfd, signum)

    async def kill(self, restart: bool = False) -> None:
        """End the process and what it started, in an order in which shared memory is removed."""
        if self.has_process and self.pid is not None:
            await asyncio.to_thread(end_tree, self.pid)

    async def terminate(self, restart: bool = False) -> None:
        self._signal_group(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        mark, self._mark = self._mark, ""
        try:
            if mark:
                await asyncio.to_thread(end_marked, mark)
        finally:
            self._close_pipes()
