"""Kernels of the local backend, for the tests of how they are started; every wait has a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from engine.jupyter.messages import Message
from engine.kernels.kernel import Kernel
from engine.kernels.kernelspecs import KernelSpecs
from engine.kernels.local import Local
from engine.kernels.provisioners.zygote import Zygote
from engine.kernels.provisioners.zygotes import Zygotes
from engine.kernels.run import Outcome
from engine.languages import Language, Languages
from engine.metrics import Metrics
from engine.settings import Settings
from engine.workspaces.run_directory import RunDir
from engine.workspaces.workspace import Workspace

DEADLINE = 60.0


class Output:
    """What one cell sent."""

    def __init__(self) -> None:
        self.text = ""
        self.value = ""
        self.error = ""
        self.mimes: set[str] = set()

    def receive(self, message: Message) -> None:
        content = message.content
        match message.msg_type:
            case "stream":
                self.text += content["text"]
            case "execute_result":
                self.value = content["data"]["text/plain"]
                self.mimes |= set(content["data"])
            case "display_data":
                self.mimes |= set(content["data"])
            case "error":
                self.error = f"{content['ename']}: {content['evalue']}"


class Forks:
    """A local backend with its directories. `start` starts a kernel in directories of its own."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.settings = Settings(run_dir=path, **settings)
        self.run_dir = RunDir(path)
        self.metrics = Metrics()
        self.local = Local(self.settings, kernelspecs=KernelSpecs(self.settings), metrics=self.metrics)
        self.local.open(self.run_dir, self)
        self.python = Languages(local=self.local).find("python") or Language("", "")
        self._started: list[Kernel] = []

    @property
    def zygotes(self) -> Zygotes:
        zygotes = self.local.zygotes(self.python)
        assert zygotes is not None
        return zygotes

    def wake(self) -> None:
        """No pool is to be filled."""

    async def ready(self) -> Zygote:
        """The zygote, once it takes requests."""
        async with asyncio.timeout(DEADLINE):
            while (zygote := await self.zygotes.settled()) is None:
                await asyncio.sleep(0)  # the last one did not start; the next one is started by itself
        return zygote

    async def start(self, workspace: Workspace | None = None) -> Kernel:
        kernel = await self.local.start(self.python, workspace or self.run_dir.new_workspace("test"))
        self._started.append(kernel)
        return kernel

    async def aclose(self) -> None:
        for kernel in self._started:
            await kernel.kill()
        await self.local.aclose()
        self.run_dir.close()

    def starts(self, way: str) -> float:
        """How many kernels were started this way."""
        return self.metrics.registry.get_sample_value(
            "polyrepl_kernel_starts_total", {"language": "python", "way": way}
        ) or 0.0  # fmt: skip

    def of(self, kernel: Kernel) -> Any:
        """The kernel's provisioner."""
        return kernel._provisioner


@contextlib.asynccontextmanager
async def forks(path: Path, **settings: Any) -> AsyncIterator[Forks]:
    made = Forks(path, **settings)
    try:
        yield made
    finally:
        await made.aclose()


async def run(kernel: Kernel, code: str) -> Output:
    """Run a cell that ends."""
    output = Output()
    running = await kernel.execute(code, output.receive, allow_stdin=False, metadata={})
    assert await running.wait(DEADLINE) is not Outcome.TIMEOUT
    return output


def is_there(pid: int) -> bool:
    """Whether the process exists; one that nobody has collected yet does not count."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def open_fds() -> dict[int, str]:
    """The descriptors of this process."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found
