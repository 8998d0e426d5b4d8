"""Branches: copies of a live kernel, its files included. A copy that waits for later is a checkpoint."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from engine.errors import (
    CannotBranch,
    CheckpointLost,
    CheckpointNotFound,
    MemoryShort,
    MessageError,
    TooManyCheckpoints,
)
from engine.jupyter.messages import Message
from engine.kernels.channels.stream import stream_pair
from engine.kernels.kernel import Kernel
from engine.kernels.launcher import Launcher
from engine.kernels.memory import Memory, private_bytes, read_memory
from engine.kernels.provisioners import KERNEL_MARK
from engine.languages import Language
from engine.log import get_logger
from engine.metrics import Metrics
from engine.models import CheckpointInfo, Files, Obstacle
from engine.settings import Settings
from engine.workspaces.copying import Copied, TooMuchToCopy, copy_directory, replace_contents
from engine.workspaces.run_directory import RunDir, Workspace

_MEMORY_AGE = 0.1  # seconds for which a look at the memory is good


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
        launcher: Launcher,
        metrics: Metrics,
        memory: Callable[[], Memory] = read_memory,
    ) -> None:
        self.timeout = settings.branch_timeout
        self.max_checkpoints = settings.max_checkpoints
        self.metrics = metrics
        self._max_copy_bytes = settings.max_copy_bytes
        self._run_dir = run_dir
        self._launcher = launcher
        self._memory = memory
        self._seen: tuple[float, Memory] = (0.0, memory())

    def check_memory(self) -> None:
        """Raises MemoryShort."""
        seen_at, memory = self._seen
        if time.monotonic() - seen_at > _MEMORY_AGE:
            memory = self._memory()
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
        target.prepare()
        done = Copied()
        pairs = [(source.tmp, target.tmp), (source.packages, target.packages)]
        if target.is_own:
            pairs.append((source.cwd, target.cwd))
        for origin, place in pairs:
            if not _holds_anything(origin):
                continue
            try:
                copied = await asyncio.to_thread(
                    copy_directory, origin, place, max_bytes=self._max_copy_bytes - done.bytes, timeout=self.timeout
                )
            except TooMuchToCopy as error:
                raise CannotBranch(context_id, [Obstacle("files", f"{error} in its directories")]) from None
            except OSError as error:
                raise CannotBranch(context_id, [Obstacle("files", error.strerror or "cannot be copied")]) from None
            done = Copied(done.files + copied.files, done.bytes + copied.bytes, done.skipped + copied.skipped)
        return done

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

    def remove_files(self, root: Path) -> None:
        """Blocks."""
        self._run_dir.remove(root)

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
        directory = self._run_dir.new_kernel_dir()
        ours, theirs = stream_pair(learn_pid=True)
        content = {
            "directories": _directories(source, target),
            "env": {KERNEL_MARK: directory.name},
            "tag": directory.name,
            "force": force,
            "reseed": reseed,
        }
        with contextlib.ExitStack() as failing:
            failing.callback(ours.close)
            failing.callback(self._run_dir.remove, directory)
            readers = {}
            with theirs, contextlib.ExitStack() as writers:
                fds = [theirs.fileno()]
                for name in ("stdout", "stderr"):
                    readers[name], writer = os.pipe2(os.O_CLOEXEC)
                    failing.callback(os.close, readers[name])
                    writers.callback(os.close, writer)
                    fds += [readers[name], writer]
                reply = _read(await kernel.request("fork_request", content, fds=fds, timeout=self.timeout))
            if reply.status != "ok":
                obstacles = reply.obstacles or [Obstacle("process", reply.evalue[:500] or "could not be forked")]
                raise CannotBranch(context_id, obstacles)
            failing.pop_all()  # they are the kernel's from here on, also when it fails
        fork = await self._launcher.adopt(
            language, ours, source=kernel, directory=directory, pipes=readers, timeout=self.timeout
        )
        return fork, reply.not_carried


def _holds_anything(directory: Path) -> bool:
    """False also where it cannot be read, or a cell has removed it."""
    try:
        with os.scandir(directory) as entries:
            return any(entries)
    except OSError:
        return False


def _to_replace(here: Workspace, staged: Workspace) -> list[tuple[Path, Path]]:
    """The directories that are ours, and what is to be in each."""
    pairs = [(here.tmp, staged.tmp)]
    if _holds_anything(here.packages) or _holds_anything(staged.packages):
        staged.packages.mkdir(mode=0o700, exist_ok=True)
        pairs.append((here.packages, staged.packages))
    if here.is_own:
        pairs.append((here.cwd, staged.cwd))
    return pairs


def _directories(source: Workspace, target: Workspace) -> list[list[str]]:
    """From where to where the branch's files have gone."""
    pairs = [(source.cwd, target.cwd), (source.tmp, target.tmp), (source.packages, target.packages)]
    return [[str(old), str(new)] for old, new in pairs if old != new]


def _read(reply: Message) -> _ForkReply:
    try:
        return msgspec.convert(reply.content, _ForkReply)
    except (MessageError, msgspec.ValidationError):
        return _ForkReply("error", evalue="the kernel's answer is not one")


class Checkpoint:
    """A state of a context that waits: a branch of its kernel, stopped between two cells, and a copy of its files."""

    def __init__(self, branch: Branch, *, context_id: str, language: Language, name: str | None) -> None:
        self.id = str(uuid.uuid4())
        self.branch = branch
        self.created_at = datetime.now(UTC)
        self._context_id = context_id
        self._language = language
        self._name = name

    def __repr__(self) -> str:
        return f"<Checkpoint {self.id} {'READY' if self.is_ready else 'LOST'}>"

    @property
    def is_ready(self) -> bool:
        return self.branch.kernel.is_alive

    def check(self) -> None:
        """Raises CheckpointLost."""
        if not self.is_ready:
            exited = self.branch.kernel.exited
            raise CheckpointLost(self.id, exited.result().describe() if exited.done() else "ended")

    async def info(self) -> CheckpointInfo:
        info = CheckpointInfo(
            checkpoint=self.id,
            context_id=self._context_id,
            language=self._language.name,
            created_at=self.created_at.isoformat(),
            execution_count=self.branch.kernel.execution_count,
            state="ready" if self.is_ready else "lost",
            files=self.branch.files,
            file_bytes=self.branch.file_bytes,
            not_carried=self.branch.not_carried,
        )
        if self._name is not None:
            info.name = self._name
        pid = self.branch.kernel.pid
        held = await asyncio.to_thread(private_bytes, pid) if pid is not None and self.is_ready else None
        if held is not None:
            info.memory_bytes = held
        return info


class Checkpoints:
    """Those of one context. They outlive its kernels and end with the context."""

    def __init__(self, brancher: Brancher, *, context_id: str, language: Language, workspace: Workspace) -> None:
        self._brancher = brancher
        self._context_id = context_id
        self._language = language
        self._workspace = workspace
        self._directory = workspace.root / f"checkpoints-{language.name}"
        self._by_id: dict[str, Checkpoint] = {}
        self._taking = 0
        self._ending: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, checkpoint: str) -> bool:
        return checkpoint in self._by_id

    def get(self, checkpoint: str) -> Checkpoint:
        """Raises CheckpointNotFound."""
        try:
            return self._by_id[checkpoint]
        except KeyError:
            raise CheckpointNotFound(checkpoint, self._context_id) from None

    def check_room(self) -> None:
        """Raises TooManyCheckpoints or MemoryShort."""
        if len(self._by_id) + self._taking >= self._brancher.max_checkpoints:
            raise TooManyCheckpoints(self._context_id, self._brancher.max_checkpoints)
        self._brancher.check_memory()

    async def take(self, kernel: Kernel, *, name: str | None = None, force: bool = False) -> Checkpoint:
        """Keep the present state under a new id. Raises what `Brancher.branch` raises, and TooManyCheckpoints."""
        self.check_room()
        self._taking += 1
        try:
            checkpoint = await self.take_unlisted(kernel, name=name, force=force)
        finally:
            self._taking -= 1
        self._by_id[checkpoint.id] = checkpoint
        self._brancher.metrics.checkpoints.inc()
        return checkpoint

    async def take_unlisted(self, kernel: Kernel, *, name: str | None = None, force: bool = False) -> Checkpoint:
        """Keep the present state for the caller alone, who discards it."""
        root = self._directory / uuid.uuid4().hex
        cwd = root / "work" if self._workspace.is_own else self._workspace.cwd
        place = Workspace(root, cwd, root / "tmp")
        try:
            branch = await self._brancher.branch(
                kernel,
                self._language,
                self._workspace,
                place,
                context_id=self._context_id,
                kind="checkpoint",
                force=force,
            )
        except BaseException:
            self._end_soon(None, root)
            raise
        return Checkpoint(branch, context_id=self._context_id, language=self._language, name=name)

    @contextlib.asynccontextmanager
    async def before(self, kernel: Kernel, *, kept: bool) -> AsyncIterator[Checkpoint]:
        """A checkpoint for the time of the block; with `kept`, it stays and counts as one of the context's."""
        checkpoint = await (self.take(kernel) if kept else self.take_unlisted(kernel))
        try:
            yield checkpoint
        finally:
            if not kept:
                self.discard(checkpoint)

    async def stage(self, checkpoint: Checkpoint) -> Workspace:
        """The first half of a return, which leaves the context as it is: a copy of the checkpoint's files.

        Raises CheckpointLost, MemoryShort or CannotBranch."""
        checkpoint.check()
        self._brancher.check_memory()
        root = self._directory / f"staged-{uuid.uuid4().hex}"
        kept = checkpoint.branch.workspace
        staged = Workspace(root, root / "work" if kept.is_own else kept.cwd, root / "tmp")
        try:
            await self._brancher.copy_files(kept, staged, context_id=self._context_id)
        except BaseException:
            self._end_soon(None, root)
            raise
        return staged

    async def restore(self, checkpoint: Checkpoint, staged: Workspace) -> Kernel:
        """The second half: the staged files in place, and a branch of the checkpoint as the context's kernel.

        What the context had must have ended. Raises what `Brancher.branch` raises."""
        here = self._workspace
        aside = staged.root / "aside"
        try:
            here.prepare()
            for directory, replacement in _to_replace(here, staged):
                await asyncio.to_thread(replace_contents, directory, replacement, aside / directory.name)
            checkpoint.check()
            return await self._brancher.revive(checkpoint.branch, self._language, here, context_id=self._context_id)
        finally:
            self._end_soon(None, staged.root)

    def remove(self, checkpoint: str) -> None:
        """End a checkpoint; what it held is released in the background. Raises CheckpointNotFound."""
        found = self.get(checkpoint)
        del self._by_id[checkpoint]
        self._brancher.metrics.checkpoints.dec()
        self.discard(found)

    def discard(self, checkpoint: Checkpoint) -> None:
        """End one that is not listed."""
        self._end_soon(checkpoint.branch.kernel, checkpoint.branch.workspace.root)

    def _end_soon(self, kernel: Kernel | None, root: Path) -> None:
        task = asyncio.create_task(self._end(kernel, root))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, kernel: Kernel | None, root: Path) -> None:
        if kernel is not None:
            await kernel.kill()
        await asyncio.to_thread(self._brancher.remove_files, root)

    async def aclose(self) -> None:
        """End all of them, with their files."""
        for checkpoint in self:
            self.remove(checkpoint.id)
        if self._ending:
            await asyncio.wait(self._ending)
