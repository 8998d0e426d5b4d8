"""Engines whose contexts are limited by control groups, and by a watchdog alone."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.contexts.execution import Execution
from engine.core import Engine
from engine.kernels.limiting.finding import find_cgroups
from engine.settings import MIB, Settings

LIMITS: dict[str, float] = {
    "memory": 96 * MIB,
    "processes": 64,
    "open_files": 128,
    "file_size": 10 * MIB,
    "disk": 40 * MIB,
}


class Limited:
    """An engine, and a context of the limits above that each test has for itself."""

    def __init__(self, engine: Engine, *, by_groups: bool) -> None:
        self.engine = engine
        self.by_groups = by_groups
        self.numbers = iter(range(1000))
        self.id = ""

    def renew(self) -> None:
        self.id = f"limited-{next(self.numbers)}"

    async def run(self, code: str, language: str = "python", **options: Any) -> Execution:
        options = {"context_id": self.id, "limits": LIMITS, "timeout": 60.0, **options}
        execution = await self.engine.execute(code, language=language, **options)
        await execution.wait()
        return execution

    async def text(self, code: str, language: str = "python", **options: Any) -> str:
        """The value of code that works."""
        execution = await self.run(code, language, **options)
        result = execution.result()
        assert execution.status == "ok", result.error
        return "".join(item.text for item in result.items if isinstance(item.text, str))


@pytest.fixture(scope="package", params=["groups", "watchdog"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Limited]:
    if request.param == "groups":
        found = find_cgroups()
        if found is None or found.controllers < {"memory", "pids", "cpu"}:
            pytest.skip("this machine lets us write to no control group")
        found.close()
    # Not one of pytest's own, which isolated contexts, as users of their own, cannot enter.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        run_dir = Path(directory, "run")
        settings = Settings(run_dir=run_dir, pool_max=0, preload=["numpy"], cgroups=request.param == "groups")
        async with Engine(settings) as engine:
            await engine.create_context(language="python", context_id="neighbour")
            yield Limited(engine, by_groups=request.param == "groups")


@pytest.fixture
async def limited(engine: Limited) -> AsyncIterator[Limited]:
    engine.renew()
    yield engine
    if any(context.id == engine.id for context in engine.engine.contexts):
        await engine.engine.delete_context(engine.id)
    for left in Path("/dev/shm").glob("limits-*"):
        left.unlink()
