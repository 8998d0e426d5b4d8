"""The peer of a websocket that reads nothing has a deadline, and one that reads slowly has none. Small buffers, short deadlines."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from uvicorn.config import Config

from engine.metrics import Metrics
from engine.server import uvicorn_protocols as wire
from engine.server.connections import Connections
from engine.settings import Settings
from tests.harness.waiting import until

pytestmark = pytest.mark.anyio

WAIT = 20.0
SHORT, LONG = 0.15, 60.0  # the shorter is longer than a delayed acknowledgement
BUFFER = 16 * 1024  # of each system's end
MESSAGE = os.urandom(250 * 1024)
CLOSE, PING, PONG = 0x88, 0x89, 0x8A
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Side:
    """The server's side: an application that sends messages, and closes where `closes`."""

    def __init__(self, messages: int, *, closes: bool) -> None:
        self.state = Connections(Metrics(), Settings(), open_files=100)
        self.sent = 0
        self.ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self.looks = 0
        self.looked = asyncio.Event()
        self._messages = messages
        self._closes = closes

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        error: BaseException | None = None
        await receive()
        await send({"type": "websocket.accept"})
        try:
            for _ in range(self._messages):
                await send({"type": "websocket.send", "bytes": MESSAGE})
                self.sent += 1
            if self._closes:
                await send({"type": "websocket.close", "code": 1001, "reason": "the end"})
            else:
                await receive()
        except OSError as lost:
            error = lost
        self.ended.set_result(error)

    def note_look(self) -> None:
        self.looks += 1
        self.looked.set()


class Peer:
    def __init__(self, sock: socket.socket, side: Side) -> None:
        self.side = side
        self.received = bytearray()
        self._socket = sock

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(WAIT):
            data = await asyncio.get_running_loop().sock_recv(self._socket, size)
        self.received += data
        return data

    async def read_slowly(self, size: int) -> None:
        """Some between each two looks of the other side, until `size` bytes have come."""
        async with asyncio.timeout(WAIT):
            while len(self.received) < size:
                for _ in range(4):
                    await self.read(2 * BUFFER)
                self.side.looked.clear()
                await self.side.looked.wait()

    async def read_to_end(self) -> None:
        """Answer a close frame as its receiver has to; then the other side ends the connection."""
        while await self.read(1024 * 1024):
            if self.frames() and self.frames()[-1][0] == CLOSE:
                await self.send(b"\x88\x80mask")

    def frames(self) -> list[tuple[int, bytes]]:
        """Whole frames so far: first byte and payload."""
        head, _, rest = bytes(self.received).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        found = []
        while len(rest) >= 2:
            size, at = rest[1], 2
            if size > 125:
                at = 4 if size == 126 else 10
                size = int.from_bytes(rest[2:at])
            if len(rest) < at + size:
                break
            found.append((rest[0], rest[at : at + size]))
            rest = rest[at + size :]
        return found

    def messages(self) -> list[bytes]:
        return [payload for first, payload in self.frames() if first not in (CLOSE, PING)]

    def code(self) -> int:
        """Of the close frame, which comes last."""
        first, payload = self.frames()[-1]
        assert first == CLOSE
        return int(struct.unpack_from("!H", payload)[0])

    async def gone(self) -> None:
        await until(lambda: not self.side.state.connections)


@contextlib.asynccontextmanager
async def connected(messages: int, *, closes: bool = False, ping: float | None = None) -> AsyncIterator[Peer]:
    """A peer after its handshake."""
    loop = asyncio.get_running_loop()
    side = Side(messages, closes=closes)
    config = Config(side, log_config=None, ws_ping_interval=ping, ws_ping_timeout=ping, ws_per_message_deflate=False)

    class Protocol(wire.WebSocketProtocol):
        def _look(self, wait: float, before: int, otherwise: Callable[[], None]) -> None:
            super()._look(wait, before, otherwise)
            side.note_look()

        def send_keepalive_ping(self) -> None:
            super().send_keepalive_ping()
            side.note_look()

        def keepalive_timeout(self) -> None:
            super().keepalive_timeout()
            side.note_look()

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as sock:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        server = await loop.create_server(lambda: Protocol(config, side.state, {}), sock=listener)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        sock.setblocking(False)
        await loop.sock_connect(sock, listener.getsockname())
        peer = Peer(sock, side)
        await peer.send(HANDSHAKE)
        try:
            yield peer
        finally:
            for connection in list(side.state.connections):
                connection.transport.abort()
            await peer.gone()
            server.close()


@pytest.fixture
def deadlines(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], None]:
    def set_both(stall: float, cut: float) -> None:
        monkeypatch.setattr(wire, "STALL_WAIT", stall)
        monkeypatch.setattr(wire, "CUT_WAIT", cut)

    return set_both


async def test_a_peer_that_reads_nothing_fails_its_application_and_is_cut(deadlines):
    deadlines(SHORT, SHORT)
    async with connected(1000) as peer:
        async with asyncio.timeout(WAIT):
            assert isinstance(await peer.side.ended, OSError)
        assert peer.side.sent < 10
        await peer.gone()


async def test_one_that_reads_again_before_it_is_cut_sees_what_was_sent_and_the_code(deadlines):
    deadlines(SHORT, LONG)
    async with connected(1000) as peer:
        async with asyncio.timeout(WAIT):
            await peer.side.ended
        await peer.read_to_end()
        assert peer.messages() == [MESSAGE] * peer.side.sent
        assert peer.code() == 1013
        await peer.gone()


async def test_one_that_reads_slowly_is_waited_for(deadlines):
    deadlines(SHORT, SHORT)
    async with connected(2, closes=True) as peer:
        await peer.read_slowly(len(MESSAGE))
        assert peer.side.looks > 1
        await peer.read_to_end()
        assert peer.side.ended.result() is None
        assert (peer.messages(), peer.code()) == ([MESSAGE] * 2, 1001)


async def test_one_that_reads_slowly_after_the_end_sees_all_of_it(deadlines):
    deadlines(LONG, SHORT)
    async with connected(1, closes=True) as peer:
        async with asyncio.timeout(WAIT):
            await peer.side.ended  # the close frame waits behind the message
        await peer.read_slowly(len(MESSAGE) // 2)
        await peer.read_to_end()
        assert (peer.messages(), peer.code()) == ([MESSAGE], 1001)


async def test_one_that_reads_nothing_after_the_end_is_cut(deadlines):
    deadlines(LONG, SHORT)
    async with connected(1, closes=True) as peer:
        async with asyncio.timeout(WAIT):
            assert await peer.side.ended is None
        await peer.gone()


async def test_one_that_closes_and_does_not_read_is_cut(deadlines):
    deadlines(LONG, SHORT)
    async with connected(1) as peer:
        await peer.read(1)
        await peer.send(b"\x88\x80mask")
        await peer.gone()


async def test_one_that_has_not_come_to_a_ping_yet_is_there_while_it_reads(deadlines):
    deadlines(LONG, LONG)
    async with connected(2, ping=SHORT) as peer:
        await peer.read_slowly(len(MESSAGE))
        assert peer.side.looks > 2
        while PING not in {first for first, _ in peer.frames()}:
            await peer.read(1024 * 1024)
        assert peer.messages()[0] == MESSAGE


async def test_one_that_answers_no_ping_and_reads_nothing_is_closed(deadlines):
    deadlines(LONG, SHORT)
    async with connected(1, ping=SHORT) as peer:
        async with asyncio.timeout(WAIT):
            assert await peer.side.ended is None  # it was told that the client is gone
        await peer.gone()


async def test_pings_of_one_that_reads_nothing_are_not_kept_and_the_last_is_answered(deadlines):
    deadlines(LONG, LONG)
    async with connected(1) as peer:
        while b"\r\n\r\n" not in peer.received:
            await peer.read(64)
        (connection,) = peer.side.state.connections
        await until(lambda: not connection.writable.is_set())
        waiting = connection.transport.get_write_buffer_size()
        for _ in range(1000):
            await peer.send(b"\x89\xe4" + bytes(4) + b"x" * 100)
        await peer.send(b"\x89\x84" + bytes(4) + b"last")
        await until(lambda: connection._pongs.endswith(b"last"))
        assert connection.transport.get_write_buffer_size() <= waiting
        while (PONG, b"last") not in peer.frames():
            await peer.read(1024 * 1024)


async def test_of_many_small_frames_others_have_their_turn_between_some_and_all_are_answered(
    monkeypatch: pytest.MonkeyPatch,
):
    turns = [0]
    handle_ping = wire.WebSocketProtocol.handle_ping

    def count(protocol: wire.WebSocketProtocol) -> None:
        turns[-1] += 1
        handle_ping(protocol)

    async def note_turns() -> None:
        while True:
            turns.append(0)
            await asyncio.sleep(0)

    monkeypatch.setattr(wire.WebSocketProtocol, "handle_ping", count)
    async with connected(0) as peer:
        while b"\r\n\r\n" not in peer.received:
            await peer.read(1024)
        noting = asyncio.create_task(note_turns())
        pings = b"\x89\x80mask"
        sending = asyncio.create_task(peer.send(pings * 40_000))
        while len(peer.frames()) < 40_000:
            await peer.read(1024 * 1024)
        await sending
        noting.cancel()
        assert set(peer.frames()) == {(PONG, b"")}
    assert sum(turns) == 40_000
    assert max(turns) < 2000
