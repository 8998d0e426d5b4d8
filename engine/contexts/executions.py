"""Executions: all that can still be asked for, within bounds, and the keys they were asked for with."""

from __future__ import annotations

from collections import OrderedDict

from engine.contexts.execution import Execution
from engine.contexts.leftovers import Leftovers
from engine.errors import ExecutionNotFound, IdempotencyConflict


class Executions:
    """All executions that can still be asked for: those that run, and the last finished ones, within bounds."""

    def __init__(self, *, max_finished: int, retained_bytes: int) -> None:
        self._max_finished = max_finished
        self._retained_bytes = retained_bytes
        self._by_id: dict[str, Execution] = {}
        self._finished: OrderedDict[str, int] = OrderedDict()
        self._finished_bytes = 0
        self._leftovers = Leftovers(retained_bytes // 2)
        self._by_key: dict[str, tuple[bytes, str]] = {}
        self._keys: dict[str, str] = {}

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

        Raises IdempotencyConflict when that request was a different one."""
        known = self._by_key.get(key)
        if known is None:
            return None
        if known[0] != fingerprint:
            raise IdempotencyConflict
        return self._by_id[known[1]]

    def add(self, execution: Execution, *, key: str | None = None, fingerprint: bytes = b"") -> None:
        self._by_id[execution.id] = execution
        if key is not None:
            self._by_key[key] = (fingerprint, execution.id)
            self._keys[execution.id] = key

    def note_finished(self, execution: Execution) -> None:
        """Start the retention of an execution that has ended; the oldest go when the bounds are passed."""
        if execution.id not in self._by_id:
            return
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
        self._leftovers.add(self._by_id.pop(execution_id))
        key = self._keys.pop(execution_id, None)
        if key is not None:
            del self._by_key[key]
