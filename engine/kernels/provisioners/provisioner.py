"""Ways to run a kernel. The seam is jupyter_client's `KernelProvisionerBase`; ours add what the engine needs of a process."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import Any, Protocol

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase

FORK_NAME = "pr-"
"""Begin of the process name of a forked kernel, followed by its mark; what it forks without an exec keeps that name."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: `code` as subprocess gives it, negative for a signal; None where nobody could tell.

    `peak_bytes`: its largest resident size. `reason`: what is known better than the code, as a participle: "killed, as ...".
    `advice`: if a limit of its context ended it, one sentence that names the limit and its value."""

    code: int | None
    peak_bytes: int | None = None
    reason: str | None = None
    advice: str | None = None

    def describe(self) -> str:
        if self.reason is not None:
            text = self.reason
        elif self.code is None:
            text = "ended"
        elif self.code < 0:
            try:
                name = signal.Signals(-self.code).name
            except ValueError:
                name = str(-self.code)
            text = f"killed by {name}"
        else:
            text = f"exited with code {self.code}"
        return f"{text} (peak memory {self.peak_bytes // 1_000_000} MB)" if self.peak_bytes else text


class OutputReader(Protocol):
    """Who reads what a process writes to its stdout and stderr: a kernel, or whoever runs a command."""

    def drain_process_output(self) -> None:
        """Read what there is, with `Provisioner.read_output`."""


class Provisioner(KernelProvisionerBase):
    """What the engine asks of a provisioner besides jupyter_client's own methods."""

    exit: Exit | None = None
    pid: int | None = None  # of the process, once it runs on this machine
    reads_connection_file = True  # the process; what is forked needs none
    enters_groups = False  # the process, through the descriptors `groups`, before it does anything else
    reader: OutputReader | None = None  # is called when `read_output` has something

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._ended: asyncio.Future[int | None] | None = None  # made at launch, resolved with the exit code

    async def poll(self) -> int | None:
        return None if self.exit is None else self.exit.code or 0

    async def wait(self) -> int | None:
        assert self._ended is not None
        return await asyncio.shield(self._ended)

    def read_output(self) -> list[tuple[str, str]]:
        """What the process itself wrote to its stdout and stderr, not through messages, since the last call: (name, text)."""
        return []

    def _output_ready(self) -> None:
        """A pipe has something: whoever reads the output is told, and it is only remembered if nobody does."""
        if self.reader is not None:
            self.reader.drain_process_output()
        else:
            self.read_output()

    def last_output(self) -> str:
        """The end of everything that `read_output` ever gave, for a diagnosis."""
        return ""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the process; returns the connection info. Raises OSError where it cannot be started.

        Keywords: `cwd` (Path), `env` (the whole environment), `connection_info` (as written to the connection file), `stream`
        (socket or None: the kernel's end of its stream, which the process is to inherit; the caller closes it afterwards), and
        `groups` if it `enters_groups`: descriptors to each of which the process writes 0."""
        raise NotImplementedError

    async def adopt(self, pid: int) -> None:
        """Take over a process that is there already, instead of a launch. Raises OSError where it is gone."""
        raise NotImplementedError


class MakeProvisioner(Protocol):
    """Makes the provisioner of a kernel of this kernelspec."""

    def __call__(self, spec: KernelSpec, /) -> Provisioner: ...
