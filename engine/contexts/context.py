"""A context: one kernel, replaced when it dies, a queue of what is to be run on it, and the states it can return to."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET

from engine.contexts.branches import Checkpoint, Checkpoints
from engine.contexts.executions import Execution, Request
from engine.contexts.observers import Observer, Observers, status_message
from engine.contexts.outcome import ending_of, error_info, has_failed
from engine.contexts.relays import Relays
from engine.contexts.turns import Turn
from engine.errors import (
    ContextBusy,
    ContextEnded,
    KernelDied,
    KernelStartFailed,
    NotSupported,
    PolyreplError,
    QueueFull,
    ShuttingDown,
)
from engine.jupyter.client_frames import ClientMessage
from engine.jupyter.messages import Message
from engine.kernels.kernel import Kernel, Outcome, Run
from engine.kernels.preludes import Preludes, preludes
from engine.kernels.silent import put_back, run_silently
from engine.languages import Language
from engine.log import get_logger
from engine.models import ContextInfo, ContextState, ErrorInfo, Status
from engine.packages.installation import Installation
from engine.workspaces.changes import watch
from engine.workspaces.run_directory import Workspace

StartKernel = Callable[[Language, Workspace], Coroutine[Any, Any, Kernel]]
MakeCheckpoints = Callable[..., Checkpoints]
Finished = Callable[[Execution], None]


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """What contexts are run with. Seconds; the output limits are sent to kernels that apply them themselves.

    `kept_messages`: bytes kept for each observer that is away; `observed_timeout`: of the cells of observers, None for none."""

    queue_size: int
    interrupt_grace: float
    kernel_limits: dict[str, int]
    kept_messages: int = 0
    observed_timeout: float | None = None


class Context:
    """Runs executions one after the other on its kernel, which is started when first needed and replaced when it died."""

    def __init__(
        self,
        context_id: str,
        language: Language,
        workspace: Workspace,
        *,
        options: ContextOptions,
        start_kernel: StartKernel,
        make_checkpoints: MakeCheckpoints,
        on_finished: Finished,
    ) -> None:
        self.id = context_id
        self.language = language
        self.labels: dict[str, str] = {}  # what its maker says of it
        self.is_kept = False  # its maker ends it; it neither grows old nor makes room
        self.workspace = workspace
        self.checkpoints = make_checkpoints(context_id=context_id, language=language, workspace=workspace)
        self.created_at = self.last_activity = datetime.now(UTC)
        self.observers = Observers(max_kept=options.kept_messages)
        self._kernel: Kernel | None = None
        self._turn: Turn | None = None
        self._reviving: asyncio.Task[None] | None = None
        self.shut_down: Callable[[], object] = lambda: None  # ends it, as a client of its channels may ask
        self.current: Execution | None = None
        self.installation: Installation | None = None
        self._options = options
        self._relays = Relays(self, self.observers, timeout=options.observed_timeout, grace=options.interrupt_grace)
        self._can_watch = not language.is_remote
        self._start_kernel = start_kernel
        self._on_finished = on_finished
        self._queue: deque[Execution | Turn] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[Kernel] | None = None
        self._state_of_next: ContextState = "preserved"
        self._closed = False

    def __repr__(self) -> str:
        return f"<Context {self.id} {self.language.name} {self.state}, {len(self._queue)} queued>"

    @property
    def kernel(self) -> Kernel | None:
        return self._kernel

    @kernel.setter
    def kernel(self, kernel: Kernel | None) -> None:
        self._kernel = kernel
        self.observers.watch(kernel)
        if kernel is not None:
            for state in ("starting", "idle"):  # as it said before it could be observed
                self.observers.say_status(state)
            kernel.exited.add_done_callback(lambda _: self._revive(kernel))

    @property
    def is_idle(self) -> bool:
        return self._worker is None and self._starting is None and self.installation is None

    @property
    def can_go(self) -> bool:
        """Whether nobody would miss it now."""
        return self.is_idle and not self.observers and not self.is_kept

    @property
    def state(self) -> str:
        if self._starting is not None:
            return "starting"
        if self.current is not None or self._turn is not None:
            return "busy"
        if self.kernel is not None and not self.kernel.is_alive:
            return "dead"
        return "idle"

    def info(self) -> ContextInfo:
        return ContextInfo(
            id=self.id,
            language=self.language.name,
            cwd=str(self.workspace.cwd),
            kernel=self.language.kernel_name,
            state=self.state,
            created_at=self.created_at.isoformat(),
            last_activity=self.last_activity.isoformat(),
            queued=len(self._queue),
            execution_count=self.kernel.execution_count if self.kernel else 0,
            name=self.workspace.labels.name or UNSET,
            tags=self.workspace.labels.tags or UNSET,
        )

    def submit(self, execution: Execution | Turn) -> None:
        """Queue an execution, or a turn. Raises QueueFull."""
        if len(self._queue) >= self._options.queue_size:
            raise QueueFull(self.id, self._options.queue_size)
        self.last_activity = datetime.now(UTC)
        self.enqueue(execution)

    def observe(self, observer: Observer) -> None:
        """Have a client see all messages of the kernel, which is started where there is none, until it leaves `observers`."""
        self.last_activity = datetime.now(UTC)
        observer.deliver(status_message(self.state))
        self.observers.join(observer)
        if self.kernel is None or not self.kernel.is_alive:
            self._start_again()

    def relay(self, session: str, request: ClientMessage, done: Callable[[], None]) -> None:
        """Hand an observer's message to the kernel, as `Relays.take` says."""
        self.last_activity = datetime.now(UTC)
        self._relays.take(session, request, done)

    async def flushed(self, timeout: float) -> None:
        """Return once the kernel has read what it was sent, or after `timeout` seconds."""
        if self.kernel is not None:
            await self.kernel.flushed(timeout)

    @property
    def waiting(self) -> list[Execution | Turn]:
        return list(self._queue)

    def enqueue(self, turn: Execution | Turn) -> None:
        """Queue a turn, or an execution, whatever there is already."""
        self._queue.append(turn)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    def drop(self, turn: Turn) -> None:
        """Take a turn that waits out of the queue."""
        self._queue.remove(turn)

    def _revive(self, dead: Kernel) -> None:
        """A kernel that somebody watches is replaced at once; others are when they are needed."""
        if self.kernel is dead and self.observers and not self._closed:
            self.observers.say_status("restarting")
            self.note_lost_state()
            self._start_again()

    def _start_again(self) -> None:
        async def start() -> None:
            try:
                await self._living_kernel()
            except PolyreplError as error:
                get_logger().warning("kernel_not_replaced", context=self.id, reason=error.message)
                self.observers.say_status("dead")

        if self._reviving is None or self._reviving.done():
            self._reviving = asyncio.create_task(start())

    def note_lost_state(self) -> None:
        """An earlier context of this id was ended by us: the next execution says that its state is gone."""
        self._state_of_next = "restarted"

    async def ready(self) -> None:
        """Have a living kernel. Raises KernelStartFailed."""
        await self._living_kernel()

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
        with contextlib.suppress(ValueError):
            self._queue.remove(target)
        self._end(target, "interrupted", None, error_info("KeyboardInterrupt", "Interrupted before it started"))

    async def ask(self, msg_type: str, content: dict[str, Any], *, patience: float, timeout: float) -> Message | None:
        """Send the kernel a request that is no cell, when none runs or waits, and return its reply. Seconds.

        None where no kernel was started, or the last one is gone. Raises ContextBusy when cells are left after `patience`,
        KernelTimeout or KernelDied."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._worker is not None:
                    await asyncio.wait({self._worker})
        if self._worker is not None:
            raise ContextBusy(self.id)
        if self.kernel is None or not self.kernel.is_alive:
            return None
        self.last_activity = datetime.now(UTC)
        return await self.kernel.request(msg_type, content, timeout=timeout)

    @contextlib.asynccontextmanager
    async def turn(self, timeout: float) -> AsyncIterator[Kernel]:
        """Have the kernel between two cells, when those that wait already have run. Raises QueueFull or ContextBusy."""
        turn = Turn()
        self.submit(turn)
        try:
            try:
                async with asyncio.timeout(timeout):
                    kernel = await turn.granted()
            except TimeoutError:
                raise ContextBusy(self.id) from None
            yield kernel
        finally:
            turn.release()
            self.last_activity = datetime.now(UTC)

    async def branch_from(self, source: Context, branching: Coroutine[Any, Any, Kernel]) -> None:
        """Begin with a kernel that is a copy of another context's. Raises what the copying raises."""
        self._state_of_next = source._state_of_next
        await self._settled(self._begin(branching))

    async def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint; what runs or waits ends as interrupted. Raises what `Checkpoints.restore` raises."""
        staged = await self.checkpoints.stage(checkpoint)
        stopping = self._take_down(error_info("ContextRestored", "The context was restored to a checkpoint"))
        self.note_lost_state()  # until it is back
        await self._settled(self._begin(self._return_to(checkpoint, staged, stopping)))
        self._state_of_next = "preserved"

    async def _return_to(self, checkpoint: Checkpoint, staged: Workspace, stopping: asyncio.Task[None]) -> Kernel:
        await asyncio.shield(stopping)
        return await self.checkpoints.restore(checkpoint, staged)

    async def restart(self) -> None:
        """Replace the kernel by a fresh one; what runs or waits ends as interrupted."""
        self.note_lost_state()
        await self._take_down(error_info("ContextRestarted", "The context was restarted"))
        await self._living_kernel()

    async def aclose(self, reason: str) -> None:
        """End the context for good; `reason` completes "The context ..."."""
        self._closed = True
        stopping = self._take_down(error_info("ContextEnded", f"The context {reason}"))
        self.observers.end_all(f"The context {reason}")
        await stopping
        await self.checkpoints.aclose()

    def end_installation(self, installation: Installation) -> None:
        """Note that an installation of packages has ended."""
        if self.installation is installation:
            self.installation = None
            self.last_activity = datetime.now(UTC)

    def _take_down(self, error: ErrorInfo) -> asyncio.Task[None]:
        """End everything and be as new, at once; what has to be waited for is no part of the context any more."""
        worker, self._worker = self._worker, None
        starting, self._starting = self._starting, None
        kernel, self.kernel = self.kernel, None
        installation, self.installation = self.installation, None
        running = [self.current] if self.current else []
        waiting = list(self._queue)
        self.current = None
        self._queue.clear()
        for execution in (*running, *waiting):
            if isinstance(execution, Turn):
                execution.refuse(ContextEnded(self.id))
            else:
                self._end(execution, "interrupted", "lost", error)
        return asyncio.create_task(_finish_all(worker, starting, kernel, installation))

    def _begin(self, starting: Coroutine[Any, Any, Kernel]) -> asyncio.Task[Kernel]:
        self._starting = asyncio.create_task(starting)
        self._starting.add_done_callback(self._started)
        return self._starting

    async def _settled(self, starting: asyncio.Task[Kernel]) -> Kernel:
        await asyncio.wait({starting})
        if starting.cancelled():
            raise ContextEnded(self.id)
        return starting.result()

    async def _living_kernel(self) -> Kernel:
        if self.kernel is not None and self.kernel.is_alive:
            return self.kernel
        if self._closed:
            raise ShuttingDown
        if self.kernel is not None:
            self.note_lost_state()
        return await self._settled(self._starting or self._begin(self._start_kernel(self.language, self.workspace)))

    def _started(self, task: asyncio.Task[Kernel]) -> None:
        if self._starting is task:
            self._starting = None
            if not task.cancelled() and task.exception() is None:
                self.kernel = task.result()

    async def _work(self) -> None:
        while self._queue:
            execution = self._queue.popleft()
            if execution.is_finished:
                continue
            if isinstance(execution, Turn):
                self._turn = execution
                try:
                    await execution.give(self._living_kernel)
                finally:
                    self._turn = None
                self.last_activity = datetime.now(UTC)
                continue
            self.current = execution
            try:
                await self._run(execution)
            except Exception as error:
                await self._give_up(execution, error)
            self.current = None
            self.last_activity = datetime.now(UTC)
        self._worker = None

    async def _give_up(self, execution: Execution, error: Exception) -> None:
        """End an execution that could not be run, or not to its end."""
        has_kernel = self.kernel is not None and self.kernel.is_alive
        if isinstance(error, KernelStartFailed) and not has_kernel:
            get_logger().warning(
                "kernel_start_failed", context=self.id, kernel=self.language.kernel_name, reason=error.message
            )
            self._end(execution, "died", "lost", error_info("KernelStartFailed", error.message))
        elif isinstance(error, PolyreplError) and execution.status == "queued":
            # Nothing was run: the context, or a checkpoint before the code, could not be branched.
            status: Status = "died" if isinstance(error, KernelDied) else "error"
            state: ContextState | None = None if has_kernel else "lost"
            self._end(execution, status, state, error_info(type(error).__name__, error.message))
        else:
            get_logger().error("execution_failed", context=self.id, execution=execution.id, exc_info=error)
            if self.kernel is not None:  # what it would do next, nobody knows
                await self.kernel.kill()
            self._end(execution, "died", "lost", error_info("InternalError", "The engine failed to run this code"))

    async def _run(self, execution: Execution) -> None:
        kernel = await self._living_kernel()
        if execution.request is not None and self._can_watch:
            execution.watch = await watch(self.workspace, execution.request.files)
        request = execution.request
        if request is None:  # interrupted while the kernel was starting
            return
        if not (request.checkpoint or request.rolls_back):
            await self._run_on(kernel, execution, request, None)
            return
        async with self.checkpoints.before(kernel, kept=request.checkpoint) as checkpoint:
            if request.checkpoint:
                execution.checkpoint = checkpoint.id
            if not execution.is_finished:  # interrupted meanwhile
                await self._run_on(kernel, execution, request, checkpoint)

    async def _run_on(
        self, kernel: Kernel, execution: Execution, request: Request, checkpoint: Checkpoint | None
    ) -> None:
        metadata: dict[str, Any] = {}
        around: Preludes | None = None
        if request.env_vars and kernel.honours("env_vars"):
            metadata["env_vars"] = request.env_vars
        elif request.env_vars:
            around = preludes(kernel.spec.language, request.env_vars)
            if around is None:
                raise NotSupported("env_vars", self.language.name, "its kernel does not take them")
            if not await run_silently(kernel, around.before):
                await put_back(kernel, around.after)
                raise NotSupported("env_vars", self.language.name, "its kernel failed to set them")
        if kernel.honours("output_limits"):
            metadata["output_limits"] = self._options.kernel_limits
        if request.variables:
            metadata["changes"] = True
        if request.data and kernel.honours("data"):
            metadata["data"] = True
        execution.start()
        run = await kernel.execute(request.code, execution.receive, allow_stdin=request.allow_stdin, metadata=metadata)
        execution.attach(run)
        if execution.interrupt_requested:  # while the request was on its way
            await kernel.interrupt()
        state, self._state_of_next = self._state_of_next, "preserved"
        outcome = await run.wait(request.timeout)
        if outcome is Outcome.TIMEOUT:
            outcome = await self._time_out(execution, kernel, run)
        if around is not None and outcome is Outcome.DONE and not await put_back(kernel, around.after):
            outcome = Outcome.DIED
        death = self._note_death(execution, kernel) if outcome is Outcome.DIED else ""
        if outcome is not Outcome.DONE:
            state = "lost"
        if checkpoint is not None and request.rolls_back and has_failed(execution, outcome):
            state = await self._roll_back(checkpoint, kernel, state)
        if execution.watch is not None and state != "rolled_back":
            execution.files = await execution.watch.changes()
        status, error = ending_of(execution, outcome, state, death=death)
        self._end(execution, status, state, error)

    async def _time_out(self, execution: Execution, kernel: Kernel, run: Run) -> Outcome:
        """The ladder: interrupt, a time of grace, kill. Returns which step was reached: DONE, DIED, or TIMEOUT for killed."""
        execution.deadline_passed = True
        await kernel.interrupt()
        outcome = await run.wait(self._options.interrupt_grace)
        if outcome is Outcome.TIMEOUT:
            await kernel.kill()
        return outcome

    async def _roll_back(self, checkpoint: Checkpoint, kernel: Kernel, state: ContextState) -> ContextState:
        """Return to the checkpoint; what is said of the state then. Where that fails before anything was ended, it is `state`."""
        try:
            staged = await self.checkpoints.stage(checkpoint)
            self.kernel = None
            stopping = asyncio.create_task(_finish_all(None, None, kernel))
            await self._settled(self._begin(self._return_to(checkpoint, staged, stopping)))
        except PolyreplError as error:
            get_logger().warning("not_rolled_back", context=self.id, reason=error.message)
            if self.kernel is None:
                self.note_lost_state()
                return "lost"
            return state
        return "rolled_back"

    def _note_death(self, execution: Execution, kernel: Kernel) -> str:
        reason = kernel.exited.result().describe() if kernel.exited.done() else "gone"
        get_logger().warning("kernel_died", context=self.id, execution=execution.id, reason=reason)
        return reason

    def _end(
        self, execution: Execution, status: Status, state: ContextState | None, error: ErrorInfo | None = None
    ) -> None:
        if not execution.is_finished:
            execution.end(status, context_state=state, error=error)
            self._on_finished(execution)


async def _finish_all(
    worker: asyncio.Task[None] | None,
    starting: asyncio.Task[Kernel] | None,
    kernel: Kernel | None,
    installation: Installation | None = None,
) -> None:
    for task in (worker, starting):
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
    if starting is not None and not starting.cancelled() and starting.exception() is None:
        await starting.result().kill()
    if kernel is not None:
        await kernel.kill()
    if installation is not None:
        await installation.cancel("was stopped with its context, which was ended, restarted or restored")
