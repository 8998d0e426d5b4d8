"""Executions: all that can still be asked for, within bounds."""

from __future__ import annotations

from collections import Counter, OrderedDict

from engine.contexts.execution import Execution
from engine.contexts.keys import Keys
from engine.contexts.leftovers import Leftovers
from engine.errors import ExecutionNotFound, IdempotencyConflict, ResultGone

_SPARED = 1024 * 1024  # bytes that each may keep, whatever the others hold
_MAX_TALLIES = 10_000  # contexts of which it is known how many executions are no longer kept


class Executions:
    """All executions that can still be asked for: those that run, and the last finished ones, within bounds.

    They are weighed as they grow, those that have finished also by output that comes late. While all together hold more than
    `total_bytes`, one that runs and grows keeps nothing more, beyond its first MiB. Their idempotency keys have bounds of their own."""

    def __init__(self, *, max_finished: int, retained_bytes: int, total_bytes: int, keys: Keys) -> None:
        self._max_finished = max_finished
        self._retained_bytes = retained_bytes
        self._total_bytes = total_bytes
        self._by_id: dict[str, Execution] = {}
        self._finished: OrderedDict[str, int] = OrderedDict()
        self._finished_bytes = 0
        self._leftovers = Leftovers(retained_bytes // 2)
        self._keys = keys
        self._running: dict[str, int] = {}
        self._running_bytes = 0
        self._gone: Counter[tuple[str, str]] = Counter()  # by context, the one that lost something last comes last

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def size(self) -> int:
        """Bytes of code and output that are held, roughly."""
        return self._finished_bytes + self._running_bytes

    def get(self, execution_id: str) -> Execution:
        """Raises ExecutionNotFound."""
        try:
            return self._by_id[execution_id]
        except KeyError:
            raise ExecutionNotFound(execution_id) from None

    def of_context(self, context_id: str) -> list[Execution]:
        """Those of a context that are kept, in the order in which they were asked for. What the engine ran for itself is not among them."""
        return [each for each in self._by_id.values() if each.context_id == context_id and each.code is not None]

    def gone_of(self, context_id: str) -> dict[str, int]:
        """How many executions of a context are no longer kept, by language."""
        return {language: count for (gone_from, language), count in self._gone.items() if gone_from == context_id}

    def find(self, execution_id: str) -> Execution | None:
        """That execution, where it is kept."""
        return self._by_id.get(execution_id)

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
        self._running_bytes -= self._running.pop(execution.id, 0)
        size = self._finished[execution.id] = execution.size
        self._finished_bytes += size
        self._make_room()

    def note_grown(self, execution: Execution) -> None:
        """Weigh one that holds more than before."""
        if execution.id not in self._by_id:
            return
        size = execution.size
        if execution.id in self._finished:
            self._finished_bytes += size - self._finished[execution.id]
            self._finished[execution.id] = size
            self._make_room()
            return
        self._running_bytes += size - self._running.get(execution.id, 0)
        self._running[execution.id] = size
        if self.size > self._total_bytes and size > _SPARED:
            execution.cap()

    def _make_room(self) -> None:
        while self._finished and (
            len(self._finished) > self._max_finished
            or (self._finished_bytes > self._retained_bytes and len(self._finished) > 1)
        ):
            self._note_gone(self._forget(next(iter(self._finished))))

    def _note_gone(self, execution: Execution) -> None:
        if execution.code is None:
            return
        key = execution.context_id, execution.language
        self._gone[key] = self._gone.pop(key, 0) + 1
        if len(self._gone) > _MAX_TALLIES:
            del self._gone[next(iter(self._gone))]

    def forget_context(self, context_id: str, language: str | None = None) -> None:
        """Drop the finished executions of a context that has ended."""
        for execution_id in list(self._finished):
            execution = self._by_id[execution_id]
            if execution.context_id == context_id and language in (None, execution.language):
                self._forget(execution_id)
        for each in self.gone_of(context_id) if language is None else (language,):
            self._gone.pop((context_id, each), None)

    def _forget(self, execution_id: str) -> Execution:
        self._finished_bytes -= self._finished.pop(execution_id)
        execution = self._by_id.pop(execution_id)
        self._leftovers.add(execution)
        return execution
