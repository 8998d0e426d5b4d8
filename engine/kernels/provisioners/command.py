"""Commands: programs that do one thing and end, run with the same care as kernels and watched line by line."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from jupyter_client.kernelspec import KernelSpec

from engine.kernels.provisioners.confinement import Confinement
from engine.kernels.provisioners.program import ProgramProvisioner
from engine.kernels.provisioners.spawn import SpawnProvisioner
from engine.kernels.provisioners.zygote import Zygote
from engine.settings import Tier

_GRACE = 5.0  # seconds that a command gets to take back what it has begun
_TAIL_CHARS = 64 * 1024
_MAX_LINE = 8 * 1024
_LAST_READS = 2  # a pipe holds 64 KiB, which is what one takes


class LineReader(Protocol):
    """Who reads what a command prints."""

    def read_line(self, name: str, line: str) -> None:
        """A line without its end; `name` is `stdout` or `stderr`."""


async def run_command(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    confinement: Confinement,
    reader: LineReader | None,
    given: bytes = b"",
    spawner: Zygote | None = None,
    mark: str = "command",
) -> tuple[int | None, str, str]:
    """Run a command to its end; returns its exit code and the ends of its stdout and stderr. `reader` gets each line, and the
    command `given` through its stdin (at most what a pipe holds, 64 KiB). `spawner`: what starts it, which a confinement of more than
    limits needs; its process is called after `mark`. None: it is our child.

    When this is cancelled, the command is asked to stop, and killed where it does not; it, its process group and what left that with
    the command's environment are gone on return. Raises OSError where it cannot be started."""
    process: SpawnProvisioner | ProgramProvisioner
    if spawner is not None:
        process = ProgramProvisioner(
            spawner, metrics=None, mark=mark, confinement=confinement, kernel_spec=KernelSpec()
        )
    elif confinement.tier is not Tier.NONE:
        raise OSError(errno.EPERM, "Its isolation needs a spawner")
    else:
        process = SpawnProvisioner(confinement=confinement, kernel_spec=KernelSpec())
    output = process.reader = _Output(process, reader)
    with _pipe_with(given) as stdin:
        await process.launch_kernel(list(command), cwd=cwd, env=dict(env), connection_info={}, stdin=stdin, stream=None)
    try:
        code = await process.wait()
    finally:
        await asyncio.shield(_release(process, output))
    return code, output.tail("stdout"), output.tail("stderr")


@contextlib.contextmanager
def _pipe_with(given: bytes) -> Iterator[int]:
    """The end of a pipe from which these bytes can be read once. Raises OSError if a pipe does not hold them."""
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        with open(writer, "wb", buffering=0) as file:
            if given and file.write(given) != len(given):
                raise OSError(errno.E2BIG, "The variables of the command are too long")
        yield reader
    finally:
        os.close(reader)


async def _release(process: SpawnProvisioner | ProgramProvisioner, output: _Output) -> None:
    """End the command and all that it started; one step, so that a second cancellation leaves nothing of it out."""
    try:
        await _end(process)
    finally:
        for _ in range(_LAST_READS):  # what is left in the pipes
            output.drain_process_output()
        await process.cleanup()
        output.close()


async def _end(process: SpawnProvisioner | ProgramProvisioner) -> None:
    if not process.has_process:
        return
    await process.terminate()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE):
            await process.wait()
    await process.kill()
    await process.wait()


class _Output:
    """What a command prints, by the name of the stream."""

    def __init__(self, process: SpawnProvisioner | ProgramProvisioner, reader: LineReader | None) -> None:
        self._process = process
        self._lines = {name: _Lines(name, reader) for name in ("stdout", "stderr")}

    def drain_process_output(self) -> None:
        for name, text in self._process.read_output():
            self._lines[name].add(text)

    def tail(self, name: str) -> str:
        return self._lines[name].tail

    def close(self) -> None:
        for each in self._lines.values():
            each.close()


class _Lines:
    """Cuts what comes through a pipe into lines, and keeps the end of it. A line that is too long is cut into several."""

    def __init__(self, name: str, reader: LineReader | None) -> None:
        self.tail = ""
        self._name = name
        self._reader = reader
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
        if self._reader is not None:
            self._reader.read_line(self._name, line.rstrip("\r").rpartition("\r")[2])
