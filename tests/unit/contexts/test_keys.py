"""Idempotency keys: the same request again is the same execution, also when its result is gone."""

from __future__ import annotations

from typing import Any

import pytest

from engine.contexts.execution import Execution, Request
from engine.contexts.executions import Executions
from engine.contexts.keys import Keys
from engine.errors import IdempotencyConflict, ResultGone
from engine.options import ExecuteOptions
from engine.output.buffers import OutputLimits

pytestmark = pytest.mark.anyio

LIMITS = OutputLimits(stream_bytes=1000, item_bytes=1000, items=10, output_bytes=10_000)


def asked(*, code: str = "x", timeout: float = 10.0, **options: Any) -> Request:
    return Request(code, timeout, ExecuteOptions(**options))


def make() -> Execution:
    return Execution(asked(), context_id="c", language="python", limits=LIMITS, max_events=1000)


def kept(*, max_finished: int = 10, max_keys: int = 10, seconds: float = 1000) -> Executions:
    keys = Keys(max_ended=max_keys, seconds=seconds)
    return Executions(max_finished=max_finished, retained_bytes=10**9, total_bytes=10**9, keys=keys)


def finish(executions: Executions, execution: Execution) -> None:
    execution.end("ok", context_state="preserved")
    executions.note_finished(execution)


class TestKeys:
    async def test_a_key_finds_its_execution_and_refuses_another_request(self):
        executions, execution = kept(), make()
        executions.add(execution, key="k", fingerprint=b"a")
        for _ in range(2):
            assert executions.find_key("k", b"a") is execution
            assert executions.find_key("other", b"a") is None
            with pytest.raises(IdempotencyConflict):
                executions.find_key("k", b"b")
            finish(executions, execution)

    async def test_a_key_outlives_its_result(self):
        executions = kept(max_finished=1)
        first, second = make(), make()
        executions.add(first, key="k", fingerprint=b"a")
        executions.add(second)
        finish(executions, first)
        finish(executions, second)
        with pytest.raises(ResultGone, match=first.id):
            executions.find_key("k", b"a")
        with pytest.raises(IdempotencyConflict):
            executions.find_key("k", b"b")

    async def test_the_oldest_keys_of_ended_executions_go_and_running_ones_stay(self):
        executions = kept(max_keys=2)
        running, *ended = [make() for _ in range(4)]
        for number, execution in enumerate((running, *ended)):
            executions.add(execution, key=f"k{number}", fingerprint=b"a")
        for execution in ended:
            finish(executions, execution)
        found = [executions.find_key(f"k{number}", b"a") for number in range(4)]
        assert found == [running, None, *ended[1:]]

    async def test_a_key_is_forgotten_some_time_after_the_end_of_its_execution(self, monkeypatch: pytest.MonkeyPatch):
        now = 1000.0
        monkeypatch.setattr("engine.contexts.keys.time.monotonic", lambda: now)
        executions, execution = kept(seconds=60), make()
        executions.add(execution, key="k", fingerprint=b"a")
        now += 100
        finish(executions, execution)
        now += 59
        assert executions.find_key("k", b"a") is execution
        now += 2
        assert executions.find_key("k", b"a") is None

    async def test_a_long_key_takes_no_more_than_a_short_one(self):
        keys = Keys(max_ended=10, seconds=1000)
        keys.add("k" * 100_000, b"a", "e")
        assert keys.find("k" * 100_000) is not None
        assert {len(digest) for digest in keys._running} == {32}


BASE: dict[str, Any] = {"code": "x", "timeout": 1.0, "env_vars": {"A": "1", "B": "2"}, "stdin": ("a",)}


class TestFingerprint:
    def test_equal_requests_have_equal_fingerprints_in_whatever_order_and_however_they_are_read(self):
        first = asked(**BASE)
        second = asked(**{**BASE, "env_vars": {"B": "2", "A": "1"}, "interactive": True})
        assert first.fingerprint("python", None) == second.fingerprint("python", None)

    @pytest.mark.parametrize(
        "change", [{"code": "y"}, {"timeout": 2.0}, {"env_vars": {}}, {"stdin": None}, {"stdin": ("a", "b")}]
    )
    def test_a_different_request_has_another_fingerprint(self, change: dict[str, Any]):
        assert asked(**BASE).fingerprint("p", None) != asked(**{**BASE, **change}).fingerprint("p", None)

    def test_the_context_and_the_language_belong_to_the_request(self):
        request = asked(**BASE)
        prints = {request.fingerprint(*identity) for identity in (("p", None), ("t", None), ("p", "c"), (None, "p"))}
        assert len(prints) == 4
