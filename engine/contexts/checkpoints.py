"""Checkpoints: states of a context that wait, as branches of its kernel, until it returns to them."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from engine.contexts.branches import Branch, Brancher, in_thread
from engine.contexts.inheritance import Inheritance
from engine.contexts.kernel_slot import KernelSlot
from engine.errors import CheckpointLost, CheckpointNotFound, PolyreplError, TooManyCheckpoints
from engine.kernels import Kernel, private_bytes
from engine.languages import Language
from engine.models import CheckpointInfo
from engine.workspaces import Workspace, replace_files


class Checkpoint:
    """A state of a context that waits: a branch of its kernel, stopped between two cells, and a copy of its files.

    `inheritance`: what the next cell would have found, and finds after a return."""

    def __init__(
        self, branch: Branch, inheritance: Inheritance, *, context_id: str, language: Language, name: str | None
    ) -> None:
        self.id = str(uuid.uuid4())
        self.branch = branch
        self.inheritance = inheritance
        self.created_at = datetime.now(UTC)
        self.is_discarded = False
        self._context_id = context_id
        self._language = language
        self._name = name

    def __repr__(self) -> str:
        return f"<Checkpoint {self.id} {'READY' if self.is_ready else 'LOST'}>"

    @property
    def is_ready(self) -> bool:
        return self.branch.kernel.is_alive and not self.is_discarded

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


class Restoration:
    """A return to a checkpoint that has its files ready. It is a source of the kernel that goes on from there.

    Its staged files go when it has been carried out, or is not carried out."""

    def __init__(self, checkpoints: Checkpoints, checkpoint: Checkpoint, staged: Workspace) -> None:
        self._checkpoints = checkpoints
        self._checkpoint = checkpoint
        self._staged = staged

    def begin(
        self, slot: KernelSlot, inheritance: Inheritance, *, after: Iterable[asyncio.Task[None]] = ()
    ) -> asyncio.Task[Kernel]:
        """Carry it out: the slot ends what it has, and then starts from here. `inheritance`: what the next cell finds.

        Raises why the slot is closed."""
        try:
            starting = slot.replace(self, inheritance=inheritance, after=after)
        except BaseException:
            self.discard()
            raise
        starting.add_done_callback(lambda _: self.discard())  # also where it was cancelled before it began
        return starting

    async def start(self, language: Language, workspace: Workspace) -> Kernel:
        """The staged files in place, and a branch of the checkpoint as the kernel. Raises what `Brancher.branch` raises."""
        self._checkpoint.check()
        await workspace.ready()
        timeout = self._checkpoints.timeout
        await in_thread(workspace.lanes.copies, lambda: replace_files(workspace, self._staged), timeout=timeout)
        self._checkpoint.check()
        return await self._checkpoints.revive(self._checkpoint)

    def discard(self) -> None:
        self._checkpoints.end_soon(None, self._staged)


class Checkpoints:
    """The checkpoints of one context. They outlive its kernels and end with the context.

    Invariants: what is in `_by_id` is alive until it is removed or lost. Whoever makes a checkpoint, or stages a return, counts in
    `_working` until that is listed, handed over or undone; after `close` it is undone. `aclose` waits for all of them, so that
    nothing is written into the context's directories afterwards."""

    def __init__(self, brancher: Brancher, *, context_id: str, language: Language, workspace: Workspace) -> None:
        self._brancher = brancher
        self._context_id = context_id
        self._language = language
        self._workspace = workspace
        self._directory = f"checkpoints-{language.name}"
        self._by_id: dict[str, Checkpoint] = {}
        self._taking = 0
        self._working = 0
        self._is_quiet = asyncio.Event()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed: PolyreplError | None = None  # why

    def __repr__(self) -> str:
        return f"<Checkpoints {'CLOSED' if self._closed else 'OPEN'}, {len(self)} kept, {self._working} being made>"

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, checkpoint: str) -> bool:
        return checkpoint in self._by_id

    @property
    def timeout(self) -> float:
        """Seconds for each step of a return."""
        return self._brancher.timeout

    @property
    def is_idle(self) -> bool:
        """Whether none is being made, or returned to."""
        return not self._working

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

    async def take(
        self, kernel: Kernel, inheritance: Inheritance, *, name: str | None = None, force: bool = False
    ) -> Checkpoint:
        """Keep the present state under a new id. Raises what `Brancher.branch` raises, TooManyCheckpoints, or why they are closed."""
        self.check_room()
        self._taking += 1
        try:
            checkpoint = await self.take_unlisted(kernel, inheritance, name=name, force=force)
        finally:
            self._taking -= 1
        self._by_id[checkpoint.id] = checkpoint
        self._brancher.metrics.checkpoints.inc()
        return checkpoint

    async def take_unlisted(
        self, kernel: Kernel, inheritance: Inheritance, *, name: str | None = None, force: bool = False
    ) -> Checkpoint:
        """Keep the present state for the caller alone, who discards it."""
        place = self._workspace.within(self._directory, uuid.uuid4().hex)
        with self._at_work(place):
            branch = await self._brancher.branch(
                kernel,
                self._language,
                self._workspace,
                place,
                context_id=self._context_id,
                kind="checkpoint",
                force=force,
            )
            checkpoint = Checkpoint(
                branch, inheritance, context_id=self._context_id, language=self._language, name=name
            )
            if self._closed is not None:
                self.discard(checkpoint)
                raise self._closed
            return checkpoint

    @contextlib.asynccontextmanager
    async def before(self, kernel: Kernel, inheritance: Inheritance, *, kept: bool) -> AsyncIterator[Checkpoint]:
        """A checkpoint for the time of the block; with `kept`, it stays and counts as one of the context's."""
        checkpoint = await (self.take if kept else self.take_unlisted)(kernel, inheritance)
        try:
            yield checkpoint
        finally:
            if not kept:
                self.discard(checkpoint)

    async def stage(self, checkpoint: Checkpoint) -> Restoration:
        """The first half of a return, which leaves the context as it is: a copy of the checkpoint's files.

        Raises CheckpointLost, MemoryShort, CannotBranch, StorageFull, TooManyOpenFiles, or why they are closed."""
        checkpoint.check()
        self._brancher.check_memory()
        kept = checkpoint.branch.workspace
        staged = self._workspace.within(self._directory, f"staged-{uuid.uuid4().hex}")
        with self._at_work(staged):
            await self._brancher.copy_files(kept, staged, context_id=self._context_id)
            if self._closed is not None:
                raise self._closed
            checkpoint.check()
            return Restoration(self, checkpoint, staged)

    async def revive(self, checkpoint: Checkpoint) -> Kernel:
        """A branch of a checkpoint that goes on in the directories of the context, where its files are already."""
        return await self._brancher.revive(
            checkpoint.branch, self._language, self._workspace, context_id=self._context_id
        )

    def remove(self, checkpoint: str) -> None:
        """End a checkpoint; what it held is released in the background. Raises CheckpointNotFound."""
        found = self.get(checkpoint)
        del self._by_id[checkpoint]
        self._brancher.metrics.checkpoints.dec()
        self.discard(found)

    def discard(self, checkpoint: Checkpoint) -> None:
        """End one that is not listed."""
        checkpoint.is_discarded = True
        self.end_soon(checkpoint.branch.kernel, checkpoint.branch.workspace)

    def end_soon(self, kernel: Kernel | None, place: Workspace) -> None:
        """End a kernel, and remove the workspace of a copy, in the background."""
        place.close()
        task = asyncio.create_task(self._end(kernel, place.root))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, kernel: Kernel | None, root: Path) -> None:
        try:
            if kernel is not None:
                await kernel.kill()
        finally:
            await self._brancher.remove_files(root)

    @contextlib.contextmanager
    def _at_work(self, place: Workspace) -> Iterator[None]:
        """For the time in which something is made in `place`, which goes if that fails. Raises why they are closed."""
        if self._closed is not None:
            raise self._closed
        self._working += 1
        self._is_quiet.clear()
        try:
            yield
        except BaseException:
            self.end_soon(None, place)
            raise
        finally:
            self._working -= 1
            if not self._working:
                self._is_quiet.set()

    def close(self, error: PolyreplError) -> None:
        """End all of them, and let no other be made: `error` is raised instead."""
        self._closed = error
        for checkpoint in self:
            self.remove(checkpoint.id)

    async def aclose(self) -> None:
        """Return when nothing is left of any; they are closed already."""
        if self._working:
            await self._is_quiet.wait()
        while self._ending:
            await asyncio.wait(self._ending)
