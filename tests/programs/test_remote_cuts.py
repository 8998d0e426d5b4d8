"""Cuts of the websocket to a remote Jupyter: what was under way is asked for again, and whatever is not had again is named."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from engine.core import Engine
from engine.models import InputRequest, Result
from tests.harness import executions
from tests.harness.executions import event, printed, text_of
from tests.harness.jupyter import CHANNELS, GATEWAY, LEGACY, engine_on, remote_jupyter
from tests.harness.proxy import Proxy, proxy_to

LINES = [str(number) for number in range(60)]
COUNTING = f"n += 1\nimport time\nfor i in range({len(LINES)}):\n    print(i, flush=True); time.sleep(0.002)\n'the end'"
KEPT = "engine.kernels.remote.conversation.KEPT_BYTES"
WAITING = "import os, time\nwhile not os.path.exists({path!r}): time.sleep(0.01)\n"

pytestmark = pytest.mark.anyio
run = partial(executions.run, within=100)


@pytest.fixture(scope="module")
async def proxy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Proxy]:
    with remote_jupyter(GATEWAY, tmp_path_factory.mktemp("remote")) as server:
        async with proxy_to(server.port, CHANNELS) as proxy:
            yield proxy


@pytest.fixture(scope="module")
async def engine(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    async with engine_on(proxy.url, tmp_path_factory.mktemp("run"), jupyter_languages={"bash": "bash"}) as engine:
        yield engine


def lost(result: Result) -> bool:
    return result.error is not None and result.error.name == "OutputLost"


async def count_while_cut(engine: Engine, proxy: Proxy, cells: int) -> None:
    await run(engine, "n = 0")
    chance = random.Random(5)
    loop = asyncio.get_running_loop()
    for count in range(1, cells + 1):
        execution = await engine.execute(COUNTING, context_id="c")
        cuts = [loop.call_later(chance.uniform(0, 0.2), proxy.cut) for _ in range(2)]
        await execution.wait()
        for cut in cuts:
            cut.cancel()  # it has been, or the cell was quicker
        result = execution.result()
        assert (result.status, result.context_state) == ("ok", "preserved")
        assert (result.logs.stdout, text_of(result)) == (LINES, "'the end'")
        assert text_of(await run(engine, "n")) == str(count), "it has run once"


async def test_cells_that_are_cut_again_and_again_lose_nothing_and_run_once(engine: Engine, proxy: Proxy) -> None:
    await count_while_cut(engine, proxy, 10)


async def test_nor_do_they_with_the_older_protocol(tmp_path: Path) -> None:
    with remote_jupyter(GATEWAY, tmp_path, LEGACY) as server:
        async with proxy_to(server.port, CHANNELS) as proxy, engine_on(proxy.url, tmp_path) as engine:
            await count_while_cut(engine, proxy, 3)


async def test_a_cut_between_cells_is_not_noticed(engine: Engine, proxy: Proxy) -> None:
    await run(engine, "kept = 5")
    for _ in range(3):
        proxy.cut()
        result = await run(engine, "kept")
        assert (result.status, text_of(result), result.context_state) == ("ok", "5", "preserved")


async def test_what_was_under_way_comes_while_the_cell_goes_on(engine: Engine, proxy: Proxy, tmp_path: Path) -> None:
    await run(engine, "1")
    released = tmp_path / "released"
    proxy.swallows = "answers"
    execution = await engine.execute("print('first')\n" + WAITING.format(path=str(released)), context_id="c")
    await proxy.swallowed_all(1)
    proxy.cut()
    await printed(execution)
    assert not execution.is_finished
    released.touch()
    await execution.wait()
    assert (execution.result().status, execution.result().logs.stdout) == ("ok", ["first"])


async def test_a_cell_that_never_arrived_is_sent_again(engine: Engine, proxy: Proxy) -> None:
    await run(engine, "n = 0")
    proxy.swallows = "requests"
    execution = await engine.execute("n += 1; n", context_id="c")
    await proxy.swallowed_all(1)
    proxy.cut()
    await execution.wait()
    assert text_of(execution.result()) == "1"
    assert text_of(await run(engine, "n")) == "1"


async def test_a_line_of_input_that_never_arrived_is_sent_again_and_read_once(engine: Engine, proxy: Proxy) -> None:
    await run(engine, "1")
    execution = await engine.execute("first = input(); first, input()", context_id="c", interactive=True)
    await event(execution, InputRequest)
    proxy.swallows = "requests"
    execution.provide_input("a")
    await proxy.swallowed_all(1)
    proxy.cut()
    await event(execution, InputRequest, count=2)
    proxy.cut()  # the first line may be sent once more; it is not taken for the second
    execution.provide_input("b")
    await execution.wait()
    assert text_of(execution.result()) == "('a', 'b')"


async def test_a_question_that_a_cut_swallowed_is_asked(engine: Engine, proxy: Proxy) -> None:
    await run(engine, "1")
    proxy.swallows = "answers"
    execution = await engine.execute("input('who? ')", context_id="c", interactive=True)
    await proxy.swallowed_all(1)
    proxy.cut()
    asked = await event(execution, InputRequest)
    assert isinstance(asked, InputRequest)
    assert asked.prompt == "who? "
    execution.provide_input("me")
    await execution.wait()
    assert text_of(execution.result()) == "'me'"


async def test_output_that_the_remote_throws_away_for_its_amount_is_had_all_the_same(engine: Engine) -> None:
    line = "x" * 1000
    result = await run(engine, f"for _ in range(6000): print('{line}')", timeout=60.0)
    assert (result.status, result.logs.stderr) == ("ok", [])
    assert result.logs.stdout == [line] * 6000


async def test_what_the_kernel_keeps_no_longer_is_named(
    engine: Engine, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KEPT, 10_000)
    await run(engine, "kept = 5", context_id="small")
    proxy.swallows = "answers"
    execution = await engine.execute("for _ in range(300): print('y' * 100, flush=True)", context_id="small")
    await proxy.swallowed_all(30_000)
    proxy.cut()
    await execution.wait()
    assert lost(execution.result())
    assert text_of(await run(engine, "kept", context_id="small")) == "5"


async def test_of_another_language_what_a_cut_swallowed_is_named_and_the_state_kept(
    engine: Engine, proxy: Proxy
) -> None:
    await run(engine, "kept=5", language="bash")
    proxy.swallows = "answers"
    execution = await engine.execute("echo first; sleep 0.2; echo second", context_id="c", language="bash")
    await proxy.swallowed_all(1)
    proxy.cut()
    await execution.wait()
    assert lost(execution.result())
    assert (await run(engine, "echo $kept", language="bash")).logs.stdout == ["5"]


async def test_keeping_messages_leaves_no_trace(engine: Engine) -> None:
    names = await run(engine, "[name for name in dir() if not name.startswith('_')]", context_id="new")
    assert text_of(names) == "['In', 'Out', 'exit', 'get_ipython', 'open', 'quit']"
    history = "[code for _, _, code in get_ipython().history_manager.get_range()][1:]"
    result = await run(engine, history, context_id="new")
    assert (text_of(result), result.execution_count) == (repr([history]), 2)
