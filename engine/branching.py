"""Branching: what one does with branches of contexts. Forks, checkpoints, and the return to them."""

from __future__ import annotations

import uuid

import msgspec

from engine.capabilities import Capabilities
from engine.contexts import Branch, Brancher, Checkpoint, Context, Contexts
from engine.kernels import Kernel
from engine.languages import Language
from engine.models import BranchInfo, CheckpointInfo
from engine.workspaces import Workspace


class Fork:
    """Where a new context's kernel comes from: a copy of another context's, or of one of its checkpoints."""

    branch: Branch

    def __init__(
        self, brancher: Brancher, source: Context, target: Context, kept: Checkpoint | None, *, force: bool
    ) -> None:
        self._brancher = brancher
        self._source = source
        self._target = target
        self._kept = kept
        self._force = force

    async def start(self, language: Language, workspace: Workspace) -> Kernel:
        if self._kept is not None:
            self._kept.check()
            kept = self._kept.branch
            self.branch = await self._copy(kept.kernel, kept.workspace, workspace, force=True)
            self._target.inheritance = self._kept.inheritance
        else:
            async with self._source.turn(self._brancher.timeout) as kernel:
                inheritance = self._source.inheritance
                inheritance.check_copyable(self._source.id)
                self.branch = await self._copy(kernel, self._source.workspace, workspace, force=self._force)
                self._target.inheritance = inheritance
        return self.branch.kernel

    async def _copy(self, kernel: Kernel, here: Workspace, there: Workspace, *, force: bool) -> Branch:
        return await self._brancher.branch(
            kernel,
            self._source.language,
            here,
            there,
            context_id=self._source.id,
            kind="fork",
            force=force,
            reseed=True,
        )


class Branching:
    """Copies contexts, keeps their states and brings those back."""

    def __init__(self, contexts: Contexts, brancher: Brancher, capabilities: Capabilities) -> None:
        self._contexts = contexts
        self._brancher = brancher
        self._capabilities = capabilities

    def _find(self, context_id: str, language: str | None) -> Context:
        """The context of that language, or the oldest of the id that can branch. Raises ContextNotFound or NotSupported."""
        contexts = self._contexts.get(context_id, language)
        able = [context for context in contexts if self._capabilities.can_branch(context.language)]
        if not able:
            self._capabilities.check_branching(contexts[0].language)
        return able[0]

    async def fork(
        self,
        context_id: str,
        *,
        language: str | None = None,
        new_id: str | None = None,
        checkpoint: str | None = None,
        force: bool = False,
    ) -> BranchInfo:
        """Make a new context that goes on from the present state of another, or from one of its checkpoints.

        Waits for the cells that are queued. `force`: also without what cannot be copied, which the answer lists.
        Raises ContextNotFound, CheckpointNotFound, NotSupported, ContextExists, ContextBusy, StateLost, CannotBranch,
        StorageFull, TooManyOpenFiles, TooManyContexts, MemoryShort, QueueFull, ShuttingDown, or a KernelError."""
        source = self._find(context_id, language)
        kept = None if checkpoint is None else source.checkpoints.get(checkpoint)
        self._brancher.check_memory()
        target = self._contexts.add_branch(new_id or str(uuid.uuid4()), source)
        fork = Fork(self._brancher, source, target, kept, force=force)
        try:
            await target.branch_from(fork)
        except BaseException:
            self._contexts.undo(target, "could not be made")
            raise
        info = BranchInfo(
            **msgspec.structs.asdict(target.info()),
            branched_from=source.id,
            files=fork.branch.files,
            not_carried=fork.branch.not_carried,
        )
        if checkpoint is not None:
            info.checkpoint = checkpoint
        return info

    async def keep(
        self, context_id: str, *, language: str | None = None, name: str | None = None, force: bool = False
    ) -> CheckpointInfo:
        """Keep the present state of a context as a checkpoint. Raises what `fork` raises, and TooManyCheckpoints."""
        context = self._find(context_id, language)
        context.checkpoints.check_room()
        async with context.turn(self._brancher.timeout) as kernel:
            inheritance = context.inheritance
            inheritance.check_copyable(context_id)
            checkpoint = await context.checkpoints.take(kernel, inheritance, name=name, force=force)
        return await checkpoint.info()

    async def list(self, context_id: str, language: str | None = None) -> list[CheckpointInfo]:
        """The checkpoints of a context, in all its languages or in one, oldest first. Raises ContextNotFound."""
        contexts = self._contexts.get(context_id, language)
        return [await checkpoint.info() for context in contexts for checkpoint in context.checkpoints]

    async def restore(self, context_id: str, checkpoint: str) -> Context:
        """Have a context go on from one of its checkpoints, which stays. What runs or waits in it ends as interrupted.

        Raises ContextNotFound, CheckpointNotFound, CheckpointLost, MemoryShort, CannotBranch, StorageFull,
        TooManyOpenFiles or a KernelError."""
        context = self._holder(context_id, checkpoint)
        await context.restore(context.checkpoints.get(checkpoint))
        return context

    def remove(self, context_id: str, checkpoint: str) -> None:
        """End a checkpoint. Raises ContextNotFound or CheckpointNotFound."""
        self._holder(context_id, checkpoint).checkpoints.remove(checkpoint)

    def _holder(self, context_id: str, checkpoint: str) -> Context:
        """The context that has the checkpoint; of several languages any, so that `get` says that there is none."""
        contexts = self._contexts.get(context_id)
        return next((each for each in contexts if checkpoint in each.checkpoints), contexts[0])
