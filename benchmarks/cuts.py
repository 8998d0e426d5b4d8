"""Cuts of the websocket to a remote Jupyter while a cell prints all the time: `python -m benchmarks.cuts [--cuts 100]`.

Every connection goes through a proxy that ends it without a word at a random moment. Counted are the cells whose output is whole, which
say that some is lost, which say nothing and lack some, and those that did not run exactly once."""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from engine.core import Engine
from engine.settings import Settings
from tests.harness.jupyter import CHANNELS, GATEWAY, LEGACY, SERVER, TOKEN, remote_jupyter
from tests.harness.proxy import Proxy, proxy_to

LINES = 100
SERVERS: dict[str, tuple[tuple[str, ...], *tuple[str, ...]]] = {
    "jupyter_server": (SERVER,),
    "kernel_gateway": (GATEWAY,),
    "kernel_gateway_legacy": (GATEWAY, LEGACY),
}
CELLS = {
    "python": f"n += 1\nimport time\nfor i in range({LINES}):\n    print(i, flush=True); time.sleep(0.002)\n'the end'",
    "bash": f"n=$((n + 1)); for i in $(seq 0 {LINES - 1}); do echo $i; sleep 0.002; done",
}
COUNT = {"python": ("n = 0", "print(n)"), "bash": ("n=0", "echo $n")}


async def run(engine: Engine, proxy: Proxy, language: str, cuts: int, seed: int) -> Counter[str]:
    chance = random.Random(seed)
    found: Counter[str] = Counter()
    before, ask = COUNT[language]
    await (await engine.execute(before, language=language, context_id="c")).wait()
    started = time.monotonic()
    while found["cuts"] < cuts:
        execution = await engine.execute(CELLS[language], language=language, context_id="c", timeout=30.0)
        await asyncio.sleep(chance.uniform(0, LINES * 0.003))
        if not execution.is_finished:
            proxy.cut()
            found["cuts"] += 1
        await execution.wait()
        result = execution.result()
        found["cells"] += 1
        if [line.strip() for line in result.logs.stdout] == [str(number) for number in range(LINES)]:
            found["whole"] += 1
            found["whole, but said to be lost"] += result.status != "ok"
        else:
            found[f"lacking, {result.error.name}" if result.error else "lacking in silence"] += 1
        count = await engine.execute(ask, language=language, context_id="c")
        await count.wait()
        found["not run exactly once"] += [line.strip() for line in count.result().logs.stdout] != [str(found["cells"])]
    found["seconds"] = round(time.monotonic() - started)
    return found


async def measure(arguments: argparse.Namespace) -> None:
    command, *options = SERVERS[arguments.server]
    with (
        tempfile.TemporaryDirectory(prefix="cuts-") as directory,
        remote_jupyter(command, Path(directory), *options) as server,
    ):
        async with proxy_to(server.port, CHANNELS) as proxy:
            languages = {"bash": "bash"} if arguments.language == "bash" else {}
            settings = Settings(
                backend="jupyter", jupyter_url=proxy.url, jupyter_token=TOKEN, jupyter_languages=languages, pool_max=0
            )
            async with Engine(settings) as engine:
                found = await run(engine, proxy, arguments.language, arguments.cuts, arguments.seed)
    width = max(map(len, found))
    print(f"{arguments.server}, {arguments.language}, seed {arguments.seed}")
    for name, number in found.items():
        print(f"  {name:{width}}  {number}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--server", choices=SERVERS, default="jupyter_server")
    parser.add_argument("--language", choices=CELLS, default="python")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
