"""The limit of memory that each kernel gets (`kernel_memory`), with real kernels that want more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.contexts.execution import Execution
from engine.core import Engine
from engine.settings import MIB, Settings

LIMIT = 128 * MIB


@pytest.fixture(scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    run_dir: Path = tmp_path_factory.mktemp("memory") / "run"
    async with Engine(Settings(run_dir=run_dir, pool_max=0, preload=[], kernel_memory=LIMIT)) as engine:
        yield engine


async def run(engine: Engine, code: str, *, language: str = "typescript", context_id: str = "context") -> Execution:
    execution = await engine.execute(code, language=language, context_id=context_id)
    await execution.wait()
    return execution


@pytest.mark.anyio
async def test_a_heap_that_grows_past_the_limit_is_a_death_that_says_so(engine: Engine) -> None:
    before = await run(engine, "const kept = 1; require('fs').readFileSync('/proc/self/cmdline', 'utf8')")
    assert f"--max-old-space-size={LIMIT // MIB}" in str(before.result().items[0].text)
    died = await run(engine, "const rows: number[][] = []; for (;;) rows.push(new Array(1000).fill(rows.length))")
    assert (died.status, died.context_state) == ("died", "lost")
    assert died.error is not None
    assert died.error.name == "LimitExceeded"
    assert died.error.value.startswith(f"The kernel died: out of memory at its limit of {LIMIT // 1_000_000} MB")
    assert "peak memory" in died.error.value
    after = await run(engine, "typeof kept")
    assert (after.status, after.result().items[0].text) == ("ok", "'undefined'")


@pytest.mark.anyio
async def test_buffers_past_the_limit_are_an_error_of_the_cell(engine: Engine) -> None:
    await run(engine, "var kept = 1")
    refused = await run(engine, "const held = []; for (;;) held.push(Buffer.alloc(5e7))")
    assert refused.status == "error"
    assert refused.error is not None
    assert refused.error.name == "RangeError"
    assert (await run(engine, "held.length = 0; kept")).result().items[0].text == "1"


@pytest.mark.anyio
async def test_python_gets_a_memory_error(engine: Engine) -> None:
    refused = await run(engine, "held = bytearray(10**9)", language="python")
    assert refused.error is not None
    assert refused.error.name == "MemoryError"
    assert (await run(engine, "1 + 1", language="python")).result().items[0].text == "2"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "grow",
    [
        "bytes(SIZE)",
        "bytearray(SIZE)",
        "[str(number) for number in range(SIZE // 75)]",
        "__import__('mmap').mmap(-1, SIZE, 2)",
    ],
)
async def test_python_may_take_what_the_limit_says_and_no_more(engine: Engine, grow: str) -> None:
    fits = await run(engine, f"SIZE = {LIMIT * 3 // 4}\nheld = {grow}\ndel held", language="python")
    assert fits.error is None
    too_much = await run(engine, f"SIZE = {LIMIT * 5 // 4}\nheld = {grow}", language="python")
    assert too_much.error is not None
    assert too_much.error.name in ("MemoryError", "OSError")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("context_id", "line"),
    [
        ("strings", "kept.append('x' * 100_000)"),
        ("objects", "kept.append(object())"),
        ("prints", "print(1); kept.append('x' * 100_000)"),
    ],
)
async def test_a_kernel_whose_memory_is_full_still_answers(engine: Engine, context_id: str, line: str) -> None:
    await run(engine, "found = 1", language="python", context_id=context_id)
    full = await run(engine, f"kept = []\nwhile True: {line}", language="python", context_id=context_id)
    assert full.error is not None
    assert full.error.name == "MemoryError"
    after = await run(engine, "found", language="python", context_id=context_id)
    assert (after.status, after.result().items[0].text) == ("ok", "1")
    freed = await run(engine, "del kept", language="python", context_id=context_id)
    assert freed.status == "ok"
