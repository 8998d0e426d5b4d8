"""Kernels on a real remote Jupyter: deaths, refusals, and what is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine.cli.doctor import Finding, backend_findings
from engine.core import Engine
from engine.kernels.remote import channels as remote_channels
from engine.kernels.remote.conversation import Conversation
from engine.kernels.remote.server import RemoteServer
from engine.settings import Settings
from tests.harness import executions
from tests.harness.dialects import PYTHON
from tests.harness.executions import printed, text_of
from tests.harness.jupyter import CHANNELS, GATEWAY, SERVER, TOKEN, RemoteJupyter, engine_on, remote_jupyter
from tests.harness.proxy import Proxy, proxy_to
from tests.harness.waiting import until_elsewhere

pytestmark = pytest.mark.anyio
run = partial(executions.run, within=100)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteJupyter]:
    with remote_jupyter(SERVER, tmp_path_factory.mktemp("remote")) as server:
        yield server


@pytest.fixture
async def proxy(remote: RemoteJupyter) -> AsyncIterator[Proxy]:
    async with proxy_to(remote.port, CHANNELS) as proxy:
        yield proxy


@pytest.fixture
async def engine(proxy: Proxy, tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine_on(proxy.url, tmp_path) as engine:
        yield engine


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


async def test_a_kernel_that_somebody_else_deletes_is_named(
    engine: Engine, remote: RemoteJupyter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.kernels.remote.channels._POLL_INTERVAL", 0.2)
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
    result = await run(engine, "x")
    if result.status == "died":  # nobody heard the new process say "starting", and the cell's first message shows it
        assert result.error
        assert (result.context_state, "restarted by" in result.error.value) == ("lost", True)
        result = await run(engine, "x")
    assert result.error
    assert (result.error.name, result.context_state) == ("NameError", "restarted")


async def test_a_cell_that_no_interrupt_ends_is_lost_with_its_kernel(engine: Engine) -> None:
    result = await run(engine, PYTHON.stubborn, timeout=0.5)
    assert (result.status, result.context_state) == ("timeout", "lost")
    assert (await run(engine, "1")).context_state == "restarted"


async def test_contexts_take_their_kernels_with_them(remote: RemoteJupyter, tmp_path: Path) -> None:
    await until_elsewhere(lambda: not remote.kernels())
    async with engine_on(remote.url, tmp_path) as engine:
        for context_id in "ab":
            await (await engine.execute("1", context_id=context_id)).wait()
        assert len(remote.kernels()) == 2
        await engine.delete_context("a")
        await until_elsewhere(lambda: len(remote.kernels()) == 1)
    assert remote.kernels() == []


@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (RemoteServer, "find_kernelspec"),
        (RemoteServer, "start_kernel"),
        (remote_channels, "open_websocket"),
        (Conversation, "probe"),
        (Conversation, "ask_to_keep"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_start_that_is_given_up_leaves_no_kernel(
    remote: RemoteJupyter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, step: str
) -> None:
    reached = asyncio.Event()
    plain = getattr(owner, step)

    def noticed(*args: Any, **named: Any) -> Any:
        reached.set()
        return plain(*args, **named)

    monkeypatch.setattr(owner, step, noticed)
    async with engine_on(remote.url, tmp_path) as engine:
        await engine.execute("1", context_id="c")
        async with asyncio.timeout(30):
            await reached.wait()
        await engine.delete_context("c")
    assert remote.kernels() == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"jupyter_token": "wrong"}, "the token is wrong"),
        ({"jupyter_token": None}, "a token is needed"),
        ({"jupyter_kernel": "nope"}, "has no kernelspec 'nope'; it has: bash, "),
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
        assert said in str((await engine.backend_problems())["jupyter"])


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
            assert "cannot be reached" in str((await engine.backend_problems())["jupyter"])
            await asyncio.to_thread(server.start_again)
            result = await run(engine, "6 * 7")
            assert (text_of(result), result.context_state) == ("42", "restarted")


async def test_a_remote_that_is_away_for_long_is_given_up_with_the_cell(
    engine: Engine, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.kernels.remote.channels._RECONNECT_PAUSES", (0.0, 0.05))
    execution = await engine.execute("print('begun')\nwhile True: pass", context_id="c")
    await printed(execution)
    proxy.refuses = True
    proxy.cut()
    await execution.wait()
    result = execution.result()
    assert result.error
    assert (result.status, result.error.name, result.context_state) == ("died", "KernelDied", "lost")
    assert "lost: no websocket to a kernel of" in result.error.value
    proxy.refuses = False
    assert (await run(engine, "1")).context_state == "restarted"


async def test_a_remote_that_never_answers_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.kernels.remote.server._CHECK_WAIT", 0.2)
    asked: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: asked.append(writer), "127.0.0.1", 0)
    async with silent, engine_on(f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}", tmp_path) as engine:
        for _ in range(3):
            assert "does not answer in 0.2 s" in str((await engine.backend_problems())["jupyter"])
        assert len(asked) == 1
        asked[0].transport.abort()


def test_doctor_tells_of_the_remote(remote: RemoteJupyter) -> None:
    def finding(url: str) -> Finding:
        settings = Settings(backend="jupyter", jupyter_url=url, jupyter_token=TOKEN, jupyter_languages={"bash": "bash"})
        (found,) = backend_findings(settings)
        return found

    found = finding(remote.url)
    assert (found.works, found.needed) == (True, True)
    assert found.detail == f"{remote.url} answers; python on python3, bash on bash"
    assert "cannot be reached" in finding("http://127.0.0.1:1").detail
