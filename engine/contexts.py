"""Contexts (layer 6): one per (id, language). A context owns a kernel and a queue; contexts of one id share a working directory."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.errors import ContextEnded, ContextNotFound, KernelStartFailed, QueueFull, ShuttingDown, TooManyContexts
from engine.executions import Execution
from engine.kernel import Kernel, Outcome, Run
from engine.languages import Language
from engine.log import get_logger
from engine.models import ContextInfo, ContextState, ErrorInfo, Status
from engine.rundir import RunDir

_REMEMBERED_ENDINGS = 1000

StartKernel = Callable[[Language, "Workspace"], Coroutine[Any, Any, Kernel]]
Finished = Callable[[Execution], None]


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """What contexts are run with. Seconds; the output limits are sent to kernels that apply them themselves."""

    queue_size: int
    interrupt_grace: float
    kernel_limits: dict[str, int]


@dataclass(slots=True)
class Workspace:
    """The files of one context id. `root` is ours and goes with its last context; `cwd` is in it unless a request named another."""

    root: Path
    cwd: Path
    tmp: Path
    languages: set[str] = field(default_factory=set)

    def prepare(self) -> None:
        """Have the directories that are ours; a cell may have removed them."""
        self.tmp.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.cwd.is_relative_to(self.root):
            self.cwd.mkdir(mode=0o700, parents=True, exist_ok=True)


@dataclass(frozen=True, slots=True)
class _Ending:
    reason: str
    asked_for: bool


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
        on_finished: Finished,
    ) -> None:
        self.id = context_id
        self.language = language
        self.workspace = workspace
        self.created_at = self.last_activity = datetime.now(UTC)
        self.kernel: Kernel | None = None
        self.current: Execution | None = None
        self._options = options
        self._start_kernel = start_kernel
        self._on_finished = on_finished
        self._queue: deque[Execution] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[Kernel] | None = None
        self._state_of_next: ContextState = "preserved"
        self._closed = False

    def __repr__(self) -> str:
        return f"<Context {self.id} {self.language.name} {self.state}, {len(self._queue)} queued>"

    @property
    def is_idle(self) -> bool:
        return self._worker is None and self._starting is None

    @property
    def state(self) -> str:
        if self._starting is not None:
            return "starting"
        if self.current is not None:
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
        )

    def submit(self, execution: Execution) -> None:
        """Queue an execution. Raises QueueFull."""
        if len(self._queue) >= self._options.queue_size:
            raise QueueFull(self.id, self._options.queue_size)
        self._queue.append(execution)
        self.last_activity = datetime.now(UTC)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    def note_lost_state(self) -> None:
        """An earlier context of this id was ended by us: the next execution says that its state is gone."""
        self._state_of_next = "restarted"

    async def ready(self) -> None:
        """Have a living kernel. Raises KernelStartFailed."""
        await self._living_kernel()

    async def interrupt(self, execution: Execution | None = None) -> None:
        """Stop the running execution, or the one given, which may still be waiting."""
        target = execution or self.current
        if target is None or target.is_finished:
            return
        target.interrupt_requested = True
        if target is self.current and target.status == "running":
            if self.kernel is not None:
                await self.kernel.interrupt()
            return
        with contextlib.suppress(ValueError):
            self._queue.remove(target)
        self._end(target, "interrupted", None, _error("KeyboardInterrupt", "Interrupted before it started"))

    async def restart(self) -> None:
        """Replace the kernel by a fresh one; what runs or waits ends as interrupted."""
        self.note_lost_state()
        await self._stop(_error("ContextRestarted", "The context was restarted"))
        await self._living_kernel()

    async def aclose(self, reason: str) -> None:
        """End the context for good; `reason` completes "The context ..."."""
        self._closed = True
        await self._stop(_error("ContextEnded", f"The context {reason}"))

    async def _stop(self, error: ErrorInfo) -> None:
        """End everything and be as new, at once; what has to be waited for is no part of the context any more."""
        worker, self._worker = self._worker, None
        starting, self._starting = self._starting, None
        kernel, self.kernel = self.kernel, None
        running = [self.current] if self.current else []
        waiting = list(self._queue)
        self.current = None
        self._queue.clear()
        for execution in (*running, *waiting):
            self._end(execution, "interrupted", "lost", error)
        for task in (worker, starting):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        if starting is not None and not starting.cancelled() and starting.exception() is None:
            await starting.result().kill()
        if kernel is not None:
            await kernel.kill()

    async def _living_kernel(self) -> Kernel:
        if self.kernel is not None and self.kernel.is_alive:
            return self.kernel
        if self._closed:
            raise ShuttingDown
        if self.kernel is not None:
            self.note_lost_state()
        if self._starting is None:
            self._starting = asyncio.create_task(self._start_kernel(self.language, self.workspace))
            self._starting.add_done_callback(self._started)
        starting = self._starting
        await asyncio.wait({starting})
        if starting.cancelled():
            raise ContextEnded(self.id)
        return starting.result()

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
            self.current = execution
            try:
                await self._run(execution)
            except KernelStartFailed as error:
                get_logger().warning(
                    "kernel_start_failed", context=self.id, kernel=self.language.kernel_name, reason=error.message
                )
                self._end(execution, "died", "lost", _error("KernelStartFailed", error.message))
            except Exception:
                get_logger().exception("execution_failed", context=self.id, execution=execution.id)
                if self.kernel is not None:  # what it would do next, nobody knows
                    await self.kernel.kill()
                self._end(execution, "died", "lost", _error("InternalError", "The engine failed to run this code"))
            self.current = None
            self.last_activity = datetime.now(UTC)
        self._worker = None

    async def _run(self, execution: Execution) -> None:
        kernel = await self._living_kernel()
        request = execution.request
        if request is None:  # interrupted while the kernel was starting
            return
        metadata: dict[str, Any] = {}
        if request.env_vars:
            metadata["env_vars"] = request.env_vars
        if kernel.honours("output_limits"):
            metadata["output_limits"] = self._options.kernel_limits
        execution.start()
        run = await kernel.execute(request.code, execution.receive, allow_stdin=request.allow_stdin, metadata=metadata)
        execution.attach(run)
        if execution.interrupt_requested:  # while the request was on its way
            await kernel.interrupt()
        state, self._state_of_next = self._state_of_next, "preserved"
        outcome = await run.wait(request.timeout)
        if outcome is Outcome.TIMEOUT:
            await self._time_out(execution, kernel, run, state)
        elif outcome is Outcome.DIED:
            self._note_death(execution, kernel)
        else:
            self._end(execution, _status(execution), state)

    async def _time_out(self, execution: Execution, kernel: Kernel, run: Run, state: ContextState) -> None:
        """The ladder: interrupt, a time of grace, kill. The answer says which step was reached."""
        execution.deadline_passed = True
        await kernel.interrupt()
        outcome = await run.wait(self._options.interrupt_grace)
        said = f"Execution exceeded its timeout of {round(execution.timeout * 1000)} ms"
        traceback = execution.error.traceback if execution.error else ""
        if outcome is Outcome.DONE:
            message = f"{said}; it was interrupted and the state is kept"
            shown = f"{traceback}\n\nTimeoutError: {message}".lstrip()
            self._end(execution, "timeout", state, ErrorInfo("TimeoutError", message, shown))
            return
        if outcome is Outcome.TIMEOUT:
            message = f"{said} and did not stop when interrupted; its kernel was killed and the state is lost"
            await kernel.kill()
        else:
            message = f"{said}; its kernel died when interrupted and the state is lost"
        self._end(execution, "timeout", "lost", _error("TimeoutError", message))

    def _note_death(self, execution: Execution, kernel: Kernel) -> None:
        reason = kernel.exited.result().describe() if kernel.exited.done() else "gone"
        get_logger().warning("kernel_died", context=self.id, execution=execution.id, reason=reason)
        self._end(execution, "died", "lost", _error("KernelDied", f"The kernel died: {reason}"))

    def _end(
        self, execution: Execution, status: Status, state: ContextState | None, error: ErrorInfo | None = None
    ) -> None:
        if not execution.is_finished:
            execution.end(status, context_state=state, error=error)
            self._on_finished(execution)


def _status(execution: Execution) -> Status:
    if execution.error is None:
        return "ok"
    asked = execution.interrupt_requested and execution.error.name == "KeyboardInterrupt"
    return "interrupted" if asked else "error"


def _error(name: str, value: str) -> ErrorInfo:
    return ErrorInfo(name=name, value=value, traceback=f"{name}: {value}")


class Contexts:
    """All contexts, within a limit. Changes are made synchronously; what they end is closed in the background."""

    def __init__(
        self,
        *,
        max_contexts: int,
        idle_timeout: float,
        run_dir: RunDir,
        make: Callable[[str, Language, Workspace], Context],
        on_created: Callable[[Context], None],
        on_ended: Callable[[Context, str], None],
        on_deleted: Callable[[Context], None],
    ) -> None:
        self._max_contexts = max_contexts
        self._idle_timeout = idle_timeout
        self._run_dir = run_dir
        self._make = make
        self._on_created = on_created
        self._on_ended = on_ended
        self._on_deleted = on_deleted
        self._by_key: dict[tuple[str, str], Context] = {}
        self._workspaces: dict[str, Workspace] = {}
        self._endings: OrderedDict[tuple[str, str], _Ending] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Context]:
        return iter(list(self._by_key.values()))

    def get(self, context_id: str, language: str | None = None) -> list[Context]:
        """The contexts of an id, oldest first. Raises ContextNotFound, which tells how it ended where that is known."""
        found = [context for context in self if context.id == context_id and language in (None, context.language.name)]
        if not found:
            endings = [end.reason for (ended_id, _), end in self._endings.items() if ended_id == context_id]
            raise ContextNotFound(context_id, ended=endings[-1] if endings else None)
        return found

    def get_or_create(self, context_id: str, language: Language, cwd: Path | None = None) -> Context:
        """The context of (id, language), made where there is none. Raises TooManyContexts or ShuttingDown."""
        context = self._by_key.get((context_id, language.name))
        if context is not None:
            return context
        if self._closed:
            raise ShuttingDown
        joined = self._workspaces.get(context_id)
        if joined is not None:
            joined.languages.add(language.name)  # first, so that making room cannot take its files away
        try:
            self._make_room()
        except TooManyContexts:
            if joined is not None:
                joined.languages.discard(language.name)
            raise
        workspace = joined or self._new_workspace(context_id, cwd)
        workspace.languages.add(language.name)
        context = self._make(context_id, language, workspace)
        self._by_key[context_id, language.name] = context
        ending = self._endings.pop((context_id, language.name), None)
        if ending is not None and not ending.asked_for:
            context.note_lost_state()
        self._on_created(context)
        return context

    def _new_workspace(self, context_id: str, cwd: Path | None) -> Workspace:
        root = self._run_dir.new_context_dir(context_id)
        workspace = Workspace(root, cwd or root / "work", root / "tmp")
        self._workspaces[context_id] = workspace
        return workspace

    @property
    def has_room(self) -> bool:
        """Whether a new context would be taken, if need be in the place of an idle one."""
        return len(self._by_key) < self._max_contexts or any(context.is_idle for context in self)

    def _make_room(self) -> None:
        if len(self._by_key) < self._max_contexts:
            return
        idle = [context for context in self if context.is_idle]
        if not idle:
            raise TooManyContexts(self._max_contexts)
        self.end(min(idle, key=lambda context: context.last_activity), "was evicted to make room for another")

    def end(self, context: Context, reason: str, *, asked_for: bool = False) -> asyncio.Task[None]:
        """Take a context out, now, and close it in the background; the task is done when nothing of it is left.

        `asked_for`: its user wanted this, so a later context of the same id has lost nothing."""
        self._by_key.pop((context.id, context.language.name), None)
        workspace = self._workspaces.get(context.id)
        if workspace is not None:
            workspace.languages.discard(context.language.name)
            if not workspace.languages:
                del self._workspaces[context.id]
            else:
                workspace = None
        self._endings[context.id, context.language.name] = _Ending(reason, asked_for)
        if len(self._endings) > _REMEMBERED_ENDINGS:
            self._endings.popitem(last=False)
        self._on_ended(context, reason)
        task = asyncio.create_task(self._close(context, reason, workspace, asked_for=asked_for))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task

    async def _close(self, context: Context, reason: str, workspace: Workspace | None, *, asked_for: bool) -> None:
        await context.aclose(reason)
        if asked_for:
            self._on_deleted(context)
        if workspace is not None:
            await asyncio.to_thread(self._run_dir.remove, workspace.root)

    def cull(self) -> None:
        """End every context that has been idle for longer than the idle timeout."""
        now = datetime.now(UTC)
        for context in self:
            if context.is_idle and (now - context.last_activity).total_seconds() >= self._idle_timeout:
                self.end(context, f"was ended after {self._idle_timeout:g} s without activity")

    async def aclose(self) -> None:
        """End all contexts."""
        self._closed = True
        for context in self:
            self.end(context, "was ended with the server")
        if self._closing:
            await asyncio.wait(self._closing)
