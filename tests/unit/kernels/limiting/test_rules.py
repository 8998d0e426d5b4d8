"""Which limits contexts get, and what is said of those that they may not have."""

from __future__ import annotations

import os
from typing import Any

import pytest
from pydantic import ValidationError

from engine.errors import InvalidRequest
from engine.kernels.limiting import LimitRules
from engine.settings import LIMIT_NAMES, MIB, Limits, Settings

CORES = len(os.sched_getaffinity(0))


def rules(**settings: Any) -> LimitRules:
    return LimitRules(Settings(**settings), memory=1000 * MIB)


def refusals(rules: LimitRules, asked: Any) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as refused:
        rules.of(asked)
    return {each.field: each.error for each in refused.value.errors}


def test_without_settings_a_context_has_memory_processes_and_disk():
    assert rules().default == Limits(memory=1000 * MIB, processes=1024, disk=10 << 30)
    assert rules().of(None) == rules().default
    assert rules().default.shown() == {"memory": 1000 * MIB, "processes": 1024, "disk": 10 << 30}


def test_settings_are_the_defaults_and_requests_take_the_place_of_some():
    ours = rules(context_limits={"memory": 200 * MIB, "cpus": 0.5, "wall_seconds": 60})
    assert (ours.default.memory, ours.default.cpus, ours.default.wall_seconds) == (200 * MIB, 0.5, 60)
    mixed = ours.of({"memory": float(100 * MIB), "open_files": 100})
    assert (mixed.memory, mixed.cpus, mixed.open_files) == (100 * MIB, 0.5, 100)
    assert isinstance(mixed.memory, int)


def test_a_request_may_ask_for_no_more_than_the_default_unless_a_ceiling_says_so():
    ours = rules(context_limits={"memory": 200 * MIB})
    assert refusals(ours, {"memory": 300 * MIB}) == {
        "limits.memory": f"is {300 * MIB}; allowed: at least {64 * MIB}, at most {200 * MIB}"
    }
    wider = rules(context_limits={"memory": 200 * MIB}, max_context_limits={"memory": 400 * MIB})
    assert wider.of({"memory": 300 * MIB}).memory == 300 * MIB
    assert "at most" in refusals(wider, {"memory": 500 * MIB})["limits.memory"]


def test_a_limit_without_a_default_can_have_any_value_that_the_machine_has():
    assert rules().of({"wall_seconds": 1e9, "file_size": 1}).file_size == 1
    assert f"at most {CORES}" in refusals(rules(), {"cpus": CORES + 1})["limits.cpus"]


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"speed": 1}, f"is no limit; allowed: {', '.join(LIMIT_NAMES)}"),
        ({"memory": 1000}, "is 1000; allowed: at least"),
        ({"memory": 1e8 + 0.5}, "must be a whole number"),
        ({"cpus": 0}, "is 0; allowed: at least 0.1"),
        ({"processes": True}, "must be a number, not 'True'"),
        ({"disk": "much"}, "must be a number, not 'much'"),
        ({"wall_seconds": float("nan")}, "must be a number, not 'nan'"),
        ({"wall_seconds": float("inf")}, "must be a number, not 'inf'"),
    ],
    ids=str,
)
def test_a_wrong_limit_is_named_with_its_value_and_what_is_allowed(asked: Any, problem: str):
    (name,) = asked
    assert problem in refusals(rules(), asked)[f"limits.{name}"]
    with pytest.raises(ValidationError) as refused:
        Settings(context_limits=asked)
    assert f"{name} {problem}" in str(refused.value)


def test_all_that_is_wrong_is_named_at_once():
    assert set(refusals(rules(), {"speed": 1, "cpus": 0})) == {"limits.speed", "limits.cpus"}


def test_limits_can_be_set_by_variables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POLYREPL_CONTEXT_LIMITS", '{"cpus": 1}')
    assert Settings().context_limits == {"cpus": 1}
