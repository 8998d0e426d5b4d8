"""The websocket of the Kernel Gateway's API beside that of Jupyter's own servers, as shipped: `python -m benchmarks.gateway`.

One client for all of them, with either protocol: `1 + 1`, a cell of 1000 messages, and a new kernel with its first cell, done with the
reply and the idle status. The servers take turns, so that what else the machine does meets all of them."""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.conformance.server import Server
from tests.remote_jupyter import GATEWAY, SERVER, TOKEN, remote_jupyter

from .client import HttpClient, WebSocket

V1 = "v1.kernel.websocket.jupyter.org"
WARM_UP = 20
FLOOD = "from IPython.display import display\nfor number in range(1000):\n    display(number)"
TARGET = 0.25  # of the faster of Jupyter's servers
_HEADERS = {"Authorization": f"token {TOKEN}"}


class Socket:
    """A kernel's channels, in one of the two protocols."""

    def __init__(self, port: int, kernel_id: str, *, is_v1: bool) -> None:
        self._is_v1 = is_v1
        self._session = uuid.uuid4().hex
        headers = {**_HEADERS, "Sec-WebSocket-Protocol": V1} if is_v1 else _HEADERS
        path = f"/api/kernels/{kernel_id}/channels?session_id={self._session}"
        self._socket = WebSocket(port, path, headers, quickack=False)

    def execute(self, code: str) -> int:
        """Run code; the number of messages until its end."""
        msg_id = uuid.uuid4().hex
        header = {
            "msg_id": msg_id,
            "msg_type": "execute_request",
            "session": self._session,
            "username": "",
            "version": "5.3",
        }
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        parts = [header, {}, {}, content]
        if self._is_v1:
            self._socket.send(_encoded([b"shell", *(json.dumps(part).encode() for part in parts)]))
        else:
            names = ("header", "parent_header", "metadata", "content")
            self._socket.send(json.dumps({"channel": "shell", **dict(zip(names, parts, strict=True))}))
        replied = idle = False
        count = 0
        while not (replied and idle):
            found_header, parent, found = self._received()
            if parent.get("msg_id") == msg_id:
                count += 1
                replied |= found_header["msg_type"] == "execute_reply"
                idle |= found.get("execution_state") == "idle"
        return count

    def _received(self) -> tuple[Any, Any, Any]:
        data = self._socket.receive(time.perf_counter() + 60)
        if not self._is_v1:
            message = json.loads(data)
            return message["header"], message["parent_header"], message["content"]
        (count,) = struct.unpack_from("<Q", data)
        offsets = struct.unpack_from(f"<{count}Q", data, 8)
        header, parent, _, content = (json.loads(data[offsets[n] : offsets[n + 1]]) for n in range(1, 5))
        return header, parent, content

    def close(self) -> None:
        self._socket.close()


def _encoded(segments: list[bytes]) -> bytes:
    offsets = [8 * (len(segments) + 2)]
    for segment in segments:
        offsets.append(offsets[-1] + len(segment))
    return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(segments)


def new_kernel(port: int) -> float:
    """Seconds from the request for a kernel to the end of its first cell."""
    http = HttpClient(port, _HEADERS)
    started = time.perf_counter()
    kernel_id = http.json("POST", "/api/kernels", {"name": "python3"})["id"]
    socket = Socket(port, kernel_id, is_v1=False)
    socket.execute("1 + 1")
    seconds = time.perf_counter() - started
    socket.close()
    http.json("DELETE", f"/api/kernels/{kernel_id}", timeout=30.0)
    http.close()
    return seconds


def measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds, by what was done and by server."""
    times: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        ports = {}
        ours = stack.enter_context(Server(settings={"token": TOKEN}))
        ports["polyrepl"] = int(ours.url.rpartition(":")[2])
        for name, command in (("jupyter_server", SERVER), ("kernel_gateway", GATEWAY)):
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-"))
            ports[name] = stack.enter_context(remote_jupyter(command, Path(directory))).port
        for label, is_v1 in (("1 + 1, JSON", False), ("1 + 1, v1", True)):
            sockets = {}
            for name, port in ports.items():
                http = HttpClient(port, _HEADERS)
                kernel_id = http.json("POST", "/api/kernels", {"name": "python3"})["id"]
                http.close()
                sockets[name] = Socket(port, kernel_id, is_v1=is_v1)
            _take_turns(times, label, sockets, "1 + 1", rounds, WARM_UP)
            if not is_v1:
                _take_turns(times, "1000 displays, JSON", sockets, FLOOD, 5, 1)
            for socket in sockets.values():
                socket.close()
        for number in range(6):
            for name, port in ports.items():
                seconds = new_kernel(port)
                if number:
                    times.setdefault("new kernel and first cell", {}).setdefault(name, []).append(seconds)
    return times


def _take_turns(
    times: dict[str, dict[str, list[float]]],
    label: str,
    sockets: dict[str, Socket],
    code: str,
    rounds: int,
    warm_up: int,
) -> None:
    found = times.setdefault(label, {name: [] for name in sockets})
    for number in range(rounds + warm_up):
        for name, socket in sockets.items():
            started = time.perf_counter()
            socket.execute(code)
            if number >= warm_up:
                found[name].append(time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    for label, by_server in measure(parser.parse_args().rounds).items():
        print(label)
        medians = {name: statistics.median(values) for name, values in by_server.items()}
        fastest = min(value for name, value in medians.items() if name != "polyrepl")
        for name, values in by_server.items():
            p95 = sorted(values)[int(len(values) * 0.95)]
            print(f"  {name:16} {medians[name] * 1000:9.2f} ms  p95 {p95 * 1000:9.2f} ms")
        ratio = medians["polyrepl"] / fastest
        print(
            f"  ours / the faster of the others: {ratio:.3f} (target {TARGET}: {'holds' if ratio <= TARGET else 'missed'})"
        )


if __name__ == "__main__":
    main()
