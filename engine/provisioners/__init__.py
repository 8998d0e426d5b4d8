"""Ways to run a kernel (layer 3). The seam is jupyter_client's `KernelProvisionerBase`; ours add what the engine needs of a process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase

KERNEL_MARK = "POLYREPL_KERNEL"
"""Variable that names the kernel in its own environment, and so in that of every process it starts."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: `code` as subprocess gives it, negative for a signal. `peak_bytes`: its largest resident size."""

    code: int
    peak_bytes: int | None = None

    def describe(self) -> str:
        if self.code < 0:
            try:
                name = signal.Signals(-self.code).name
            except ValueError:
                name = str(-self.code)
            text = f"killed by {name}"
        else:
            text = f"exited with code {self.code}"
        return f"{text} (peak memory {self.peak_bytes // 1_000_000} MB)" if self.peak_bytes else text


class Provisioner(KernelProvisionerBase):
    """What the engine asks of a provisioner besides jupyter_client's own methods."""

    exit: Exit | None = None
    on_output: Callable[[], None] | None = None  # called when `read_output` has something

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._ended: asyncio.Future[int] | None = None  # made at launch, resolved with the exit code

    async def poll(self) -> int | None:
        return None if self.exit is None else self.exit.code

    async def wait(self) -> int | None:
        assert self._ended is not None
        return await asyncio.shield(self._ended)

    def read_output(self) -> list[tuple[str, str]]:
        """What the process itself wrote to its stdout and stderr, not through messages, since the last call: (name, text)."""
        return []

    def last_output(self) -> str:
        """The end of everything that `read_output` ever gave, for a diagnosis."""
        return ""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the process; returns the connection info. Raises OSError where it cannot be started.

        Keywords: `cwd` (Path), `env` (the whole environment), `connection_info` (as written to the connection file)."""
        raise NotImplementedError
