"""The kernels that serve a notebook: each is set up with its plain cells once, and then answers one request at a time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import uuid
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import UNSET

from engine.api.notebook.notebook import Cell, Notebook, Operation
from engine.api.notebook.request_variable import assignment
from engine.contexts import Context, Execution
from engine.core import Engine
from engine.errors import (
    BadNotebook,
    ContextNotFound,
    KernelDied,
    KernelsBusy,
    KernelTimeout,
    PolyreplError,
    ShuttingDown,
    UnknownLanguage,
)
from engine.jupyter import to_bundle
from engine.kernels import Kernel, run_silently
from engine.languages import Language
from engine.log import get_logger

_FIRST_DELAY = 0.5  # seconds before a kernel that could not be set up is tried again; it doubles
_LAST_DELAY = 30.0
_TURN_WAIT = 5.0  # seconds; nobody else uses these contexts
_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request is answered with."""

    text: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class _Failed(Exception):
    """The request ends with this reply."""

    def __init__(self, name: str, value: str, status: int = 500) -> None:
        super().__init__()
        self.reply = Reply(f"Error {name}: {value} \n", status)


class Worker:
    """A kernel of the notebook. `kernel` is the one that was set up: the context may have another by now."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.context: Context | None = None
        self.kernel: Kernel | None = None
        self.execution: Execution | None = None
        self.is_abandoned = False  # the client of its request has gone

    def __repr__(self) -> str:
        return f"<Worker {self.number} {'ready' if self.is_ready else 'to be set up'}>"

    @property
    def is_ready(self) -> bool:
        kernel = self.kernel
        return kernel is not None and kernel.is_alive and self.context is not None and self.context.kernel is kernel


class NotebookKernels:
    """Runs the cells of a notebook's endpoints. `start` begins to set `count` kernels up; requests wait for a free one.

    A kernel that died, or had to be killed, is replaced and set up again before it answers the next request."""

    def __init__(self, engine: Engine, notebook: Notebook) -> None:
        self.notebook = notebook
        self._engine = engine
        settings = engine.settings
        self._patience = min(settings.default_timeout, settings.max_timeout)
        self._setup_timeout = min(settings.kernel_start_timeout, settings.max_timeout)
        self._max_waiting = settings.queue_size * settings.notebook_kernels
        self._workers = [Worker(number + 1) for number in range(settings.notebook_kernels)]
        self._free: deque[Worker] = deque()
        self._waiting: deque[asyncio.Future[Worker]] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._starting: asyncio.Task[None] | None = None
        self._failure: PolyreplError | None = None
        self._language: Language | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<NotebookKernels {self.notebook.name}, {len(self._free)} of {len(self._workers)} free>"

    def start(self) -> None:
        """Begin to set all kernels up."""
        self._starting = self._in_background(self._start_all())

    async def ready(self) -> None:
        """Return when all kernels are set up. Raises BadNotebook, KernelStartFailed or ShuttingDown."""
        assert self._starting is not None
        await asyncio.wait({self._starting})
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise ShuttingDown

    def describe(self) -> str:
        """One line for operators."""
        ready = sum(worker.is_ready for worker in self._workers)
        return "ok" if ready else "no kernel is set up"

    async def aclose(self) -> None:
        """Stop all that is going on; the contexts end with the engine. May be called again."""
        self._closed = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(ShuttingDown())
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def answer(self, operation: Operation, request: Mapping[str, Any]) -> Reply:
        """Run an endpoint's cells with REQUEST set. When the caller is cancelled, its cell is interrupted.

        Raises KernelsBusy, or what the notebook could not be started with."""
        worker = await self._acquire()
        task = self._in_background(self._serve(worker, operation, request))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                worker.is_abandoned = True
                self._in_background(self._interrupt(worker))
            raise

    def _in_background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _interrupt(self, worker: Worker) -> None:
        execution = worker.execution
        if execution is not None and worker.context is not None:
            with contextlib.suppress(ContextNotFound):
                await worker.context.interrupt(execution)

    async def _acquire(self) -> Worker:
        self._check()
        if self._free:
            return self._free.popleft()
        if len(self._waiting) >= self._max_waiting:
            raise KernelsBusy(f"{self._max_waiting} requests wait already")
        waiter: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._patience):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._offer(waiter.result())  # it came too late
            if isinstance(error, TimeoutError):
                raise KernelsBusy(f"none was free within {self._patience:g} s") from None
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiter)

    def _offer(self, worker: Worker) -> None:
        """Give the worker to the next request, or keep it for one; one whose kernel is gone is set up first."""
        if self._closed:
            return
        if not worker.is_ready:
            self._in_background(self._renew(worker))
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(worker)
                return
        self._free.append(worker)

    def _note_exit(self, worker: Worker) -> None:
        """A kernel has ended; one that serves a request is seen to afterwards."""
        if worker in self._free and not worker.is_ready:
            self._free.remove(worker)
            self._offer(worker)

    async def _start_all(self) -> None:
        try:
            self._language = _find_language(self._engine, self.notebook)
            async with asyncio.TaskGroup() as group:
                for worker in self._workers:
                    group.create_task(self._set_up(worker))
        except* PolyreplError as errors:
            self._failure = _first(errors)
            get_logger().error("notebook_not_served", reason=self._failure.message)
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_exception(self._failure)
        else:
            for worker in self._workers:
                self._offer(worker)

    async def _set_up(self, worker: Worker) -> None:
        """Have a fresh kernel, and run the plain cells in it. Raises PolyreplError."""
        assert self._language is not None
        worker.kernel = None
        if worker.context is None:
            context_id = f"notebook-{worker.number}-{uuid.uuid4().hex[:8]}"
            try:
                worker.context = await _make(self._engine, self._language, context_id)
            except UnknownLanguage as error:
                raise BadNotebook(self.notebook.name, error.errors[0].error) from None
        else:
            await worker.context.restart()
        kernel = worker.context.kernel
        assert kernel is not None
        for cell in self.notebook.setup:
            await self._run_setup(worker.context, cell)
        if not kernel.is_alive or worker.context.kernel is not kernel:
            raise KernelDied("it ended while it was set up")
        worker.kernel = kernel
        kernel.exited.add_done_callback(lambda _: self._note_exit(worker))

    async def _run_setup(self, context: Context, cell: Cell) -> None:
        execution = await self._engine.execute(
            cell.source,
            language=context.language.name,
            context_id=context.id,
            timeout=self._setup_timeout,
            files=False,
        )
        await execution.wait()
        error = execution.error
        if execution.status != "ok":
            what = f"{error.name}: {error.value}" if error is not None else execution.status
            raise BadNotebook(self.notebook.name, f"{cell.describe()} failed: {what}")

    async def _renew(self, worker: Worker) -> None:
        delay = _FIRST_DELAY
        while not worker.is_ready:
            try:
                await self._set_up(worker)
            except ShuttingDown:
                return
            except PolyreplError as error:
                get_logger().warning("notebook_kernel_not_set_up", number=worker.number, reason=error.message)
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LAST_DELAY)
        get_logger().info("notebook_kernel_replaced", number=worker.number)
        self._offer(worker)

    async def _serve(self, worker: Worker, operation: Operation, request: Mapping[str, Any]) -> Reply:
        worker.is_abandoned = False
        try:
            await self._assign(worker, request)
            text = _body(await self._run(worker, operation.source))
            if operation.response is None:
                return Reply(text)
            status, headers = _response_info(_body(await self._run(worker, operation.response)))
            return Reply(text, status, headers)
        except _Failed as failure:
            return failure.reply
        finally:
            worker.execution = None
            self._offer(worker)

    async def _assign(self, worker: Worker, request: Mapping[str, Any]) -> None:
        """Set REQUEST, without history or count."""
        assert worker.context is not None
        try:
            async with worker.context.turn(_TURN_WAIT) as kernel:
                if kernel is not worker.kernel:
                    raise KernelDied("it is being replaced")
                assigned = await run_silently(kernel, assignment(kernel.spec.language, request))
        except KernelTimeout:
            assert worker.kernel is not None
            await worker.kernel.kill()  # it would run this late
            raise _Failed("KernelTimeout", "the kernel did not take REQUEST in time") from None
        except PolyreplError as error:
            raise _Failed(type(error).__name__, error.message) from None
        if not assigned:
            raise _Failed("NotSupported", "the kernel did not take REQUEST")

    async def _run(self, worker: Worker, source: str) -> Execution:
        """Run a cell of a request, on the kernel that was set up. Raises _Failed."""
        assert worker.context is not None
        if worker.is_abandoned:
            raise _Failed("KeyboardInterrupt", "the client has gone")
        try:
            execution = await self._engine.execute(
                source, language=worker.context.language.name, context_id=worker.context.id, files=False
            )
        except PolyreplError as error:
            raise _Failed(type(error).__name__, error.message) from None
        worker.execution = execution
        await execution.wait()
        if execution.status == "ok" and worker.context.kernel is not worker.kernel:
            raise _Failed("KernelDied", "The kernel died before the request, and is set up anew")
        failure = execution.error
        if failure is not None:
            raise _Failed(failure.name, failure.value, 504 if execution.status == "timeout" else 500)
        return execution


def _find_language(engine: Engine, notebook: Notebook) -> Language:
    """The language of the notebook's kernelspec. Raises BadNotebook."""
    settings, languages = engine.settings, engine.languages
    chosen = settings.force_kernel_name or notebook.kernel_name or notebook.language or settings.default_kernel_name
    found = next((each for each in languages.all if each.kernel_name == chosen), None) or languages.find(chosen)
    if found is None:
        names = ", ".join(languages.names())
        problem = f"its kernelspec {chosen!r} is none of {names}; others are offered by the setting kernelspecs"
        raise BadNotebook(notebook.name, problem)
    return found


async def _make(engine: Engine, language: Language, context_id: str) -> Context:
    """A context that is neither culled nor evicted, with its kernel."""
    await engine.capabilities.check_usable(language)
    context, _ = engine.contexts.get_or_create(context_id, language)
    context.is_kept = True  # before anything is awaited: it may be culled as soon as its kernel is there
    try:
        await context.ready()
    except BaseException:
        engine.contexts.undo(context, "could not be started")
        raise
    return context


def _first(errors: BaseExceptionGroup[PolyreplError]) -> PolyreplError:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _body(execution: Execution) -> str:
    """What the cell wrote to stdout; else the MIME bundle of its result as JSON; else nothing. Raises _Failed where some is missing."""
    result = execution.result()
    cut = result.truncated if result.truncated is not UNSET else {}
    if execution.stdout:
        if "stdout" in cut:
            raise _Failed("OutputTooLarge", f"{cut['stdout'].total_bytes} bytes were written, more than is kept")
        return execution.stdout
    primary = next((item for item in result.items if item.is_primary), None)
    if primary is None:
        return ""
    if primary.omitted is not UNSET:
        raise _Failed("OutputTooLarge", f"the result is larger than is kept: {', '.join(primary.omitted)}")
    return json.dumps(to_bundle(primary), default=msgspec.json.decode)  # with the spaces that the original has


def _response_info(text: str) -> tuple[int, dict[str, str]]:
    """Status and headers that a ResponseInfo cell printed. Raises _Failed."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise _Failed("BadResponseInfo", "the cell printed no JSON object")
    status, headers = told.get("status", 200), told.get("headers", {})
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise _Failed("BadResponseInfo", "status must be a whole number from 200 to 599")
    if not isinstance(headers, dict):
        raise _Failed("BadResponseInfo", "headers must be an object")
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in headers.items()}
    for name, value in texts.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            raise _Failed("BadResponseInfo", f"{name!r} is no header, or its value is none")
    return status, texts
