"""The kernel slot of a context: empty, being filled, or holding the one kernel that the context has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Protocol

from engine.contexts.inheritance import CREATED, PRESERVED, RESTARTED, Inheritance, Loss
from engine.contexts.observers import Observers
from engine.errors import ContextEnded, KernelStartFailed, PolyreplError, StorageFull
from engine.kernels import Kernel
from engine.languages import Language
from engine.log import get_logger
from engine.workspaces import Workspace

_UNUSED_DEATHS = 3  # in a row, of kernels that ran no cell, after which none is started that nobody needs


class KernelSource(Protocol):
    """Where a kernel comes from: it is started, or it is a copy of another one."""

    async def start(self, language: Language, workspace: Workspace, /) -> Kernel:
        """A kernel that takes requests, in these directories. Raises KernelStartFailed, and what else the source says.

        When it is cancelled, nothing of that kernel is left."""


class SlotState(Enum):
    EMPTY = "empty"
    STARTING = "starting"
    FILLED = "filled"
    DEAD = "dead"
    CLOSED = "closed"


class KernelSlot:
    """Starts, replaces and ends the kernel of a context; a kernel with observers is replaced at once when it dies.

    Invariants: there is one starter at a time, `_starting`. It fills the slot itself, in the step in which it has the kernel, and
    only if it is still `_starting`; otherwise it ends what it started. What the slot does not have any more is ended by `_stopping`,
    and no kernel is started before that is done. `inheritance` always belongs to the kernel that the next cell will run on.
    A loss stays in it until an answer has told it.
    After `close` nothing starts, and what asks for a kernel is told why."""

    def __init__(
        self,
        context_id: str,
        language: Language,
        workspace: Workspace,
        *,
        observers: Observers,
        kernel: Kernel | None = None,
    ) -> None:
        self.inheritance = CREATED
        self._context_id = context_id
        self._language = language
        self._workspace = workspace
        self._observers = observers
        self._kernel: Kernel | None = None
        self._starting: asyncio.Task[Kernel] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._closed: PolyreplError | None = None  # why
        self._unused_deaths = 0  # in a row
        self._mourned: Kernel | None = None  # the latest whose death is in `inheritance`
        self._announced: Loss | None = None  # the latest that observers were told of
        if kernel is not None:
            self._fill(kernel)

    def __repr__(self) -> str:
        return f"<KernelSlot {self._language.name} {self.state.name}>"

    @property
    def kernel(self) -> Kernel | None:
        """The kernel, alive or dead; None before the first is started, and while another takes its place."""
        return self._kernel

    @property
    def state(self) -> SlotState:
        if self._closed is not None:
            return SlotState.CLOSED
        if self._starting is not None:
            return SlotState.STARTING
        if self._kernel is None:
            return SlotState.EMPTY
        return SlotState.FILLED if self._kernel.is_alive else SlotState.DEAD

    @property
    def has_living(self) -> bool:
        return self._kernel is not None and self._kernel.is_alive

    async def living(self) -> Kernel:
        """The kernel, which is started if there is none, or if it has died. Raises KernelStartFailed, or why the slot is closed."""
        kernel = self._kernel
        if kernel is not None and kernel.is_alive:
            return kernel
        return await self.settled(self.begin())

    def begin(self, source: KernelSource | None = None) -> asyncio.Task[Kernel]:
        """Start a kernel, from `source` or a fresh one, unless one is being started. Raises why the slot is closed."""
        if self._starting is not None:
            return self._starting
        if self._kernel is not None:
            self._mourn(self._kernel)
        return self._start(source or self._language.backend, None)

    def replace(
        self,
        source: KernelSource | None = None,
        *,
        inheritance: Inheritance = RESTARTED,
        after: Iterable[asyncio.Task[None]] = (),
    ) -> asyncio.Task[Kernel]:
        """Have another kernel from now on, from `source` or a fresh one. `inheritance`: what the next cell finds once it is there.

        What there is, or is being started, ends first, and so does what is in `after`. Raises why the slot is closed."""
        self._check_open()
        self._empty(after)
        self._unused_deaths = 0
        # Until it is there; for good if it never comes. Whoever asks for a fresh one knows that the state is gone.
        self.inheritance = inheritance if source is None else self.inheritance.lost("its kernel could not be replaced")
        return self._start(source or self._language.backend, inheritance)

    def hand_over(self) -> Inheritance:
        """What the cell that the kernel has just been sent finds. The next one finds what this one leaves."""
        found, self.inheritance = self.inheritance, PRESERVED
        return found

    def note_observed(self) -> Loss | None:
        """A client of the channels has sent the kernel a cell. Returns the loss that its output has to tell, if clients of the
        channels were not there to see the kernel die.

        Calls have not been told of it, so the next one still says `restarted`."""
        found = self.inheritance
        self.inheritance = PRESERVED if found.state == "created" else found.told()
        return None if found.loss is self._announced else found.loss

    def note_told(self) -> None:
        """An answer has said that the state is lost."""
        if self._kernel is not None and not self._kernel.is_alive:
            self._mourn(self._kernel)
        self.inheritance = RESTARTED

    async def settled(self, starting: asyncio.Task[Kernel]) -> Kernel:
        """What a start comes to. Raises what it failed with, or ContextEnded where something else has taken its place."""
        await asyncio.wait({starting})
        if starting.cancelled():
            raise self._closed or ContextEnded(self._context_id)
        return starting.result()

    def close(self, error: PolyreplError, *, after: Iterable[asyncio.Task[None]] = ()) -> None:
        """End the kernel, and its start, for good. `error`: what is raised for whoever asks for a kernel from now on."""
        self._closed = error
        self._empty(after)

    def _empty(self, after: Iterable[asyncio.Task[None]]) -> None:
        """Let go of everything, at once; `stopped` returns when that, and what is in `after`, is gone."""
        starting, self._starting = self._starting, None
        kernel, self._kernel = self._kernel, None
        self._observers.watch(None)
        if starting is not None:
            starting.cancel()
        left = [task for task in (self._stopping, starting, *after) if task is not None]
        if left or kernel is not None:
            self._stopping = asyncio.create_task(self._stop(left, kernel))

    async def stopped(self) -> None:
        """Return when everything that the slot has let go of is gone."""
        while self._stopping is not None:
            await asyncio.wait({self._stopping})

    def _check_open(self) -> None:
        if self._closed is not None:
            raise self._closed

    def _start(self, source: KernelSource, inheritance: Inheritance | None) -> asyncio.Task[Kernel]:
        self._check_open()
        self._starting = asyncio.create_task(self._run_start(source, inheritance))
        self._starting.add_done_callback(_see)
        return self._starting

    async def _run_start(self, source: KernelSource, inheritance: Inheritance | None) -> Kernel:
        starter = asyncio.current_task()
        try:
            await self.stopped()
            kernel = await source.start(self._language, self._workspace)
        except BaseException as error:
            if self._starting is starter:
                self._starting = None
                self._note_failure(error)
            elif isinstance(error, Exception):  # it failed as its directories were taken away
                raise self._closed or ContextEnded(self._context_id) from error
            raise
        if self._starting is not starter:  # it comes too late: the slot is another's, or closed
            await kernel.kill()
            raise self._closed or ContextEnded(self._context_id)
        self._starting = None
        if inheritance is not None:
            self.inheritance = inheritance
        self._fill(kernel)
        return kernel

    def _fill(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._observers.watch(kernel)
        for state in ("starting", "idle"):  # as it said before it could be observed
            self._observers.say_status(state)
        kernel.exited.add_done_callback(lambda _: self._revive(kernel))

    def _revive(self, dead: Kernel) -> None:
        """A kernel that somebody watches is replaced at once; others are when they are needed, and so are those that only die."""
        if self._kernel is not dead or self._closed is not None:
            return
        self._mourn(dead)
        self._unused_deaths = 0 if dead.execution_count else self._unused_deaths + 1
        if not self._observers:
            return
        if self._unused_deaths > _UNUSED_DEATHS:
            name = self._language.kernel_name
            get_logger().warning("kernel_not_revived", context=self._context_id, kernel=name)
            self._observers.say_status("dead")
        else:
            self._observers.say_status("restarting")
            self._announced = self.inheritance.loss
            self.begin()

    def _mourn(self, dead: Kernel) -> None:
        """Note that the state is gone with its kernel, once for each. A kernel that has run no cell had none."""
        if self._mourned is dead:
            return
        self._mourned = dead
        if dead.execution_count or self.inheritance.state == "preserved":
            ended = dead.exited.result().describe() if dead.exited.done() else "is gone"
            self.inheritance = self.inheritance.lost(f"its kernel died ({ended})")

    def _note_failure(self, error: BaseException) -> None:
        if isinstance(error, (KernelStartFailed, StorageFull)):
            name = self._language.kernel_name
            get_logger().warning("kernel_start_failed", context=self._context_id, kernel=name, reason=error.message)
        self._observers.say_status("dead")

    async def _stop(self, left: Sequence[asyncio.Task[Any]], kernel: Kernel | None) -> None:
        try:
            try:
                if kernel is not None:
                    await kernel.kill()
            finally:
                if left:
                    await asyncio.wait(left)
        finally:
            if self._stopping is asyncio.current_task():
                self._stopping = None


def _see(starting: asyncio.Task[Kernel]) -> None:
    """Whoever waits for it raises what it failed with; there may be nobody."""
    if not starting.cancelled():
        starting.exception()
