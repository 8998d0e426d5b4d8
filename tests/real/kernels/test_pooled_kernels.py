"""The warm pool with real kernels: what contexts get from it, and what is left after it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from engine.core import Engine
from engine.settings import Settings
from tests.harness import executions
from tests.harness.pools import hits, ready
from tests.harness.processes import is_running
from tests.harness.waiting import until

pytestmark = pytest.mark.anyio
run = partial(executions.run, context_id=None, within=30)  # each in a context of its own


@pytest.fixture
async def typescript(tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine with real kernels, and two of them ready."""
    settings = Settings(run_dir=tmp_path / "run", pool_languages="typescript", pool_min=2, pool_max=2)
    async with Engine(settings) as engine:
        await until(lambda: ready(engine, "typescript") == 2)
        yield engine


class TestRealKernels:
    async def test_a_pooled_kernel_works_in_its_contexts_own_directories_as_a_new_one_would(self, typescript: Engine):
        pids = set()
        for number in range(2):
            code = f"require('fs').writeFileSync('mine{number}', ''); [process.pid, process.cwd(), process.env.TMPDIR]"
            result = await run(typescript, code, context_id=f"c{number}", language="ts")
            assert result.execution_count == 1
            (item,) = result.items
            pid, cwd, tmp = cast(list[Any], item.json)
            (context,) = typescript.contexts.get(f"c{number}")
            assert (Path(cwd), Path(tmp)) == (context.workspace.cwd, context.workspace.tmp)
            assert [path.name for path in Path(cwd).iterdir()] == [f"mine{number}"]
            assert pid
            assert context.kernel is not None
            pids.add(context.kernel.pid)  # in boxes both have the same number
        assert len(pids) == hits(typescript, "typescript") == 2

    async def test_a_pooled_python_kernel_is_in_its_contexts_directory_and_draws_numbers_of_its_own(
        self, tmp_path: Path
    ):
        code = "import os, random, tempfile; print(os.getcwd(), tempfile.gettempdir(), random.random())"
        settings = Settings(run_dir=tmp_path / "run", pool_languages="python", pool_min=2, pool_max=2)
        drawn = set()
        async with Engine(settings) as engine:
            await until(lambda: ready(engine) == 2)
            for context_id in "ab":
                result = await run(engine, code, context_id=context_id)
                (context,) = engine.contexts.get(context_id)
                cwd, tmp, number = result.logs.stdout[0].split()
                assert (Path(cwd), Path(tmp)) == (context.workspace.cwd, context.workspace.tmp)
                assert (result.execution_count, result.context_state) == (1, "created")
                drawn.add(number)
            assert hits(engine) == len(drawn) == 2

    async def test_a_member_that_is_killed_is_replaced(self, typescript: Engine):
        killed = typescript.pool._stocks["typescript"].ready[0].kernel
        assert killed.pid
        os.kill(killed.pid, signal.SIGKILL)
        await until(lambda: not killed.is_alive)
        await until(lambda: ready(typescript, "typescript") == 2 and typescript.pool.describe() == "ok")
        assert (await run(typescript, "6 * 7", language="ts")).status == "ok"

    async def test_the_end_leaves_no_process_also_of_a_start_in_flight(self, tmp_path: Path):
        settings = Settings(run_dir=tmp_path / "run", pool_languages="typescript", pool_min=2)
        async with Engine(settings) as engine:
            await until(lambda: ready(engine, "typescript") == 1)
            pid = engine.pool._stocks["typescript"].ready[0].kernel.pid
            assert pid
        assert not is_running(pid)
        assert list((tmp_path / "run").iterdir()) == []
        running = [path for path in Path("/proc").iterdir() if path.name.isdecimal() and mentions(path, tmp_path)]
        assert not running


def mentions(process: Path, directory: Path) -> bool:
    try:
        return str(directory).encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False
