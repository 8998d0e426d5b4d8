"""Idempotency keys: which requests have been carried out. They outlive the results, so that no request is carried out twice."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class Use:
    """What a key was used for. `fingerprint`: of the request; `ended_at`: seconds, monotonic; None while its execution runs."""

    fingerprint: bytes
    execution_id: str
    ended_at: float | None = None


class Keys:
    """The keys of executions that have not ended, and the last ones of those that have: at most `max_ended`, for `seconds` each.

    A use takes about 500 bytes, however long its key is: digests are kept."""

    def __init__(self, *, max_ended: int, seconds: float) -> None:
        self._max_ended = max_ended
        self._seconds = seconds
        self._running: dict[bytes, Use] = {}
        self._ended: OrderedDict[bytes, Use] = OrderedDict()
        self._by_execution: dict[str, bytes] = {}  # of those that run

    def __len__(self) -> int:
        return len(self._running) + len(self._ended)

    def find(self, key: str) -> Use | None:
        """What a key was used for, if that is still known."""
        self._expire()
        digest = _digest(key)
        return self._running.get(digest) or self._ended.get(digest)

    def add(self, key: str, fingerprint: bytes, execution_id: str) -> None:
        """Note that an execution was made for a key, which is in no use."""
        digest = _digest(key)
        self._running[digest] = Use(fingerprint, execution_id)
        self._by_execution[execution_id] = digest

    def note_ended(self, execution_id: str) -> None:
        """The time of a key begins with the end of its execution."""
        digest = self._by_execution.pop(execution_id, None)
        if digest is None:
            return
        use = self._ended[digest] = self._running.pop(digest)
        use.ended_at = time.monotonic()
        self._expire()

    def _expire(self) -> None:
        oldest = time.monotonic() - self._seconds
        while self._ended:
            use = next(iter(self._ended.values()))
            if len(self._ended) <= self._max_ended and (use.ended_at is None or use.ended_at > oldest):
                return
            self._ended.popitem(last=False)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
