"""One cell's run: its environment, what is watched around it, its time limit, and what the answer says of its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from engine.contexts.checkpoints import Checkpoint, Checkpoints
from engine.contexts.execution import Execution, Request
from engine.contexts.kernel_slot import KernelSlot
from engine.contexts.outcome import ending_of, engine_error, has_failed
from engine.errors import (
    ContextBusy,
    ContextEnded,
    KernelDied,
    KernelStartFailed,
    KernelTimeout,
    NotSupported,
    PolyreplError,
    ShuttingDown,
    StorageFull,
)
from engine.kernels import Exit, Kernel, Outcome, Preludes, Run, preludes_of, put_back, run_silently, wait_for_stop
from engine.kernels.checking import Checked, Checks
from engine.log import get_logger
from engine.models import ContextState, ErrorInfo, Status
from engine.workspaces import Watch, Workspace, watch

_GRACE = (0.6, 0.4, 0.4, 0.6)  # shares of the grace, each after a signal; the first one makes a cell stop in most cases


@dataclass(frozen=True, slots=True)
class CellSettings:
    """How the cells of a context are run. `interrupt_grace`: seconds; `workspace`: the directories of the context; `is_watched`: cells
    are looked after there. `checks`: where types are checked."""

    interrupt_grace: float
    workspace: Workspace
    is_watched: bool
    checks: Checks


class CellRun:
    """Runs one execution when its context's queue gives it the kernel.

    Invariant: the execution is ended by whoever is first: the run itself, an interrupt before it starts, or `refuse`, when the
    context has another kernel or none. The run looks after each wait whether that has happened, and starts nothing if so."""

    def __init__(self, execution: Execution, checkpoints: Checkpoints, settings: CellSettings) -> None:
        self.execution = execution
        self.size = execution.request.size if execution.request is not None else 0
        self._checkpoints = checkpoints
        self._settings = settings
        self._watch: Watch | None = None  # not the execution's, which is kept for long

    def __repr__(self) -> str:
        return f"<CellRun {self.execution!r}>"

    @property
    def is_finished(self) -> bool:
        return self.execution.is_finished

    async def give(self, slot: KernelSlot) -> None:
        try:
            await self._run(slot)
        except Exception as error:
            await self._give_up(slot, error)

    def refuse(self, error: Exception) -> None:
        match error:
            case ContextEnded(cell_error=name, reason=reason):
                self._end("interrupted", "lost", engine_error(name, f"The context {reason}"))
            case ContextBusy():
                self._end("error", None, engine_error(type(error).__name__, error.message))
            case ShuttingDown():
                self._end("interrupted", "lost", engine_error("ContextEnded", "The context was ended with the server"))
            case _:
                self._end("died", "lost", _internal_error())

    def interrupt_before_start(self) -> None:
        """End it: it has not been handed to its kernel."""
        self._end("interrupted", None, engine_error("KeyboardInterrupt", "Interrupted before it started"))

    async def _run(self, slot: KernelSlot) -> None:
        kernel = await slot.living()
        request = self.execution.request
        if request is None:  # interrupted while the kernel was starting
            return
        if self._settings.is_watched:
            self._watch = await watch(
                self._settings.workspace, request.options.files, context_id=self.execution.context_id
            )
        if not (request.options.checkpoint or request.options.rolls_back):
            await self._run_on(slot, kernel, request, None)
            return
        async with self._checkpoints.before(kernel, slot.inheritance, kept=request.options.checkpoint) as checkpoint:
            if request.options.checkpoint:
                self.execution.checkpoint = checkpoint.id
            await self._run_on(slot, kernel, request, checkpoint)

    async def _run_on(self, slot: KernelSlot, kernel: Kernel, request: Request, checkpoint: Checkpoint | None) -> None:
        execution = self.execution
        around: Preludes | None = None
        if execution.is_finished:  # interrupted meanwhile
            return
        if request.options.env_vars and not kernel.honours("env_vars"):
            around = await self._set_environment(kernel, request)
            if execution.is_finished:
                await put_back(kernel, around.after)
                return
        execution.start()
        checking = self._begin_check(kernel, request)
        run = await kernel.execute(
            request.code,
            execution.receive,
            allow_stdin=request.options.allow_stdin,
            metadata=self._metadata(kernel, request),
        )
        execution.attach(run)
        if execution.interrupt_requested:  # while the request was on its way
            await kernel.interrupt()
        found = slot.inheritance if request.options.prepares else slot.hand_over()
        state = found.state
        outcome = await run.wait(request.timeout)
        if outcome is Outcome.TIMEOUT:
            outcome = await self._time_out(kernel, run)
        if around is not None and outcome is Outcome.DONE and not await put_back(kernel, around.after):
            outcome = Outcome.DIED
        death = self._note_death(kernel) if outcome is Outcome.DIED else None
        if outcome is not Outcome.DONE:
            state = "lost"
        if checkpoint is not None and request.options.rolls_back and has_failed(execution, outcome):
            state = await self._roll_back(slot, checkpoint, state)
        if self._watch is not None and state != "rolled_back":
            execution.files = await self._watch.changes()
        status, error = ending_of(execution, outcome, state, death=death)
        if state == "restarted":
            execution.loss = found.loss
        if checking is not None:
            execution.stop_clock()
            execution.note_checked((await checking).of_run(is_ok=status == "ok"))
        self._end(status, state, error, slot)

    def _begin_check(self, kernel: Kernel, request: Request) -> asyncio.Task[Checked] | None:
        """Check the types of the code while it runs, if that is asked for. Later cells know its names in any case."""
        checks, checking = self._settings.checks, None
        if request.options.check:
            checking = checks.begin(kernel, request.code, self._settings.workspace)
        checks.note(kernel, request.code)
        return checking

    async def _set_environment(self, kernel: Kernel, request: Request) -> Preludes:
        """Set the variables in a kernel that does not read them itself. Raises NotSupported."""
        language = self.execution.language
        around = preludes_of(kernel.spec.language, request.options.env_vars or {})
        if around is None:
            raise NotSupported("env_vars", language, "its kernel does not take them")
        try:
            is_set = await run_silently(kernel, around.before)
        except KernelTimeout:  # it may still set them
            is_set = False
        if not is_set:
            await put_back(kernel, around.after)
            raise NotSupported("env_vars", language, "its kernel failed to set them")
        return around

    def _metadata(self, kernel: Kernel, request: Request) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        if request.options.env_vars and kernel.honours("env_vars"):
            metadata["env_vars"] = request.options.env_vars
        if kernel.honours("output_limits"):
            metadata["output_limits"] = self.execution.limits.for_kernels
        if kernel.honours("items"):
            metadata["items"] = True
        if request.options.variables:
            metadata["changes"] = True
        if request.options.data and kernel.honours("data"):
            metadata["data"] = True
        return metadata

    async def _time_out(self, kernel: Kernel, run: Run) -> Outcome:
        """The ladder: interrupt, a time of grace, kill. Returns which step was reached: DONE, DIED, or TIMEOUT for killed.

        A signal only starts the wait at the end of a block, such as that of a thread pool; another one ends it, and blocks are
        nested. It comes late: a handler of the user may take the first as a request to finish, and the second as one to break off."""
        self.execution.deadline_passed = True
        outcome = Outcome.TIMEOUT
        for share in _GRACE if kernel.spec.interrupt_mode == "signal" else (1.0,):
            await kernel.interrupt()
            outcome = await wait_for_stop(run, kernel.pid, share * self._settings.interrupt_grace)
            if outcome is not Outcome.TIMEOUT:
                return outcome
        await kernel.kill()
        return outcome

    async def _roll_back(self, slot: KernelSlot, checkpoint: Checkpoint, state: ContextState) -> ContextState:
        """Return to the checkpoint; what is said of the state then. Where that fails before anything was ended, it is `state`.

        The next cell finds what this one has found, with a loss that this answer does not tell."""
        has_let_go = False
        try:
            restoration = await self._checkpoints.stage(checkpoint)
            starting = restoration.begin(slot, checkpoint.inheritance)
            has_let_go = True
            await slot.settled(starting)
        except PolyreplError as error:
            get_logger().warning("not_rolled_back", context=self.execution.context_id, reason=error.message)
            return "lost" if has_let_go else state
        return "rolled_back"

    async def _give_up(self, slot: KernelSlot, error: Exception) -> None:
        """End an execution that could not be run, or not to its end."""
        execution = self.execution
        if isinstance(error, (KernelStartFailed, StorageFull)) and not slot.has_living:
            self._end("died", "lost", engine_error(type(error).__name__, error.message), slot)
        elif isinstance(error, PolyreplError) and execution.status == "queued":
            # Nothing was run: the context, or a checkpoint before the code, could not be branched.
            status: Status = "died" if isinstance(error, KernelDied) else "error"
            state: ContextState | None = None if slot.has_living else "lost"
            self._end(status, state, engine_error(type(error).__name__, error.message), slot)
        else:
            get_logger().error("execution_failed", context=execution.context_id, execution=execution.id, exc_info=error)
            if slot.kernel is not None:  # what it would do next, nobody knows
                await slot.kernel.kill()
            self._end("died", "lost", _internal_error(), slot)

    def _note_death(self, kernel: Kernel) -> Exit:
        ended = kernel.exited.result() if kernel.exited.done() else Exit(None, reason="gone")
        reason = ended.describe()
        get_logger().warning(
            "kernel_died", context=self.execution.context_id, execution=self.execution.id, reason=reason
        )
        return ended

    def _end(
        self, status: Status, state: ContextState | None, error: ErrorInfo | None, slot: KernelSlot | None = None
    ) -> None:
        """`slot`: unless it has been given something else since, and knows why the state is lost."""
        if slot is not None and state == "lost" and not self.is_finished:
            slot.note_told()
        self.execution.end(status, context_state=state, error=error)


def _internal_error() -> ErrorInfo:
    return engine_error("InternalError", "The engine failed to run this code")
