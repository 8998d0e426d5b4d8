"""Branches: copies of a live kernel, its files included."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from engine.errors import CannotBranch, MemoryShort, MessageError
from engine.jupyter import Message
from engine.kernels import Kernel, Memory, read_memory
from engine.kernels.channels import stream_pair
from engine.languages import Language
from engine.log import get_logger
from engine.metrics import Metrics
from engine.models import Files, Obstacle
from engine.settings import Settings
from engine.validation import KERNEL_VARIABLE
from engine.workspaces import Copied, Lane, RunDir, TooMuchToCopy, Workspace, copy_workspace

_MEMORY_AGE = 0.1  # seconds for which a look at the memory is good
Value = TypeVar("Value")


class _ForkReply(msgspec.Struct):
    """A fork_reply (runtimes/README.md); it comes from a kernel, so it is checked."""

    status: str
    not_carried: Annotated[list[Obstacle], msgspec.Meta(max_length=1000)] = []
    obstacles: Annotated[list[Obstacle], msgspec.Meta(max_length=1000)] = []
    evalue: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """A copy of a kernel in the directories of `workspace`, and what it did not get of the original's state."""

    kernel: Kernel
    workspace: Workspace
    files: Files
    file_bytes: int
    not_carried: list[Obstacle]


class Brancher:
    """Makes branches, within the limits of the settings. The kernel that is copied must have nothing to do meanwhile."""

    def __init__(
        self,
        settings: Settings,
        *,
        run_dir: RunDir,
        metrics: Metrics,
    ) -> None:
        self.timeout = settings.branch_timeout
        self.max_checkpoints = settings.max_checkpoints
        self.metrics = metrics
        self._max_copy_bytes = settings.max_copy_bytes
        self._run_dir = run_dir
        self._seen: tuple[float, Memory] = (0.0, read_memory())

    def check_memory(self) -> None:
        """Raises MemoryShort."""
        seen_at, memory = self._seen
        if time.monotonic() - seen_at > _MEMORY_AGE:
            memory = read_memory()
            self._seen = (time.monotonic(), memory)
        if memory.is_short:
            raise MemoryShort(memory.available, memory.reserve)

    async def branch(
        self,
        kernel: Kernel,
        language: Language,
        source: Workspace,
        target: Workspace,
        *,
        context_id: str,
        kind: str,
        force: bool = False,
        reseed: bool = False,
    ) -> Branch:
        """Copy `kernel` and the files of `source` into `target`, whose directories are made. `force`: also without what cannot be
        copied; `reseed`: with random numbers of its own.

        Raises CannotBranch, MemoryShort, KernelDied, KernelTimeout or KernelStartFailed."""
        self.check_memory()
        started = time.perf_counter()
        copied = await self.copy_files(source, target, context_id=context_id)
        skipped = [Obstacle("file", f"{path[:500]}: {why}") for path, why in copied.skipped[:100]]
        files: Files = "copied" if target.is_own else "shared"
        try:
            fork, not_carried = await self._fork(
                kernel, language, source, target, context_id=context_id, force=force, reseed=reseed
            )
        except CannotBranch:
            self.metrics.branches_refused.inc()
            raise
        fork.execution_count = kernel.execution_count
        seconds = time.perf_counter() - started
        self.metrics.branch_seconds.labels(kind).observe(seconds)
        get_logger().info("branched", context=context_id, kind=kind, kernel=fork.name, seconds=round(seconds, 4))
        return Branch(fork, target, files, copied.bytes, [*not_carried, *skipped])

    async def copy_files(self, source: Workspace, target: Workspace, *, context_id: str) -> Copied:
        """Copy the directories that are ours. Raises CannotBranch where there is too much in them, or no room for it."""
        with _room(context_id):
            return await in_thread(
                source.lanes.copies,
                lambda: copy_workspace(source, target, max_bytes=self._max_copy_bytes, timeout=self.timeout),
                timeout=self.timeout,
            )

    async def revive(self, branch: Branch, language: Language, here: Workspace, *, context_id: str) -> Kernel:
        """A branch of a dormant one, which goes on in the directories of `here`, where its files are already."""
        started = time.perf_counter()
        kernel, _ = await self._fork(
            branch.kernel, language, branch.workspace, here, context_id=context_id, force=True, reseed=False
        )
        kernel.execution_count = branch.kernel.execution_count
        seconds = time.perf_counter() - started
        self.metrics.branch_seconds.labels("restore").observe(seconds)
        get_logger().info("restored", context=context_id, kernel=kernel.name, seconds=round(seconds, 4))
        return kernel

    async def remove_files(self, root: Path) -> None:
        await self._run_dir.remove(root)

    async def _fork(
        self,
        kernel: Kernel,
        language: Language,
        source: Workspace,
        target: Workspace,
        *,
        context_id: str,
        force: bool,
        reseed: bool,
    ) -> tuple[Kernel, list[Obstacle]]:
        with _room(context_id):
            directory = self._run_dir.new_kernel_dir()
        content = {
            "directories": _directories(source, target),
            "env": {KERNEL_VARIABLE: directory.name},
            "tag": directory.name,
            "force": force,
            "reseed": reseed,
        }
        async with contextlib.AsyncExitStack() as failing:
            failing.push_async_callback(self._run_dir.remove, directory)
            ours, theirs = stream_pair(learn_pid=True)
            failing.callback(ours.close)
            readers = {}
            with theirs, contextlib.ExitStack() as writers:
                fds = [theirs.fileno()]
                for name in ("stdout", "stderr"):
                    readers[name], writer = os.pipe2(os.O_CLOEXEC)
                    failing.callback(os.close, readers[name])
                    writers.callback(os.close, writer)
                    fds += [readers[name], writer]
                language.backend.expect(kernel, directory)
                reply = _read(await kernel.request("fork_request", content, fds=fds, timeout=self.timeout))
            if reply.status != "ok":
                obstacles = reply.obstacles or [Obstacle("process", reply.evalue[:500] or "could not be forked")]
                raise CannotBranch(context_id, obstacles)
            failing.pop_all()  # they are the kernel's from here on, also when it fails
        fork = await language.backend.adopt(
            language, ours, source=kernel, directory=directory, workspace=target, pipes=readers, timeout=self.timeout
        )
        return fork, reply.not_carried


async def in_thread(lane: Lane, work: Callable[[], Value], *, timeout: float) -> Value:
    """As `lane.run`, for work that has twice its `timeout` at most. When it is cancelled it waits first for the thread.

    Raises OSError where the file system does not answer."""
    working = asyncio.ensure_future(lane.run(work, timeout=2 * timeout))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        if not working.cancelled():
            working.exception()
        raise


@contextlib.contextmanager
def _room(context_id: str) -> Iterator[None]:
    """Raises CannotBranch where the block finds too much to copy, or no room for it."""
    try:
        yield
    except TooMuchToCopy as error:
        raise CannotBranch(context_id, [Obstacle("files", f"{error} in its directories")]) from None
    except OSError as error:
        raise CannotBranch(context_id, [Obstacle("files", error.strerror or "cannot be copied")]) from None


def _directories(source: Workspace, target: Workspace) -> list[list[str]]:
    """From where to where the branch's files have gone."""
    pairs = [
        (source.cwd, target.cwd),
        (source.tmp, target.tmp),
        (source.packages, target.packages),
        (source.state, target.state),  # begins empty
    ]
    return [[str(old), str(new)] for old, new in pairs if old != new]


def _read(reply: Message) -> _ForkReply:
    try:
        return msgspec.convert(reply.content, _ForkReply)
    except (MessageError, msgspec.ValidationError):
        return _ForkReply("error", evalue="the kernel's answer is not one")
