"""The provisioner of programs: a kernel that a spawner starts, whose end the spawner tells, and which leaves nothing behind."""

from __future__ import annotations

from typing import Any

from jupyter_client.connect import KernelConnectionInfo

from engine.kernels.provisioners.fork import ForkProvisioner
from engine.kernels.provisioners.process import Pipes


class ProgramProvisioner(ForkProvisioner):
    """Runs `cmd` as a child of a spawner, a zygote without imports. We read its stdout and stderr: it does not do so itself."""

    reads_connection_file = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._output: Pipes | None = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start `cmd`. Raises OSError where the spawner cannot fork; a program that cannot be run says so on its stderr."""
        output = self._output = Pipes(self._output_ready)
        info = await self._fork(argv=cmd, **kwargs)
        while self._pipes:
            output.add(*self._pipes.popitem())
        return info

    def read_output(self) -> list[tuple[str, str]]:
        return self._output.read() if self._output is not None else []

    def last_output(self) -> str:
        return self._output.last() if self._output is not None else ""

    async def cleanup(self, restart: bool = False) -> None:
        if self._output is not None:
            self._output.close()
        await super().cleanup(restart)
