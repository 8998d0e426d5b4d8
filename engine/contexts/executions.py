"""Executions: all that can still be asked for, within bounds."""

from __future__ import annotations

from collections import OrderedDict

from engine.contexts.execution import Execution
from engine.contexts.keys import Keys
from engine.errors import ExecutionNotFound, IdempotencyConflict, ResultGone


class Executions:
    """All executions that can still be asked for: those that run, and the last finished ones, within bounds.

    Their idempotency keys have bounds of their own."""

    def __init__(self, *, max_finished: int, retained_bytes: int, keys: Keys) -> None:
        self._max_finished = max_finished
        self._retained_bytes = retained_bytes
        self._by_id: dict[str, Execution] = {}
        self._finished: OrderedDict[str, int] = OrderedDict()
        self._finished_bytes = 0
        self._keys = keys

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, execution_id: str) -> Execution:
        """Raises ExecutionNotFound."""
        try:
            return self._by_id[execution_id]
        except KeyError:
            raise ExecutionNotFound(execution_id) from None

    def find_key(self, key: str, fingerprint: bytes) -> Execution | None:
        """The execution that a request with this Idempotency-Key made before.

        Raises IdempotencyConflict when that request was a different one, and ResultGone when its result is no longer kept."""
        use = self._keys.find(key)
        if use is None:
            return None
        if use.fingerprint != fingerprint:
            raise IdempotencyConflict
        if use.execution_id not in self._by_id:
            raise ResultGone(use.execution_id)
        return self._by_id[use.execution_id]

    def add(self, execution: Execution, *, key: str | None = None, fingerprint: bytes = b"") -> None:
        self._by_id[execution.id] = execution
        if key is not None:
            self._keys.add(key, fingerprint, execution.id)

    def note_finished(self, execution: Execution) -> None:
        """Start the retention of an execution that has ended; the oldest go when the bounds are passed."""
        if execution.id not in self._by_id:
            return
        self._keys.note_ended(execution.id)
        size = self._finished[execution.id] = execution.size
        self._finished_bytes += size
        while self._finished and (
            len(self._finished) > self._max_finished
            or (self._finished_bytes > self._retained_bytes and len(self._finished) > 1)
        ):
            self._forget(next(iter(self._finished)))

    def forget_context(self, context_id: str, language: str | None = None) -> None:
        """Drop the finished executions of a context that has ended."""
        for execution_id in list(self._finished):
            execution = self._by_id[execution_id]
            if execution.context_id == context_id and language in (None, execution.language):
                self._forget(execution_id)

    def _forget(self, execution_id: str) -> None:
        self._finished_bytes -= self._finished.pop(execution_id)
        del self._by_id[execution_id]
