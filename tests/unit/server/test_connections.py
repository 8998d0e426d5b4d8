"""The budget of connections: whoever has a token finds a place, however many come without."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket

import pytest

from engine.metrics import Metrics
from engine.server.connections import Connections, Peer
from engine.settings import Settings
from tests.harness.in_process import serve

pytestmark = pytest.mark.anyio

TOKEN = "s3cret-Token"
WAIT = 20.0


class Holder:
    def __init__(self, *, is_idle: bool = True) -> None:
        self.is_idle = is_idle
        self.is_evicted = False

    def evict(self) -> None:
        self.is_evicted = True


def some(metrics: Metrics, *, open_files: int, **settings: int) -> Connections:
    return Connections(metrics, Settings(**settings), open_files=open_files)


def enter(connections: Connections, *, authorized: bool = False, is_idle: bool = True) -> tuple[Holder, Peer]:
    holder = Holder(is_idle=is_idle)
    peer = connections.enter(holder)
    assert peer is not None
    if authorized:
        peer.note_authorized()
    return holder, peer


def closed(metrics: Metrics, reason: str) -> float:
    return metrics.registry.get_sample_value("polyrepl_connections_closed_total", {"reason": reason}) or 0.0


class TestBudget:
    async def test_a_new_connection_takes_the_place_of_the_oldest_without_authorization(self):
        connections = some(metrics := Metrics(), open_files=200, max_unauthorized_connections=3)
        known = [enter(connections, authorized=True)[0] for _ in range(10)]
        strangers = [enter(connections)[0] for _ in range(5)]
        assert [each.is_evicted for each in strangers] == [True, True, False, False, False]
        assert not any(each.is_evicted for each in known)
        assert closed(metrics, "unauthorized") == 2

    async def test_they_have_half_of_all_places_at_most(self):
        connections = some(Metrics(), open_files=16, max_unauthorized_connections=1000)
        strangers = [enter(connections)[0] for _ in range(6)]
        assert [each.is_evicted for each in strangers].count(False) == 4

    async def test_one_that_was_let_in_is_no_stranger_any_more(self):
        connections = some(Metrics(), open_files=200, max_unauthorized_connections=1)
        holder, _ = enter(connections, authorized=True)
        enter(connections)
        enter(connections)
        assert not holder.is_evicted

    async def test_when_all_places_are_taken_the_oldest_idle_connection_goes(self):
        connections = some(metrics := Metrics(), open_files=6)
        busy, _ = enter(connections, authorized=True, is_idle=False)
        idle, _ = enter(connections, authorized=True)
        later, _ = enter(connections, authorized=True)
        enter(connections)
        assert (busy.is_evicted, idle.is_evicted, later.is_evicted) == (False, True, False)
        assert closed(metrics, "idle") == 1

    async def test_without_an_idle_one_the_new_connection_is_refused(self):
        connections = some(metrics := Metrics(), open_files=4)
        busy = [enter(connections, authorized=True, is_idle=False) for _ in range(2)]
        assert connections.enter(Holder()) is None
        assert closed(metrics, "full") == 1
        busy[0][1].leave()
        assert connections.enter(Holder()) is not None

    async def test_what_has_left_frees_its_place_once(self):
        connections = some(Metrics(), open_files=8, max_unauthorized_connections=2)
        _, first = enter(connections)
        first.leave()
        first.leave()
        first.note_authorized()  # its request was let in too late
        second, third = enter(connections)[0], enter(connections)[0]
        assert not second.is_evicted
        assert not third.is_evicted
        assert repr(connections) == "<Connections 0 authorized, 2 not, at most 4>"


async def test_many_connections_without_a_token_leave_room_for_one_with_it(make_fake):
    engine = make_fake(token=TOKEN, max_connections=20, max_unauthorized_connections=10).engine
    held: list[socket.socket] = []

    def ask(port: int) -> None:
        known = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        answers = [run(known)]
        for begun in (b"", b"GET /con", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n") * 20:
            held.append(socket.create_connection(("127.0.0.1", port), timeout=WAIT))
            held[-1].sendall(begun)
        new = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        answers += [run(known), run(new)]
        assert answers == [200] * 3
        for client in (known, new):
            client.close()

    def run(client: http.client.HTTPConnection) -> int:
        body = json.dumps({"code": "1+1", "context_id": "a"})
        client.request("POST", "/execute", body, {"Authorization": f"Bearer {TOKEN}"})
        answer = client.getresponse()
        answer.read()
        return answer.status

    with serve(engine) as live:
        await asyncio.to_thread(ask, live.port)
        for sock in held:
            sock.close()


@pytest.mark.parametrize("body", [b"", b"abc"])
async def test_a_refused_request_without_a_body_ends_its_connection(make_fake, body: bytes):
    """With one, the client would lose the answer while it still sends."""
    engine = make_fake(token=TOKEN).engine
    head = b"POST /execute HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serve(engine) as live:
        (answer,) = await asyncio.to_thread(exchange, live.port, [head + body])
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert (b"\r\nconnection: close\r\n" in answer.lower()) is (not body)


KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
UPGRADE = b"Host: a\r\nConnection: Upgrade\r\nUpgrade: %b\r\n"
LINES = [
    b"%b %b HTTP/%b" % (method, path, version)
    for method in (b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS")
    for path in (b"/api/kernels/x/channels", b"/contexts", b"/e2b/x", b"/mcp", b"/none")
    for version in (b"1.1", b"1.0")
]
BODIES = [b"\r\n", b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
PROTOCOLS = [b"websocket", b"WebSocket", b"h2c", b"TLS/1.0", b"websocket, h2c"]
UPGRADES = {
    "any method": [line + b"\r\n" + UPGRADE % b"websocket" + KEY + BODIES[0] for line in LINES],
    "with a body": [line + b"\r\n" + UPGRADE % b"websocket" + KEY + body for line in LINES for body in BODIES[1:]],
    "other protocols": [LINES[0] + b"\r\n" + UPGRADE % name + KEY + body for name in PROTOCOLS for body in BODIES],
    "no version": [line + b"\r\n" + UPGRADE % b"websocket" + BODIES[0] for line in LINES],
    "heads that the handshake does not take": [
        LINES[0] + b"\r\n" + UPGRADE % b"websocket" + KEY + b"Cookie: " + b"x" * 9000 + b"\r\n\r\n",
        LINES[0] + b"\r\n" + UPGRADE % b"websocket" + KEY + b"X: 1\r\n" * 300 + b"\r\n",
        b"GET /api/kernels/x/channels?" + b"a" * 9000 + b" HTTP/1.1\r\n" + UPGRADE % b"websocket" + KEY + b"\r\n",
    ],
}


def exchange(port: int, requests: list[bytes]) -> list[bytes]:
    """What comes back for each, all sent at once; b"" where the connection was closed."""
    sockets = []
    for request in requests:
        sockets.append(socket.create_connection(("127.0.0.1", port), timeout=WAIT))
        sockets[-1].sendall(request)
    answers = []
    for sock in sockets:
        answers.append(sock.recv(64 * 1024))
        sock.close()
    return answers


@pytest.mark.parametrize("kind", UPGRADES)
@pytest.mark.parametrize("authorization", [b"", b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"], ids=len)
async def test_a_request_for_another_protocol_is_always_answered(make_fake, kind: str, authorization: bytes):
    engine = make_fake(token=TOKEN).engine
    requests = [each.replace(b"Host: a\r\n", b"Host: a\r\n" + authorization, 1) for each in UPGRADES[kind]]
    with serve(engine) as live:
        answers = await asyncio.to_thread(exchange, live.port, requests)
    wrong = [
        (request[:60], answer[:60])
        for request, answer in zip(requests, answers, strict=True)
        if not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4"))
    ]
    assert wrong == []
