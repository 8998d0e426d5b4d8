"""The clients over connections that break in the middle of an answer: a proxy that cuts, before a real server."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from polyrepl import AsyncClient, Client, ConnectionFailed, Done, Event, ItemAdded, Started, Stdout
from tests.harness.proxy import Proxy, proxy_to
from tests.harness.server import Server
from tests.harness.typescript_client import NODE, PACKAGE, PROGRAMS

pytestmark = pytest.mark.anyio
LINES = [f"{number} {'ä' * 20}" for number in range(200)]
COUNTING = (
    f"import time\nfor n in range({len(LINES)}):\n    print(n, 'ä' * 20, flush=True); time.sleep(0.002)\n'the end'"
)
CONTENT = random.Random(7).randbytes(1_000_000)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(settings={"token": "secret"}) as server:
        assert server.url
        yield server


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with proxy_to(int(server.url.rpartition(":")[2])) as proxy:
        yield proxy


def lengths(seed: int, longest: int, count: int) -> Iterator[int]:
    """After how many bytes the next connections break: in heads, in events, in characters."""
    chance = random.Random(seed)
    return iter([chance.randint(1, longest) for _ in range(count)])


def check(events: Sequence[Event]) -> None:
    """All events of COUNTING, each once, in order."""
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Done)
    item = events[-2]
    assert isinstance(item, ItemAdded)
    assert item.item.text == "'the end'"
    printed = [event.text for event in events[1:-2] if isinstance(event, Stdout)]
    assert len(printed) == len(events) - 3
    assert "".join(printed).splitlines() == LINES


async def test_a_stream_that_is_cut_at_random_places_loses_nothing(proxy: Proxy) -> None:
    def read() -> list[Event]:
        with Client(proxy.url, token="secret") as client, client.stream(COUNTING, context_id="s") as stream:
            return list(stream)

    proxy.lengths = lengths(1, 2500, 5)
    check(await asyncio.to_thread(read))
    assert proxy.broken == 5


async def test_nor_does_one_of_the_asynchronous_client_that_is_cut_at_any_moment(proxy: Proxy) -> None:
    chance = random.Random(3)
    async with AsyncClient(proxy.url, token="secret") as client:
        proxy.lengths = lengths(2, 2500, 4)
        loop = asyncio.get_running_loop()
        cuts = [loop.call_later(chance.uniform(0, 0.5), proxy.cut) for _ in range(4)]
        async with client.stream(COUNTING, context_id="a") as stream:
            check([event async for event in stream])
            assert (await stream.result()).stdout.splitlines() == LINES
        for cut in cuts:
            cut.cancel()


async def test_code_whose_answer_is_cut_off_runs_once(proxy: Proxy) -> None:
    async with AsyncClient(proxy.url, token="secret") as client:
        await client.run_code("n = 0", context_id="once")
        proxy.cut()
        proxy.lengths = lengths(4, 300, 2)
        assert (await client.run_code("n += 1; n", context_id="once")).text == "1"
        assert proxy.broken == 2


async def test_files_that_are_cut_on_their_way_arrive_whole(proxy: Proxy, tmp_path: Path) -> None:
    async with AsyncClient(proxy.url, token="secret") as client:
        proxy.lengths = lengths(5, 100, 1)
        await client.files.upload("f", CONTENT, "there", language="python")
        proxy.cut()
        proxy.lengths = lengths(6, 400_000, 4)
        await client.files.download("f", "there", tmp_path / "here")
        assert (tmp_path / "here").read_bytes() == CONTENT
        assert proxy.broken == 5


async def test_a_break_that_may_not_be_mended_is_a_typed_error(proxy: Proxy) -> None:
    async with AsyncClient(proxy.url, token="secret", retries=0) as client:
        proxy.lengths = iter([1500])
        async with client.stream(COUNTING, context_id="typed") as stream:
            assert isinstance(await anext(stream), Started)
            with pytest.raises(ConnectionFailed) as raised:
                [event async for event in stream]
        assert "broke" in raised.value.cause
        assert raised.value.remediation


async def test_the_typescript_client_loses_nothing_either(proxy: Proxy, tmp_path: Path) -> None:
    program = tmp_path / "cuts.mjs"
    module = (PACKAGE / "lib" / "index.js").as_uri()
    program.write_text((PROGRAMS / "cuts.mjs").read_text().replace("__CLIENT__", module))
    proxy.lengths = iter([*lengths(8, 2500, 3), 40_000, 200_000, 100])
    env = {**os.environ, "POLYREPL_URL": proxy.url, "POLYREPL_TOKEN": "secret", "CODE": COUNTING}
    process = await asyncio.create_subprocess_exec(NODE, program, env=env, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    assert json.loads(output) == {
        "kinds": ["started", "item", "done"],
        "printed": "".join(f"{line}\n" for line in LINES),
        "isWhole": True,
        "size": 500_000,
        "runs": "1",
    }
    assert proxy.broken >= 5
