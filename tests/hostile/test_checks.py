"""The thirty checks at every tier that this machine has, in Python and in TypeScript, beside a neighbour who must not notice anything."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.hostile import CHECKS
from tests.hostile.check import ABSENT, EITHER, OPEN, STOPPED, TIERS, Check
from tests.hostile.stage import Stage
from tests.hostile.tiers import stage_at

CASES = [
    pytest.param(each, language, id=f"{each.number:02d}-{each.name}-{language}")
    for each in CHECKS
    for language in each.languages
]


@pytest.fixture(scope="module", params=[pytest.param(tier, marks=pytest.mark.xdist_group(tier)) for tier in TIERS])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with stage_at(request.param) as stage:
        yield stage


@pytest.mark.parametrize(("check", "language"), CASES)
def test_check(stage: Stage, check: Check, language: str) -> None:
    outcome = check.run(stage, language)
    expected = check.expected(stage.tier, as_root=os.geteuid() == 0)
    seen = STOPPED if outcome.status == ABSENT and expected == STOPPED else outcome.status
    assert (
        seen == expected or (expected == EITHER and seen in (OPEN, STOPPED)) or (expected != STOPPED and seen == ABSENT)
    ), f"{check.does} {outcome.status} at {stage.tier}, expected {expected}: {outcome.detail}"
    assert stage.damage() == []
    stage.neighbour.must_be_well()
