"""Broken and hostile websocket clients of a real server: each is refused or closed, and none of them harms another client.

WEBSOCKET_FUZZ_ROUNDS and WEBSOCKET_FUZZ_SEED make a longer run, or another one."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket as sockets
import struct
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from engine.jupyter.client_frames import V1
from tests.harness.client import Client
from tests.harness.fixtures import TOKEN
from tests.harness.malformed_frames import (
    DEFAULT_FRAMES,
    MAX_BYTES,
    Chaos,
    damaged_v1,
    request,
)
from tests.harness.server import Server
from tests.harness.waiting import DEADLINE, wait_until
from tests.harness.websocket import Socket, text

ROUNDS = int(os.environ.get("WEBSOCKET_FUZZ_ROUNDS", "150"))
SEED = int(os.environ.get("WEBSOCKET_FUZZ_SEED", "5"))
PART = 150  # rounds of one test, which has a seed and kernels of its own
GROUP = 25  # rounds after which the well-behaved clients are looked at
MAX_MEMORY = 64 * 1024 * 1024  # that one test may add to the server's
CLOSES = {1000, 1001, 1002, 1006, 1007, 1008, 1009}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    settings = {"token": TOKEN, "pool_max": "0", "max_request_bytes": str(MAX_BYTES)}
    with Server(settings=settings) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    client = server.client()
    yield client
    client.close()


@dataclass(frozen=True)
class Target:
    """A kernel, and how its language prints numbers from 0 on, each behind a word."""

    id: str
    loop: str

    def printing(self, count: int, word: str = "") -> str:
        return self.loop % (count, word)


LOOPS = {
    "python3": "for i in range(%d): print('%s', i, flush=True)",
    "typescript": "for (let i = 0; i < %d; i++) console.log('%s', i)",
}


def start(client: Client, name: str) -> Target:
    kernel = client.http.post("/api/kernels", json={"name": name}).json()["id"]
    return Target(kernel, LOOPS[name])


def printed(count: int, word: str = "") -> str:
    return "".join(f"{word} {number}\n" for number in range(count))


def address(client: Client, kernel: Target, session: str = "") -> str:
    return f"{client.url.replace('http', 'ws', 1)}/api/kernels/{kernel.id}/channels?session_id={session}&token={TOKEN}"


def ending(socket: Socket) -> int:
    """The code with which the server ends it once we are done; what it sends until then is read."""
    with contextlib.suppress(ConnectionClosed):
        socket.ws.send(json.dumps({**request(), "channel": "iopub"}))  # refused by all, so that the end is certain
    return socket.closed()[0]


def send_frame(client: Client, kernel: Target, chaos: Chaos) -> None:
    binary = chaos.random() < 0.3
    frame = damaged_v1(chaos) if binary else chaos.choice(DEFAULT_FRAMES)(chaos)
    with Socket(address(client, kernel), subprotocols=[V1] if binary else None) as socket:
        with contextlib.suppress(ConnectionClosed):
            socket.ws.send(frame)
        assert ending(socket) in CLOSES


def send_fragments(client: Client, kernel: Target, chaos: Chaos) -> None:
    """A good message in many fragments runs, and a ping between them is answered; one that is never finished is forgotten."""
    with Socket(address(client, kernel)) as socket:
        message = request(code=kernel.printing(1, "whole"), silent=False)
        frame = json.dumps(message)
        step = chaos.randrange(1, 40)
        pinged = step * chaos.randrange(1, len(frame) // step)

        def fragments() -> Iterator[str]:
            for at in range(0, len(frame), step):
                assert at != pinged or socket.ws.ping().wait(DEADLINE)
                yield frame[at : at + step]

        socket.ws.send(fragments())
        assert text(socket.done(message["header"]["msg_id"])) == printed(1, "whole")
        leaving = iter(["{", '"header": '])
        with contextlib.suppress(StopIteration, RuntimeError):
            socket.ws.send(abandoned(leaving))


def abandoned(fragments: Iterator[str]) -> Iterator[str]:
    yield from fragments
    raise RuntimeError


def opened(client: Client, kernel: Target) -> sockets.socket:
    """A websocket by hand, after its handshake."""
    raw = connected(client)
    raw.sendall(handshake(client, kernel.id))
    read_until(raw, b"\r\n\r\n")
    return raw


def read_until(raw: sockets.socket, end: bytes) -> None:
    received = b""
    while end not in received:
        data = raw.recv(65536)
        assert data, received
        received += data
    assert received.startswith((b"HTTP/1.1 101 ", b"\x81"))


def connected(client: Client) -> sockets.socket:
    url = urlsplit(client.url)
    assert url.hostname is not None
    return sockets.create_connection((url.hostname, url.port or 80), timeout=DEADLINE)


def handshake(client: Client, kernel: str) -> bytes:
    lines = (
        f"GET /api/kernels/{kernel}/channels?token={TOKEN} HTTP/1.1",
        f"Host: {urlsplit(client.url).netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )
    return "\r\n".join((*lines, "", "")).encode()


def reset(raw: sockets.socket) -> None:
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


def break_protocol(client: Client, kernel: Target, chaos: Chaos) -> None:
    """Frames that no websocket has end the connection."""
    masked = b"\x84maskdata"
    wrong = (
        b"\x83" + masked,  # an opcode that does not exist
        b"\x81\x05hello",  # not masked
        b"\xf1" + masked,  # reserved bits
        b"\x09" + masked,  # a control frame in fragments
        b"\x80" + masked,  # the continuation of nothing
        b"\x89\xfe\x00\x7emask" + b"x" * 126,  # a ping that is too long
        b"\x82\xff" + b"\xff" * 8 + b"mask",  # a length of more than 63 bits
        b"\x88\x81mask\x00",  # a close with half a code
    )
    with opened(client, kernel) as raw:
        raw.sendall(chaos.choice(wrong))
        while raw.recv(65536):
            pass


def dribble(client: Client, kernel: Target, chaos: Chaos) -> None:
    """Handshake and message, a few bytes at a time, are none the worse for it."""
    whole = json.dumps(request(silent=False, code="1")).encode()
    frame = struct.pack("!BBHI", 0x81, 0x80 | 126, len(whole), 0) + whole  # masked with zeros
    with connected(client) as raw:
        raw.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        for data, end in ((handshake(client, kernel.id), b"\r\n\r\n"), (frame, b"execute_reply")):
            step = chaos.randrange(1, 5)
            for at in range(0, len(data), step):
                raw.sendall(data[at : at + step])
            read_until(raw, end)
        reset(raw)


def leave_abruptly(client: Client, kernel: Target, chaos: Chaos) -> None:
    """In the handshake, before it or after it, at any byte."""
    whole = handshake(client, kernel.id)
    stage = chaos.randrange(3)
    raw = connected(client) if stage < 2 else opened(client, kernel)
    raw.sendall(whole[: chaos.randrange(len(whole))] if stage < 2 else b"\x81\xfe\x10\x00mask"[: chaos.randrange(9)])
    if stage == 1:
        raw.shutdown(sockets.SHUT_WR)
    reset(raw)


def storm(client: Client, kernel: Target, chaos: Chaos) -> None:
    raws = [connected(client) for _ in range(chaos.randrange(5, 30))]
    for raw in raws:
        raw.sendall(handshake(client, kernel.id if chaos.random() < 0.7 else "unknown"))
    for raw in raws:
        reset(raw)


def take_over(client: Client, kernel: Target, chaos: Chaos) -> None:
    """One session is opened again and again, in the midst of its output; nothing of it is lost."""
    session = uuid.uuid4().hex
    message = request(code=kernel.printing(300), silent=False)
    seen: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        socket = stack.enter_context(Socket(address(client, kernel, session)))
        socket.ws.send(json.dumps(message))
        for _ in range(chaos.randrange(2, 8)):
            later = stack.enter_context(Socket(address(client, kernel, session)))
            with contextlib.suppress(ConnectionClosed):
                while True:
                    seen.append(socket.receive())
            socket = later
        mine = [each for each in seen if each["parent_header"].get("msg_id") == message["header"]["msg_id"]]
        if not {"execute_reply"} <= {each["msg_type"] for each in mine}:
            mine += socket.done(message["header"]["msg_id"])
    assert text(mine) == printed(300)


ATTACKS: tuple[Callable[[Client, Target, Chaos], None], ...] = (
    *[send_frame] * 8,
    send_fragments,
    dribble,
    *[break_protocol] * 2,
    *[leave_abruptly] * 3,
    storm,
    take_over,
)


class Watched:
    """A well-behaved client: each of its cells has all of its output, in order."""

    def __init__(self, client: Client, kernel: Target) -> None:
        self.kernel = kernel
        self.socket = Socket(address(client, kernel))
        self.cells = 0

    def check(self) -> None:
        self.cells += 1
        word = f"cell {self.cells}"
        messages = self.socket.done(self.socket.execute(self.kernel.printing(200, word)))
        assert text(messages) == printed(200, word)
        counts = [each["content"]["status"] for each in messages if each["msg_type"] == "execute_reply"]
        assert counts == ["ok"]


def held(server: Server) -> tuple[int, int]:
    """Descriptors and threads of the server."""
    process = psutil.Process(server.pid)
    return process.num_fds(), process.num_threads()


@pytest.mark.parametrize("seed", range(SEED, SEED + -(-ROUNDS // PART)))
def test_no_bad_client_harms_another_or_leaves_anything_behind(server: Server, client: Client, seed: int) -> None:
    chaos = random.Random(seed)
    attacked = [start(client, name) for name in LOOPS]
    kernels = [*attacked, start(client, "python3")]
    watched = [Watched(client, kernel) for kernel in kernels]
    for attack in dict.fromkeys(ATTACKS):  # what is opened once and kept is there before we count
        for kernel in attacked:
            attack(client, kernel, random.Random(seed))
    for each in watched:
        each.check()
    for kernel in attacked:
        wait_until(lambda kernel=kernel: connections(client, kernel) == 1, what="the warm-up has left")
    (fds, threads), memory = held(server), server.memory()
    server.reset_peak_memory()
    for number in range(PART):
        attack = chaos.choice(ATTACKS)
        try:
            attack(client, chaos.choice(attacked), chaos)
        except (AssertionError, OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
            raise AssertionError(f"round {number} of seed {seed}: {attack.__name__}: {error!r}") from error
        if number % GROUP == GROUP - 1:
            for each in watched:
                each.check()
    for each in watched:
        each.check()
    for kernel in attacked:
        wait_until(lambda kernel=kernel: connections(client, kernel) == 1, what="all attackers have left")
    wait_until(lambda: held(server)[0] <= fds, deadline=20, what="no descriptor is left")
    wait_until(lambda: held(server)[1] <= threads, deadline=20, what="no thread is left")
    peak = server.peak_memory()
    print(f"seed {seed}: {memory >> 20} MiB before, {peak >> 20} at most, {server.memory() >> 20} after")
    assert peak < memory + MAX_MEMORY
    assert "Traceback" not in server.log_text
    for each in watched:
        each.socket.__exit__()
    for kernel in kernels:
        assert client.http.delete(f"/api/kernels/{kernel.id}").status_code == 204


def connections(client: Client, kernel: Target) -> int:
    return int(client.http.get(f"/api/kernels/{kernel.id}").json()["connections"])


HALF = "\\ud800"
BODIES = (
    ("/execute", f'{{"code": "print(\'{HALF}\')"}}'),
    ("/execute", f'{{"code": "1", "env_vars": {{"A": "{HALF}"}}}}'),
    ("/execute", f'{{"code": "input()", "stdin": ["{HALF}"]}}'),
    ("/api/kernels", f'{{"name": "{HALF}"}}'),
    ("/api/kernels", f'{{"name": "python3", "env": {{"KERNEL_A": "{HALF}"}}}}'),
    ("/api/sessions", f'{{"path": "{HALF}", "name": "", "type": "notebook", "kernel": {{"name": "python3"}}}}'),
)


def test_half_of_a_surrogate_pair_is_refused(client: Client) -> None:
    for path, body in BODIES:
        answer = client.http.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, (body, answer.text)
