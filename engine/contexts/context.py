"""A context: a kernel of one language under an id, the queue of what is to be run on it, and the states it can return to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from msgspec import UNSET

from engine.contexts.budgets import Budget, Share
from engine.contexts.cell_run import CellRun, CellSettings
from engine.contexts.checkpoints import Checkpoint, Checkpoints
from engine.contexts.execution import Execution
from engine.contexts.inheritance import Inheritance
from engine.contexts.kernel_slot import KernelSlot, KernelSource, SlotState
from engine.contexts.observers import Observer, Observers, status_message
from engine.contexts.queue import Queue, Turn
from engine.contexts.relays import Relays
from engine.errors import ContextBusy, ContextEnded, PolyreplError
from engine.jupyter import Message
from engine.kernels import Kernel
from engine.kernels.checking import Checks
from engine.languages import Language
from engine.models import ContextInfo
from engine.packages import Installation
from engine.workspaces import Workspace

_STOPPED_INSTALLATION = "was stopped with its context, which was ended, restarted or restored"


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """What contexts are run with. Seconds; the output limits are sent to kernels that apply them themselves.

    `queue_bytes`: of the requests of one context, which are a share of `queues`, those of all; `kept_messages`: bytes kept for each
    observer that is away, within `websockets`, what waits for all observers; `observed_timeout`: of their cells, None for none;
    `patience`: that others wait behind one without."""

    queue_size: int
    queue_bytes: int
    queues: Budget
    websockets: Budget
    interrupt_grace: float
    checks: Checks
    kept_messages: int = 0
    observed_timeout: float | None = None
    patience: float = 3600.0

    def observers(self) -> Observers:
        """Those of a context."""
        return Observers(max_kept=self.kept_messages, share=self.websockets.share())

    def queue(self, slot: KernelSlot, context_id: str) -> Queue:
        """A queue for a context."""
        share = Share(self.queues, self.queue_bytes, f"The queue of context {context_id!r} holds")
        return Queue(slot, context_id=context_id, size=self.queue_size, share=share)


class Owner(Protocol):
    """Who has the context, and ends it when a client of its channels asks for that."""

    def end(self, context: Context, reason: str, *, asked_for: bool) -> object: ...


class Context:
    """The face of a kernel slot, a queue, checkpoints and observers, which end together.

    Invariant: `end` is once and for all. It cuts everything off in one step, and from then on every entry raises `_ended`."""

    def __init__(
        self,
        context_id: str,
        language: Language,
        workspace: Workspace,
        *,
        options: ContextOptions,
        owner: Owner,
        checkpoints: Checkpoints,
        kernel: Kernel | None = None,
    ) -> None:
        self.id = context_id
        self.language = language
        self.labels: dict[str, str] = {}  # what its maker says of it
        self.is_kept = False  # its maker ends it; it neither grows old nor makes room
        self.workspace = workspace
        self.checkpoints = checkpoints
        self.created_at = datetime.now(UTC)
        self.observers = options.observers()
        self.installation: Installation | None = None
        self._owner = owner
        self._slot = KernelSlot(context_id, language, workspace, observers=self.observers, kernel=kernel)
        self._queue = options.queue(self._slot, context_id)
        self._cells = CellSettings(
            interrupt_grace=options.interrupt_grace,
            workspace=workspace,
            is_watched=language.backend.watches_files,
            checks=options.checks,
        )
        self.relays = Relays(
            self,
            self._slot,
            self._queue,
            timeout=options.observed_timeout,
            grace=options.interrupt_grace,
            patience=options.patience,
            checks=options.checks,
        )
        self._ended: PolyreplError | None = None  # why
        self._ending: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Context {self.id} {self.language.name} {self.state}, {len(self._queue)} queued>"

    @property
    def kernel(self) -> Kernel | None:
        return self._slot.kernel

    @property
    def current(self) -> Execution | None:
        """The execution that has the kernel, or waits for its start."""
        work = self._queue.current
        return work.execution if isinstance(work, CellRun) else None

    @property
    def last_activity(self) -> datetime:
        return self._queue.last_activity

    @last_activity.setter
    def last_activity(self, when: datetime) -> None:
        self._queue.last_activity = when

    @property
    def is_idle(self) -> bool:
        return (
            self._queue.is_idle
            and self._slot.state is not SlotState.STARTING
            and self.installation is None
            and self.checkpoints.is_idle
        )

    @property
    def is_used(self) -> bool:
        """Whether it has a kernel, or somebody waits for one."""
        return self._slot.has_living or bool(self.observers) or not self.is_idle

    @property
    def can_go(self) -> bool:
        """Whether it may be ended to make room, or for its age."""
        return self.is_idle and not self.observers and not self.is_kept

    @property
    def state(self) -> str:
        match self._slot.state:
            case SlotState.STARTING:
                return "starting"
            case SlotState.CLOSED:
                return "dead"
            case slot:
                if self._queue.current is not None:
                    return "busy"
                return "dead" if slot is SlotState.DEAD else "idle"

    @property
    def inheritance(self) -> Inheritance:
        """What the next cell finds of the state."""
        return self._slot.inheritance

    @inheritance.setter
    def inheritance(self, inheritance: Inheritance) -> None:
        self._slot.inheritance = inheritance

    def info(self) -> ContextInfo:
        return _info(self, queued=len(self._queue))

    def submit(self, execution: Execution) -> None:
        """Queue an execution, and start the context's first kernel if there is none yet. Raises QueueFull or TooManyBytes."""
        self._queue.submit(CellRun(execution, self.checkpoints, self._cells))
        if self._slot.state is SlotState.EMPTY:
            self._slot.begin()

    @contextlib.asynccontextmanager
    async def turn(self, timeout: float) -> AsyncIterator[Kernel]:
        """Have the kernel between two cells, when those that wait already have run. Raises QueueFull or ContextBusy."""
        turn = Turn()
        self._queue.submit(turn)
        try:
            try:
                async with asyncio.timeout(timeout):
                    kernel = await turn.granted()
            except TimeoutError:
                raise ContextBusy(self.id) from None
            if self.kernel is not kernel:  # taken away between the grant and now
                raise self._ended or ContextEnded(self.id)
            yield kernel
        finally:
            turn.release()
            self.last_activity = datetime.now(UTC)

    async def ask(self, msg_type: str, content: dict[str, Any], *, patience: float, timeout: float) -> Message | None:
        """Send the kernel a request that is no cell, when none runs or waits, and return its reply. Seconds.

        None where no kernel was started, or the last one is gone. Raises ContextBusy when cells are left after `patience`,
        KernelTimeout or KernelDied."""
        if not await self._queue.idle(patience):
            raise ContextBusy(self.id)
        self._check_living()
        if self.kernel is None or not self.kernel.is_alive:
            return None
        self.last_activity = datetime.now(UTC)
        return await self.kernel.request(msg_type, content, timeout=timeout)

    def observe(self, observer: Observer) -> None:
        """Have a client see all messages of the kernel, which is started where there is none, until it leaves `observers`.

        A client that comes after the end is told so, and has to go."""
        self.last_activity = datetime.now(UTC)
        observer.deliver(status_message(self.state))
        self.observers.join(observer)
        if self._ended is None and not self._slot.has_living:
            self._slot.begin()

    async def flushed(self, timeout: float) -> None:
        """Return once the kernel has read what it was sent, or after `timeout` seconds."""
        if self.kernel is not None:
            await self.kernel.flushed(timeout)

    async def ready(self) -> None:
        """Have a living kernel. Raises KernelStartFailed, or InvalidRequest for a working directory that its user may not enter."""
        if not self._slot.has_living:
            await self.workspace.check_named()
        await self._slot.living()
        self._check_living()

    async def interrupt(self, execution: Execution | None = None) -> None:
        """Stop the running execution, or the one given, which may still be waiting."""
        target = execution or self.current
        if target is None and self.kernel is not None:
            await self.kernel.interrupt()  # an observer's cell, if one runs
        if target is None or target.is_finished:
            return
        target.interrupt_requested = True
        if target is self.current and target.status == "running":
            if self.kernel is not None:
                await self.kernel.interrupt()
            return
        for work in (*self._queue, self._queue.current):
            if isinstance(work, CellRun) and work.execution is target:
                self._queue.remove(work)
                work.interrupt_before_start()

    async def restart(self) -> None:
        """Replace the kernel by a fresh one; what runs or waits ends as interrupted. Raises KernelStartFailed."""
        self._check_living()
        left = self._drain(ContextEnded(self.id, "was restarted", cell_error="ContextRestarted"))
        await self._slot.settled(self._slot.replace(after=left))

    async def branch_from(self, branching: KernelSource) -> None:
        """Begin with a kernel that is a copy of another context's. Raises what the copying raises."""
        await self._slot.settled(self._slot.begin(branching))

    async def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint; what runs or waits ends as interrupted. Raises what `Checkpoints.stage` and the start raise."""
        restoration = await self.checkpoints.stage(checkpoint)
        left = self._drain(ContextEnded(self.id, "was restored to a checkpoint", cell_error="ContextRestored"))
        await self._slot.settled(restoration.begin(self._slot, checkpoint.inheritance, after=left))

    def shut_down(self) -> None:
        """End it for a client of its channels."""
        self._owner.end(self, "was shut down by its client", asked_for=True)

    def end(self, reason: str, error: PolyreplError | None = None) -> asyncio.Task[None]:
        """End the context for good, at once; the task is done when nothing of it is left.

        `reason` completes "The context ...". `error`: what its clients are told instead of that."""
        if self._ending is None:
            self._ended = error or ContextEnded(self.id, reason)
            left = self._drain(self._ended)
            self._queue.close(self._ended)
            self._slot.close(self._ended, after=left)
            self.checkpoints.close(self._ended)
            self.observers.close(f"The context {reason}")
            self._ending = asyncio.create_task(self._finish())
        return self._ending

    async def _finish(self) -> None:
        await self._slot.stopped()
        await self.checkpoints.aclose()

    def _check_living(self) -> None:
        """Raises why the context has ended."""
        if self._ended is not None:
            raise self._ended

    def _drain(self, error: PolyreplError) -> list[asyncio.Task[None]]:
        """End what runs and waits, at once. Returns what is left of it, for which the next kernel has to wait."""
        left = [worker] if (worker := self._queue.drain(error)) is not None else []
        installation, self.installation = self.installation, None
        if installation is not None:
            left.append(installation.stop(_STOPPED_INSTALLATION))
        return left

    def end_installation(self, installation: Installation) -> None:
        """Note that an installation of packages has ended."""
        if self.installation is installation:
            self.installation = None
            self.last_activity = datetime.now(UTC)


def _info(context: Context, *, queued: int) -> ContextInfo:
    """A context as it is listed."""
    limits = context.language.backend.limits_of(context.workspace)
    isolation = context.language.backend.isolation_of(context.workspace)
    return ContextInfo(
        id=context.id,
        language=context.language.name,
        cwd=str(context.workspace.cwd),
        kernel=context.language.kernel_name,
        state=context.state,
        created_at=context.created_at.isoformat(),
        last_activity=context.last_activity.isoformat(),
        queued=queued,
        execution_count=context.kernel.execution_count if context.kernel else 0,
        limits=UNSET if limits is None else limits.shown(),
        isolation=UNSET if isolation is None else isolation.tier.label,
        network=UNSET if isolation is None else isolation.network,
        name=context.workspace.labels.name or UNSET,
        tags=context.workspace.labels.tags or UNSET,
    )
