"""A warm `1 + 1` on a kernel of a remote Jupyter Server, three ways in one run: `python -m benchmarks.remote [--rounds 300]`.

By our HTTP API; by jupyter_client directly to the sockets of that same kernel, on its machine; by an ordinary websocket client of the
same server. The three take turns, so that what else the machine does meets all of them."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
from jupyter_client.blocking import BlockingKernelClient
from jupyter_core.paths import jupyter_runtime_dir

from tests.conformance.server import Server
from tests.remote_jupyter import SERVER, TOKEN, RemoteJupyter, remote_jupyter

from .client import HttpClient, WebSocket

CODE = "1 + 1"
WARM_UP = 20


def direct(kernel_id: str) -> tuple[BlockingKernelClient, Callable[[], None]]:
    client = BlockingKernelClient(connection_file=str(Path(jupyter_runtime_dir()) / f"kernel-{kernel_id}.json"))
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(timeout=30)

    def call() -> None:
        client.execute_interactive(CODE, timeout=30, output_hook=lambda message: None)

    return client, call


def by_websocket(remote: RemoteJupyter, kernel_id: str) -> tuple[WebSocket, Callable[[], None]]:
    session = uuid.uuid4().hex
    path = f"/api/kernels/{kernel_id}/channels?session_id={session}"
    socket = WebSocket(remote.port, path, remote.headers, quickack=False)

    def call() -> None:
        msg_id = uuid.uuid4().hex
        header = {"msg_id": msg_id, "msg_type": "execute_request", "session": session, "username": "", "version": "5.3"}
        content = {"code": CODE, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        socket.send(json.dumps(message))
        replied = idle = False
        while not (replied and idle):
            found = json.loads(socket.receive(time.perf_counter() + 30))
            if found["parent_header"].get("msg_id") == msg_id:
                replied |= found["msg_type"] == "execute_reply"
                idle |= found["content"].get("execution_state") == "idle"

    return socket, call


def through_us(server: Server) -> Callable[[], None]:
    http = HttpClient(httpx.URL(server.url).port, {})

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
            socket, ordinary = by_websocket(remote, kernel_id)
            ways = {"through us": ours, "direct, local": local, "ordinary websocket": ordinary}
            times: dict[str, list[float]] = {name: [] for name in ways}
            for number in range(rounds + WARM_UP):
                for name, call in ways.items():
                    started = time.perf_counter()
                    call()
                    if number >= WARM_UP:
                        times[name].append(time.perf_counter() - started)
            socket.close()
            client.stop_channels()
    return times


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
