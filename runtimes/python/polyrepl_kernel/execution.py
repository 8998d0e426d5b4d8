"""One execute_request, from its announcement to its reply."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Coroutine
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from . import children, variables
from .cells import Cell
from .environment import environment
from .protocol import IOPUB, Request
from .requests import code_of
from .tracebacks import unshown

if TYPE_CHECKING:
    from .kernel import Kernel
    from .shell import ZMQInteractiveShell


_INLINE = "matplotlib_inline.backend_inline"


class Execution:
    """Runs a cell: at once, or as a task of the loop where it awaits. The reply is sent after all of its output."""

    def __init__(self, kernel: Kernel, request: Request) -> None:
        self._kernel = kernel
        self._shell = kernel.shell
        self._request = request
        self._cell = Cell.to_execute(request)
        content = request.content
        self._code = code_of(content)
        self._expressions = _expressions_of(content)
        self._silent = bool(content.get("silent", False))
        self._store_history = bool(content.get("store_history", not self._silent)) and not self._silent
        self._before: variables.Snapshot | None = None

    def run(self) -> bool:
        """Run the cell, or start the task that does; returns whether it is still running."""
        kernel, cell, shell = self._kernel, self._cell, self._shell
        if self._silent:
            kernel.cells.enter_aside(cell, runs_user_code=True)
        else:
            kernel.cells.enter(cell)
        kernel.interrupts.begin_cell(shell.user_global_ns, forget_earlier=cell.after_interrupt)
        kernel.outbox.status(cell, "busy")
        if not self._silent:
            content = {"code": self._code, "execution_count": shell.execution_count}
            kernel.outbox.send(cell, IOPUB, "execute_input", content, hold=not cell.after_interrupt)
        self._prepare()
        transformed, failure = self._transform()
        awaits = failure is None and _may_await(transformed) and shell.should_run_async(
            self._code, transformed_cell=transformed
        )  # fmt: skip
        running = self._running(transformed, failure)
        if awaits:
            kernel.start_task(self._run_async(running))
        else:
            self._finish(self._run_sync(running))
        return awaits

    def _prepare(self) -> None:
        shell = self._shell
        self._kernel.packages.refresh()
        if self._cell.tracks_changes:
            self._before = variables.Snapshot(shell)
        shell._last_traceback = None
        # Left behind by an interrupt inside the display hook, it would fail later cells.
        shell._last_traceback_during_displayhook = False
        shell.displayhook.is_sending = False
        shell.last_error = None

    def _transform(self) -> tuple[str, Any]:
        """The cell as Python, or the error that IPython's transformations raised."""
        try:
            return self._shell.transform_cell(self._code), None
        except Exception:
            return self._code, sys.exc_info()

    def _running(self, transformed: str, failure: Any) -> Coroutine[Any, Any, Any]:
        options: dict[str, Any] = {}
        known = _parameters(type(self._shell))
        if "cell_meta" in known:
            options["cell_meta"] = self._request.metadata
        if "cell_id" in known:
            options["cell_id"] = self._request.metadata.get("cellId")
        return self._shell.run_cell_async(
            self._code,
            store_history=self._store_history,
            silent=self._silent,
            transformed_cell=transformed,
            preprocessing_exc_tuple=failure,
            **options,
        )

    def _run_sync(self, running: Coroutine[Any, Any, Any]) -> Any:
        result = None
        with environment(self._cell.env):
            try:
                running.send(None)
            except StopIteration as stop:
                result = stop.value
            except BaseException as error:
                self._show(error)
            else:
                running.close()
                self._show(RuntimeError("a cell that does not await waited"))
            self._tell_hooks(result)
        return result

    async def _run_async(self, running: Coroutine[Any, Any, Any]) -> None:
        kernel = self._kernel
        result = None
        with environment(self._cell.env):
            try:
                result = await running
            except BaseException as error:  # a cell that cancelled its own task, and interrupts at the edge
                self._show(error)
            self._tell_hooks(result)
        try:
            self._finish(result)
        except Exception as error:
            kernel.refuse(self._request, error)
        finally:
            kernel.busy = False
            kernel.work_soon()

    def _tell_hooks(self, result: Any) -> None:
        """Let what registered itself for the end of cells run: this is when figures are shown."""
        _show_figures_first(self._shell.events.callbacks["post_execute"])
        try:
            self._shell.close_shown_figures()
            self._shell.events.trigger("post_execute")
            if not self._silent:
                self._shell.events.trigger("post_run_cell", result)
        except BaseException as error:
            self._show(error)

    def _show(self, error: BaseException) -> None:
        self._shell.showtraceback((type(error), error, error.__traceback__))

    def _finish(self, result: Any) -> None:
        """Send the rest of the output, the reply, and the status."""
        kernel, cell = self._kernel, self._cell
        if kernel.is_forked_child:
            children.leave(_error_of(result))  # the parent answers
        if sys.stdout is not kernel.outbox.stdout or sys.stderr is not kernel.outbox.stderr:
            flush_replaced()
        kernel.packages.settle()
        reply = self._reply(result)
        metadata: dict[str, Any] = {}
        if self._before is not None:
            metadata["changes"] = self._before.changes(self._shell)
        kernel.outbox.stdout.finish(cell)
        kernel.outbox.stderr.finish(cell)
        kernel.interrupts.end_cell()
        kernel.outbox.reply(cell, "execute_request", reply, metadata)
        kernel.outbox.status(cell, "idle", hold=False)

    def _reply(self, result: Any) -> dict[str, Any]:
        """The content of the execute_reply (messaging protocol, "Execution results")."""
        shell = self._shell
        executed = result is not None and result.success and not shell._last_traceback_during_displayhook
        reply: dict[str, Any] = {"status": "ok", "execution_count": shell.execution_count - 1, "user_expressions": {}}
        if executed:
            if self._expressions:
                reply["user_expressions"] = shell.user_expressions(self._expressions)
        else:
            reply["status"] = "error"
            # It failed without showing an error: a debugger that was quit, a custom handler.
            interrupted = shell.interrupts.has_raised
            reply.update(shell.last_error or unshown(_error_of(result), was_interrupted=interrupted))
        reply["payload"] = shell.payload_manager.read_payload()
        shell.payload_manager.clear_payload()
        return reply


def _expressions_of(content: dict[str, Any]) -> dict[str, Any]:
    expressions = content.get("user_expressions")
    if expressions is not None and not isinstance(expressions, dict):
        msg = f"user_expressions must be an object, not {type(expressions).__name__}"
        raise TypeError(msg)
    return expressions or {}


def _error_of(result: Any) -> BaseException | None:
    return getattr(result, "error_before_exec", None) or getattr(result, "error_in_exec", None)


def flush_replaced() -> None:
    """Have what a cell has put in the place of the standard streams written, such as a file or another wrapper of their buffer."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()


def _show_figures_first(callbacks: list[Any]) -> None:
    """Have figures shown, and closed, before pyplot draws all open ones: otherwise each is drawn once more, for nobody."""
    if len(callbacks) > 1 and getattr(callbacks[0], "__module__", "") != _INLINE:
        callbacks.sort(key=lambda callback: getattr(callback, "__module__", "") != _INLINE)


def _may_await(code: str) -> bool:
    """Whether it is worth looking closely: top-level await needs one of these words."""
    return "await" in code or "async" in code


@cache
def _parameters(shell_class: type[ZMQInteractiveShell]) -> frozenset[str]:
    """What this version of IPython can be told of a cell."""
    return frozenset(inspect.signature(shell_class.run_cell_async).parameters)
