"""Which tiers this machine has. `HOSTILE_TIERS` names those that must be there: without them a test fails instead of being skipped."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

import pytest

from tests.hostile.stage import Stage, Unavailable, offers

REQUIRED = os.environ.get("HOSTILE_TIERS", "").replace(",", " ").split()


@contextlib.contextmanager
def stage_at(tier: str, *, env: Mapping[str, str] | None = None, **settings: str) -> Iterator[Stage]:
    """A server at a tier. Skips if the machine lacks it, with the server's reason."""
    if tier != "none" and not offers("isolation"):
        _lacking(tier, "this version has no isolation")
    try:
        stage = Stage(tier, env=env, **settings)
    except Unavailable as error:
        _lacking(tier, str(error))
    with stage:
        yield stage


def _lacking(tier: str, reason: str) -> None:
    if tier in REQUIRED:
        pytest.fail(f"{tier} is required: {reason}")
    pytest.skip(f"no {tier} here: {reason}")
