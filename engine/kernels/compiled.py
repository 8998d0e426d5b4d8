"""Compiled code of our own kernels: made once for each server by a kernel that runs nobody's cells, and held in memory.

An interpreter believes what it finds in its cache. So no kernel gets a cache that another one can write: each has a copy of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from jupyter_client.kernelspec import KernelSpec

from engine.errors import PolyreplError
from engine.kernels.kernel import Kernel
from engine.kernels.kernelspecs import warm_cell
from engine.languages import Language
from engine.log import get_logger
from engine.workspaces import Place, RunDir, Workspace

_TIMEOUT = 30.0  # seconds for each step
_MOST_BYTES = 64 * 1024 * 1024
_LEAST_FILE_BYTES = 16 * 1024  # to make a smaller file takes longer than to compile again what is in it
_CACHE = "compiled"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
Code = Mapping[str, bytes]
"""Files by their paths in the cache's directory."""


class Starter(Protocol):
    """Who starts kernels: the local backend."""

    async def start_program(self, spec: KernelSpec, language: Language, workspace: Workspace) -> Kernel:
        """A kernel as a process of its own, of which nothing is prepared."""


def cache_of(workspace: Workspace) -> Path:
    """Where a kernel finds, and leaves, compiled code."""
    return workspace.state / _CACHE


class CompiledCode:
    """The compiled code of each kernelspec. Nothing is lost but time where there is none."""

    def __init__(self, starter: Starter, run_dir: RunDir) -> None:
        self._starter = starter
        self._run_dir = run_dir
        self._making: dict[str, asyncio.Task[Code]] = {}

    async def prepare(self, spec: KernelSpec, language: Language, workspace: Workspace, *, patient: bool) -> None:
        """Have the code in the cache of `workspace` before its kernel starts. `patient`: wait until it is made."""
        making = self._making.get(spec.resource_dir)
        if making is None:
            making = asyncio.create_task(self._make(spec, language))
            self._making[spec.resource_dir] = making
            making.add_done_callback(lambda done: self._settle(spec.resource_dir, done))
        if patient:
            await asyncio.wait({making})
        code = _made(making)
        if code:
            state = workspace.place("state")
            with contextlib.suppress(OSError):  # and where a cell has put something in the way
                await workspace.lanes.files.run(lambda: _write(state, code), timeout=_TIMEOUT)

    async def _make(self, spec: KernelSpec, language: Language) -> Code:
        try:
            workspace = self._run_dir.new_workspace("compiling")
            try:
                return await self._compile(spec, language, workspace)
            finally:
                workspace.close()
                await self._run_dir.remove(workspace.root)
        except (PolyreplError, OSError) as error:
            reason = error.message if isinstance(error, PolyreplError) else error.strerror
            get_logger().warning("not_compiled", language=language.name, reason=reason)
            return {}

    def _settle(self, resource_dir: str, making: asyncio.Task[Code]) -> None:
        """What has failed is made again for a later start."""
        if not making.cancelled() and making.exception() is not None:
            get_logger().error("not_compiled", exc_info=making.exception())
        if not _made(making) and self._making.get(resource_dir) is making:
            del self._making[resource_dir]

    async def _compile(self, spec: KernelSpec, language: Language, workspace: Workspace) -> Code:
        workspace.prepare()
        kernel = await self._starter.start_program(spec, language, workspace)
        try:
            await kernel.execute_silently(warm_cell(spec) or "", timeout=_TIMEOUT)
            await kernel.request("shutdown_request", {"restart": False}, timeout=_TIMEOUT)
            await asyncio.wait({kernel.exited}, timeout=_TIMEOUT)  # it writes the cache at its end
        finally:
            await kernel.kill()
        return await asyncio.to_thread(_read, cache_of(workspace))

    async def aclose(self) -> None:
        """End what is being made. May be called again."""
        making = list(self._making.values())
        for each in making:
            each.cancel()
        if making:
            await asyncio.wait(making)


def _made(making: asyncio.Task[Code]) -> Code:
    """Nothing where it is not made yet, or was not made."""
    if not making.done() or making.cancelled() or making.exception() is not None:
        return {}
    return making.result()


def _read(directory: Path) -> Code:
    """What is worth a file in each context. Nothing where it is more than a cache of ours can be."""
    found: dict[str, bytes] = {}
    left = _MOST_BYTES
    for above, _, names in os.walk(directory):
        for name in names:
            path = Path(above, name)
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                data = file.read(left + 1)
            if len(data) < _LEAST_FILE_BYTES:
                continue
            left -= len(data)
            if left < 0:
                return {}
            found[str(path.relative_to(directory))] = data
    return found


def _write(state: Place, code: Code) -> None:
    """Write it unless there is something: what a context has put into its own cache concerns that context alone.

    Blocks. Raises OSError."""
    cache = state.below(_CACHE)
    if not cache.make():
        return
    for path, data in code.items():
        *above, name = path.split(os.sep)
        with cache.below(*above).opened(make=True) as directory:
            fd = os.open(name, _CREATE, 0o600, dir_fd=directory)
        with open(fd, "wb") as file:
            file.write(data)
