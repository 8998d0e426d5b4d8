"""Commands: programs that do one thing and end, run with the same care as kernels and watched line by line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec

from engine.kernels.confinement import Limits
from engine.kernels.provisioners.spawn import SpawnProvisioner

_GRACE = 5.0  # seconds that a command gets to take back what it has begun
_TAIL_CHARS = 64 * 1024
_MAX_LINE = 8 * 1024
_LAST_READS = 2  # a pipe holds 64 KiB, which is what one takes

OnLine = Callable[[str, str], None]
"""Called with `stdout` or `stderr`, and a line without its end."""


async def run_command(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], limits: Limits, on_line: OnLine
) -> tuple[int | None, str, str]:
    """Run a command to its end; returns its exit code and the ends of its stdout and stderr.

    When this is cancelled, the command is asked to stop, and killed where it does not; it, its process group and what left that with
    the command's environment are gone on return. Raises OSError where it cannot be started."""
    process = SpawnProvisioner(rlimits=limits, kernel_spec=KernelSpec())
    lines = {name: _Lines(name, on_line) for name in ("stdout", "stderr")}

    def read() -> None:
        for name, text in process.read_output():
            lines[name].add(text)

    process.on_output = read
    await process.launch_kernel(list(command), cwd=cwd, env=dict(env), connection_info={})
    try:
        code = await process.wait()
    finally:
        await asyncio.shield(_end(process))
        for _ in range(_LAST_READS):  # what is left in the pipes
            read()
        await asyncio.shield(process.cleanup())
        for each in lines.values():
            each.close()
    return code, lines["stdout"].tail, lines["stderr"].tail


async def _end(process: SpawnProvisioner) -> None:
    if not process.has_process:
        return
    await process.terminate()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE):
            await process.wait()
    await process.kill()
    await process.wait()


class _Lines:
    """Cuts what comes through a pipe into lines, and keeps the end of it. A line that is too long is cut into several."""

    def __init__(self, name: str, on_line: OnLine) -> None:
        self.tail = ""
        self._name = name
        self._on_line = on_line
        self._begun = ""

    def add(self, text: str) -> None:
        self.tail = (self.tail + text)[-_TAIL_CHARS:]
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._tell(line)
        while len(self._begun) > _MAX_LINE:
            self._tell(self._begun[:_MAX_LINE])
            self._begun = self._begun[_MAX_LINE:]

    def close(self) -> None:
        if self._begun:
            self._tell(self._begun)
            self._begun = ""

    def _tell(self, line: str) -> None:
        self._on_line(self._name, line.rstrip("\r").rpartition("\r")[2])
