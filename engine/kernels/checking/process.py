"""The checker's process: started as contained as a context without network, asked over one socket, and ended with all it has."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import msgspec
from jupyter_client.kernelspec import KernelSpec

from engine.errors import KernelStartFailed
from engine.kernels import Backend, find_node, node_version
from engine.kernels.provisioners import Confinement, ProgramProvisioner, SpawnProvisioner
from engine.log import get_logger
from engine.resources import data_dir
from engine.settings import MIB, Settings, Tier
from engine.validation import KERNEL_VARIABLE
from engine.workspaces import RunDir, Slot

_MOST_LINE = 2 * MIB  # what it may find of one cell takes less than that
_YOUNG_MIB = 8  # a check leaves little behind that is young
_CPU_SECONDS = 1200  # of one process: what is left of a killed server, in a type without end, ends too
_MARK = "checker"
_READY = b'{"ready":true}\n'
_PERMISSION_SINCE = (22, 13)
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


class CheckerFailed(Exception):
    """It could not be started, has ended, or says what it must not; the text says which."""


class Files(Protocol):
    """Who answers what the checker asks of a context."""

    async def answer(self, message: dict[str, Any]) -> dict[str, str] | str | None: ...


class CheckerProcess:
    """One process. What it sends is taken as a stranger's: it works on what users wrote."""

    def __init__(self, settings: Settings, backends: Iterable[Backend], run_dir: RunDir) -> None:
        self._settings = settings
        self._isolator = next(each.isolator for each in backends if each.isolator is not None)
        self._run_dir = run_dir
        self._slot: Slot | None = None
        self._process: ProgramProvisioner | SpawnProvisioner | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    def __repr__(self) -> str:
        return f"<CheckerProcess {self.pid}>"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.has_process and self._writer is not None

    async def start(self) -> None:
        """Return when it can check. Raises CheckerFailed; nothing is left then."""
        node = await asyncio.to_thread(find_node, self._settings.node)
        if node is None:
            raise CheckerFailed("Node is not installed")
        command = await asyncio.to_thread(_command, node, self._settings.check_memory)
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                await self._launch(command, theirs)
            self._reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=_MOST_LINE)
            async with asyncio.timeout(self._settings.kernel_start_timeout):
                if await self._reader.readline() != _READY:
                    raise CheckerFailed("it does not start")
        except BaseException as error:
            ours.close()
            await asyncio.shield(self.aclose())
            if isinstance(error, TimeoutError):
                raise CheckerFailed("it does not start in time") from None
            if isinstance(error, (OSError, KernelStartFailed, ValueError)):
                raise CheckerFailed(str(error)) from None
            raise

    async def _launch(self, command: list[str], theirs: socket.socket) -> None:
        tier = self._isolator.default.tier
        slot = self._slot = self._run_dir.new_slot()
        limits = {"CPU": (_CPU_SECONDS, _CPU_SECONDS), "CORE": (1, 1)}
        process: ProgramProvisioner | SpawnProvisioner
        if tier is Tier.NONE:
            process = SpawnProvisioner(confinement=Confinement(rlimits=limits), kernel_spec=KernelSpec())
        else:
            confinement = await self._isolator.confine(slot, tier, network="none", rlimits=limits)
            spawner = await self._isolator.spawner(tier)
            if spawner is None:
                raise CheckerFailed("the spawner does not start")
            process = ProgramProvisioner(
                spawner, metrics=None, mark=_MARK, confinement=confinement, kernel_spec=KernelSpec()
            )
        self._process = process
        # No `stream`: a kernel's has a meaning of its own. The socket is its stdin.
        await process.launch_kernel(
            command,
            cwd=slot.path,
            env={KERNEL_VARIABLE: f"{_MARK}-{slot.path.name}"},
            connection_info={},
            stdin=theirs.fileno(),
            stream=None,
        )

    async def ask(self, request: dict[str, Any], files: Files) -> dict[str, Any]:
        """The answer to one request, for which it may ask for `files`. Raises CheckerFailed: it is of no use any more."""
        if self._writer is None or self._reader is None:
            raise CheckerFailed("it has ended")
        message: Any = request
        try:
            while True:
                self._writer.write(_encoder.encode(message) + b"\n")
                await self._writer.drain()
                line = await self._reader.readline()
                if not line.endswith(b"\n"):
                    raise CheckerFailed("it has ended")
                said = _decoder.decode(line)
                if not isinstance(said, dict) or not said:
                    raise CheckerFailed("it sends what is no answer")
                if "list" not in said and "read" not in said:
                    return said
                message = {"answer": await files.answer(said)}
        except (OSError, ValueError, RecursionError, msgspec.DecodeError) as error:
            raise CheckerFailed(type(error).__name__) from None

    async def aclose(self) -> None:
        """End it, and all that it has. May be called again."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.transport.abort()
        process, slot = self._process, self._slot
        self._slot = None
        try:
            if process is not None and process.has_process:
                await process.kill()
                await process.wait()
        finally:
            if process is not None and slot is not None:
                with contextlib.suppress(OSError):
                    await process.cleanup()
            if slot is not None:
                self._isolator.release(slot)
                await self._run_dir.remove_slot(slot)
        if process is not None and process.exit is not None:
            get_logger().info("checker_ended", exit=process.exit.describe())


def _command(node: Path, memory: int) -> list[str]:
    """What starts it: Node may read the checker's own files, and nothing else; it starts no process and no thread."""
    runtimes = Path(os.path.realpath(data_dir() / "runtimes"))
    checker, compiler = runtimes / "checker", runtimes / "typescript" / "vendor" / "typescript"
    version = tuple(int(part) for part in (node_version(node) or "0.0").split(".")[:2])
    permission = ["--permission", f"--allow-fs-read={checker}/*", f"--allow-fs-read={compiler}/*"]
    return [
        str(node),
        *(permission if version >= _PERMISSION_SINCE else ()),
        f"--max-old-space-size={memory // MIB}",
        f"--max-semi-space-size={_YOUNG_MIB}",
        str(checker / "main.mjs"),
    ]
