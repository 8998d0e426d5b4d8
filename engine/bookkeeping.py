"""Bookkeeping: what is counted, logged and kept of contexts and executions as they come and go."""

from __future__ import annotations

from typing import Protocol

from engine.contexts import Context, Execution, Executions
from engine.kernels import Pool
from engine.log import get_logger
from engine.metrics import Metrics
from engine.workspaces import RunDir


class EndListener(Protocol):
    """Whoever keeps something of its own for contexts, and wants to know which have ended."""

    def note_ended(self, context: Context) -> None:
        """Called once for each context, when it is no longer in the registry."""


class Bookkeeping:
    """Listens to contexts and executions for the engine, and tells whoever else listens."""

    def __init__(self, executions: Executions, metrics: Metrics) -> None:
        self.listeners: list[EndListener] = []
        self.pool: Pool | None = None
        self._executions = executions
        self._metrics = metrics
        metrics.held_bytes.labels("outputs").set_function(lambda: executions.size)

    def watch(self, pool: Pool, run_dir: RunDir) -> None:
        """Tell the pool when a cell has ended, and count what could not be removed."""
        self.pool = pool
        self._metrics.files_left.set_function(lambda: len(run_dir.left))
        self._metrics.stuck_threads.set_function(lambda: run_dir.disk.stuck)

    def execution_ended(self, execution: Execution) -> None:
        """Count an execution that has ended, and begin to keep it (`ExecutionListener`)."""
        seconds = execution.duration or 0.0
        self._metrics.note_ended(execution.language, execution.status, seconds)
        if execution.was_truncated:
            self._metrics.output_truncated.inc()
        get_logger().debug(
            "execution_finished",
            execution=execution.id,
            context=execution.context_id,
            status=execution.status,
            seconds=round(seconds, 4),
            bytes=execution.size,
        )
        self._executions.note_finished(execution)
        if self.pool is not None:
            self.pool.note_free_core()

    def execution_grew(self, execution: Execution) -> None:
        """Weigh it anew (`ExecutionListener`)."""
        self._executions.note_grown(execution)

    def context_created(self, context: Context) -> None:
        """Count a context (`ContextListener`)."""
        self._metrics.contexts.labels(context.language.name).inc()
        get_logger().info("context_created", context=context.id, language=context.language.name)

    def context_ended(self, context: Context, reason: str, *, asked_for: bool) -> None:
        """Forget what there was of a context (`ContextListener`)."""
        if asked_for:
            self._executions.forget_context(context.id, context.language.name)
        for listener in self.listeners:
            listener.note_ended(context)
        self._metrics.contexts.labels(context.language.name).dec()
        self._metrics.contexts_ended.labels(context.language.name).inc()
        get_logger().info("context_ended", context=context.id, language=context.language.name, reason=reason)
