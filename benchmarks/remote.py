"""A warm `1 + 1` on a kernel of a remote Jupyter Server, three ways in one run: `python -m benchmarks.remote [--rounds 300]`.

By our HTTP API; by jupyter_client directly to the sockets of that same kernel, on its machine; by an ordinary websocket client of the
same server. The three take turns, block by block, so that what else the machine does meets all of them."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_core.paths import jupyter_runtime_dir

from tests.harness.jupyter import SERVER, TOKEN, RemoteJupyter, remote_jupyter
from tests.harness.server import Server

from .client import HttpClient
from .measures import must_be_two
from .peer_jupyter import JupyterContext

CODE = "1 + 1"
WARM_UP = 20
BLOCK = 25  # calls back to back, as a client makes them: a pause between two hides that Jupyter's servers stall


def direct(kernel_id: str) -> tuple[BlockingKernelClient, Callable[[], None]]:
    client = BlockingKernelClient(connection_file=str(Path(jupyter_runtime_dir()) / f"kernel-{kernel_id}.json"))
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(timeout=30)

    def call() -> None:
        client.execute_interactive(CODE, timeout=30, output_hook=lambda message: None)

    return client, call


def by_websocket(remote: RemoteJupyter, kernel_id: str) -> tuple[JupyterContext, Callable[[], None]]:
    context = JupyterContext(remote.port, remote.headers, kernel_id)

    def call() -> None:
        must_be_two(context.execute(CODE))

    return context, call


def through_us(server: Server) -> Callable[[], None]:
    http = HttpClient(int(server.url.rpartition(":")[2]))

    def call() -> None:
        answer = http.json("POST", "/execute", {"code": CODE, "context_id": "c"})
        assert answer["items"][0]["text"] == "2", answer

    return call


def measure(rounds: int) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory(prefix="remote-") as directory, remote_jupyter(SERVER, Path(directory)) as remote:
        env = {"JUPYTER_URL": remote.url, "JUPYTER_TOKEN": TOKEN}
        with Server(settings={"pool_max": "0"}, env=env, flags=["--backend", "jupyter"]) as server:
            ours = through_us(server)
            ours()
            (kernel_id,) = remote.kernels()
            client, local = direct(kernel_id)
            context, ordinary = by_websocket(remote, kernel_id)
            ways = {"through us": ours, "direct, local": local, "ordinary websocket": ordinary}
            times: dict[str, list[float]] = {name: [] for name in ways}
            for call in ways.values():
                _timed(call, WARM_UP)
            for _ in range(0, rounds, BLOCK):
                for name, call in ways.items():
                    times[name] += _timed(call, BLOCK)
            context.disconnect()
            client.stop_channels()
    return times


def _timed(call: Callable[[], None], count: int) -> list[float]:
    """Seconds of each of `count` calls, back to back."""
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=300)
    times = measure(parser.parse_args().rounds)
    ours = statistics.median(times["through us"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:20}{1000 * median:8.2f} ms   through us / this: {ours / median:.2f}")


if __name__ == "__main__":
    main()
