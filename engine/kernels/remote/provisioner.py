"""The remote provisioner: a kernel on a remote Jupyter, which has no process here. Its end is told by the remote, or by us."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from typing import Any, cast

from jupyter_client.connect import KernelConnectionInfo

from engine.kernels.provisioners import Exit, Provisioner
from engine.kernels.remote.server import RemoteServer

_INTERRUPT_WAIT = 2.0  # seconds that an interrupt waits for the remote's answer; the request itself may take longer


class RemoteProvisioner(Provisioner):
    """Starts, interrupts and deletes a kernel of the kernelspec `name` at `server`. `env`: variables that it shall have there."""

    def __init__(self, server: RemoteServer, name: str, *, env: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel_id: str | None = None
        self._server = server
        self._name = name
        self._env = dict(env)
        self._interrupts: set[asyncio.Task[None]] = set()

    @property
    def has_process(self) -> bool:
        return self.kernel_id is not None and self.exit is None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Raises ConnectionError that says what the remote refuses, or that it cannot be reached."""
        self._ended = asyncio.get_running_loop().create_future()
        self.kernel_id = await self._server.start_kernel(self._name, self._env)
        info = {"transport": "remote", "server": self._server, "kernel_id": self.kernel_id, "provisioner": self}
        return cast("KernelConnectionInfo", info)  # which knows sockets only

    def end(self, reason: str) -> None:
        """Count the kernel as ended, at once, and have it deleted. `reason` is a participle: "restarted by ..."."""
        if self.exit is not None or self.kernel_id is None:
            return
        self.exit = Exit(None, reason=reason)
        self._server.discard(self.kernel_id)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    async def send_signal(self, signum: int) -> None:
        """Have the remote interrupt the kernel, the way its kernelspec says. No other signal can be sent."""
        if signum != signal.SIGINT or self.kernel_id is None or self.exit is not None:
            return
        task = asyncio.create_task(self._interrupt(self.kernel_id))
        self._interrupts.add(task)
        task.add_done_callback(self._interrupts.discard)
        await asyncio.wait({task}, timeout=_INTERRUPT_WAIT)

    async def _interrupt(self, kernel_id: str) -> None:
        with contextlib.suppress(ConnectionError):  # what does not stop is ended by whoever waits for it
            await self._server.interrupt_kernel(kernel_id)

    async def kill(self, restart: bool = False) -> None:
        self.end("deleted")

    async def terminate(self, restart: bool = False) -> None:
        self.end("deleted")

    async def cleanup(self, restart: bool = False) -> None:
        for task in set(self._interrupts):
            task.cancel()
