"""Kernels on a real remote Jupyter: cuts, deaths, refusals, and what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.core import Engine
from engine.executions import Execution
from engine.models import Result
from engine.settings import Settings
from tests.conformance.dialects import PYTHON
from tests.remote_jupyter import GATEWAY, SERVER, TOKEN, Proxy, RemoteJupyter, proxy_to, remote_jupyter

CUTS = 5
COUNTING = "n += 1\nimport time\nfor i in range(40):\n    print(i, flush=True); time.sleep(0.002)\n'the end'"

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteJupyter]:
    with remote_jupyter(SERVER, tmp_path_factory.mktemp("remote")) as server:
        yield server


@pytest.fixture
async def proxy(remote: RemoteJupyter) -> AsyncIterator[Proxy]:
    async with proxy_to(remote.port) as proxy:
        yield proxy


@contextlib.asynccontextmanager
async def engine_on(url: str, tmp_path: Path, **settings: Any) -> AsyncIterator[Engine]:
    values = {"backend": "jupyter", "jupyter_url": url, "jupyter_token": TOKEN, "pool_max": 0, **settings}
    async with Engine(
        Settings(run_dir=tmp_path / "run", default_timeout=20.0, interrupt_grace=0.5, **values)
    ) as engine:
        yield engine


@pytest.fixture
async def engine(proxy: Proxy, tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine_on(proxy.url, tmp_path) as engine:
        yield engine


async def run(engine: Engine, code: str, **options: Any) -> Result:
    execution = await engine.execute(code, context_id="c", **options)
    await execution.wait()
    return execution.result()


async def printed(execution: Execution) -> None:
    """Return once the cell has printed something."""
    async with asyncio.timeout(20):
        while not execution.result().logs.stdout:
            await asyncio.sleep(0.005)


def text_of(result: Result) -> object:
    return result.items[0].text if result.items else None


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)


async def test_a_socket_cut_in_mid_cell_loses_nothing_or_says_so(engine: Engine, proxy: Proxy) -> None:
    await run(engine, "n = 0")
    chance = random.Random(5)
    whole = [str(number) for number in range(40)]
    for count in range(1, CUTS + 1):
        execution = await engine.execute(COUNTING, context_id="c")
        cut = asyncio.get_running_loop().call_later(chance.uniform(0, 0.15), proxy.cut)
        await execution.wait()
        cut.cancel()  # it has been, or the cell was quicker
        result = execution.result()
        assert result.context_state == "preserved"
        if result.status == "ok":
            assert (result.logs.stdout, text_of(result)) == (whole, "'the end'")
        else:
            assert result.error
            assert result.error.name == "OutputLost"
        assert text_of(await run(engine, "n")) == str(count), "each cell has run once"


async def test_a_cut_between_cells_is_not_noticed(engine: Engine, proxy: Proxy) -> None:
    await run(engine, "kept = 5")
    for _ in range(3):
        proxy.cut()
        result = await run(engine, "kept")
        assert (result.status, text_of(result), result.context_state) == ("ok", "5", "preserved")


async def test_a_timeout_holds_while_the_remote_is_away(engine: Engine, proxy: Proxy) -> None:
    await run(engine, "1")
    execution = await engine.execute("print('begun')\nwhile True: pass", context_id="c", timeout=1.0)
    await printed(execution)
    proxy.refuses = True
    proxy.cut()
    await execution.wait()
    assert execution.result().status == "timeout"
    proxy.refuses = False
    assert (await run(engine, "6 * 7")).status == "ok"


async def test_the_death_of_a_remote_kernel_is_named_and_it_is_replaced(engine: Engine) -> None:
    await run(engine, "x = 1")
    result = await run(engine, "import os; os.kill(os.getpid(), 9)")
    assert result.error
    assert (result.status, result.error.name, result.context_state) == ("died", "KernelDied", "lost")
    assert "restarted by the remote Jupyter" in result.error.value
    following = await run(engine, "6 * 7")
    assert (text_of(following), following.context_state) == ("42", "restarted")


async def test_a_kernel_that_somebody_else_deletes_is_named(engine: Engine, remote: RemoteJupyter) -> None:
    execution = await engine.execute("print('begun')\nwhile True: pass", context_id="c")
    await printed(execution)
    (kernel_id,) = remote.kernels()
    await asyncio.to_thread(remote.delete, kernel_id)
    await execution.wait()
    result = execution.result()
    assert result.error
    assert (result.status, result.error.name) == ("died", "KernelDied")
    assert (await run(engine, "1")).context_state == "restarted"


async def test_a_kernel_that_somebody_else_restarts_has_lost_its_state(engine: Engine, remote: RemoteJupyter) -> None:
    await run(engine, "x = 1")
    (kernel_id,) = remote.kernels()
    await asyncio.to_thread(remote.restart, kernel_id)
    (context,) = engine.contexts.get("c", "python")
    await until(lambda: context.kernel is None or not context.kernel.is_alive)
    assert (await run(engine, "1")).context_state == "restarted"


async def test_a_cell_that_no_interrupt_ends_is_lost_with_its_kernel(engine: Engine) -> None:
    result = await run(engine, PYTHON.stubborn, timeout=0.5)
    assert (result.status, result.context_state) == ("timeout", "lost")
    assert (await run(engine, "1")).context_state == "restarted"


async def test_contexts_take_their_kernels_with_them(remote: RemoteJupyter, tmp_path: Path) -> None:
    await until(lambda: not remote.kernels())
    async with engine_on(remote.url, tmp_path) as engine:
        for context_id in "ab":
            await (await engine.execute("1", context_id=context_id)).wait()
        assert len(remote.kernels()) == 2
        await engine.delete_context("a")
        await until(lambda: len(remote.kernels()) == 1)
    assert remote.kernels() == []


async def test_a_start_that_is_given_up_leaves_no_kernel(remote: RemoteJupyter, tmp_path: Path) -> None:
    async with engine_on(remote.url, tmp_path) as engine:
        for delay in (0.0, 0.01, 0.03, 0.1, 0.3):
            await engine.execute("1", context_id="c")
            await asyncio.sleep(delay)  # to meet the start at each of its steps
            await engine.delete_context("c")
    assert remote.kernels() == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"jupyter_token": "wrong"}, "the token is wrong"),
        ({"jupyter_token": None}, "a token is needed"),
        ({"jupyter_kernel": "nope"}, "has no kernelspec 'nope'; it has: python3"),
        ({"jupyter_url": "http://127.0.0.1:1"}, "cannot be reached"),
    ],
)
async def test_what_the_remote_refuses_is_named_at_once(
    remote: RemoteJupyter, tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    async with engine_on(remote.url, tmp_path, **settings) as engine:
        result = await run(engine, "1")
        assert result.error
        assert (result.status, result.error.name) == ("died", "KernelStartFailed")
        assert said in result.error.value
        assert "wrong" not in result.error.value.replace(said, "")
        assert said in str(await engine.remote_problem())


async def test_a_remote_that_ends_is_named_and_found_again_when_it_is_back(tmp_path: Path) -> None:
    with remote_jupyter(GATEWAY, tmp_path) as server:
        async with engine_on(server.url, tmp_path) as engine:
            execution = await engine.execute("print('begun')\nwhile True: pass", context_id="c", timeout=0.5)
            await printed(execution)
            server.kill()
            await execution.wait()
            assert execution.result().context_state == "lost"
            result = await run(engine, "1")
            assert result.error
            assert (result.status, result.error.name) == ("died", "KernelStartFailed")
            assert "cannot be reached" in str(await engine.remote_problem())
