"""The head of a request has a deadline and a size, a websocket's handshake too; its body has to go on coming; an answer may take
its time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from uvicorn.config import Config

from engine.api.http.peers import PEER
from engine.metrics import Metrics
from engine.server import uvicorn_protocols as wire
from engine.server.connections import Connections
from engine.settings import Settings
from tests.harness.waiting import until

pytestmark = pytest.mark.anyio

WAIT = 20.0
SHORT = 0.05
REQUEST = b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"
SIZE = 1000
PIECE = bytes(64 * 1024)
LARGE = 400 * len(PIECE)  # more than the buffers of both systems hold
UPLOAD = b"PUT /file HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % SIZE
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Site:
    """Answers requests once it is `released`, and sends back what comes by websocket."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self.is_open = True
        self.released = asyncio.Event()
        self.port = 0

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        if self.is_open:
            scope["extensions"][PEER].note_authorized()
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] != "websocket.disconnect":
                await send({"type": "websocket.send", "bytes": message["bytes"]})
            return
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            return
        if scope["path"] == "/large":
            await self._send_large(send)
            return
        await self.released.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def _send_large(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % LARGE)]})
        for _ in range(LARGE // len(PIECE)):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(WAIT):
                yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def two_looks(self) -> None:
        async with self.connection() as (reader, _):
            assert await reader.read() == b""


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    state = Connections(Metrics(), Settings(peer_timeout=SHORT), open_files=100)
    site = Site(state)
    config = Config(site, log_config=None, ws=wire.WebSocketProtocol, ws_per_message_deflate=False)
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: wire.Protocol(config, state, {}), host="127.0.0.1", port=0
    )
    site.port = server.sockets[0].getsockname()[1]
    yield site
    server.close()
    await until(lambda: not state.connections)


@pytest.mark.parametrize("size", [0, 1, len(HANDSHAKE) - 1])
async def test_a_head_that_stops_ends_its_connection(site: Site, size: int):
    async with site.connection() as (reader, writer):
        writer.write(HANDSHAKE[:size])
        assert await reader.read() == b""


async def test_one_that_comes_ever_so_slowly_does_too(site: Site):
    async with site.connection() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: ")
        end = asyncio.ensure_future(reader.read())
        while not end.done():
            writer.write(b"x")
            await asyncio.wait({end}, timeout=SHORT / 10)
        with contextlib.suppress(ConnectionResetError):
            assert end.result() == b""


async def test_the_second_request_of_a_connection_has_the_same_deadline(site: Site):
    site.released.set()
    async with site.connection() as (reader, writer):
        writer.write(REQUEST)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        writer.write(REQUEST[:-1])
        assert await reader.read() == b""


async def test_a_request_that_has_come_may_take_its_time(site: Site):
    async with site.connection() as (reader, writer):
        writer.write(REQUEST)
        await site.two_looks()
        site.released.set()
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        await site.two_looks()
        writer.write(REQUEST)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


async def test_one_without_a_token_that_asks_again_has_done_what_is_awaited(site: Site):
    site.is_open = False
    site.connections.peer_timeout = WAIT
    site.released.set()
    async with site.connection() as (reader, writer):
        looks = []
        for _ in range(2):
            writer.write(REQUEST)
            await reader.readuntil(b"ok")
            (connection,) = site.connections.connections
            await until(lambda connection=connection: connection.is_idle)
            looks += [connection._awaited(), connection._awaited()]
        assert looks[0] == looks[1]
        assert looks[1][0] is not looks[2][0]
        assert looks[2] == looks[3]


@pytest.mark.parametrize("sent", [b"", b"ha"])
async def test_a_body_that_stops_ends_its_connection(site: Site, sent: bytes):
    async with site.connection() as (reader, writer):
        writer.write(UPLOAD + sent)
        assert await reader.read() == b""


async def test_one_that_comes_slowly_has_all_the_time_that_it_takes(site: Site):
    site.released.set()
    async with site.connection() as (reader, writer):
        writer.write(UPLOAD)
        looks = asyncio.ensure_future(site.two_looks())
        sent = 0
        while not looks.done() and sent < SIZE - 1:
            writer.write(b"x")
            sent += 1
            await asyncio.wait({looks}, timeout=SHORT / 5)
        await looks
        writer.write(b"x" * (SIZE - sent))
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


async def test_a_websocket_outlives_the_deadline_of_its_handshake(site: Site):
    async with site.connection() as (reader, writer):
        writer.write(HANDSHAKE)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        await site.two_looks()
        writer.write(b"\x82\x82\0\0\0\0hi")
        assert await reader.readexactly(4) == b"\x82\x02hi"
        writer.write(b"\x88\x80mask")
        assert await reader.readexactly(2) == b"\x88\x00"


async def test_a_head_that_is_too_large_is_refused(site: Site):
    site.connections.peer_timeout = WAIT
    async with site.connection() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * (wire.MAX_HEAD + 1))
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 400")
        assert answer.endswith(b"The head of a request may have 65536 bytes.")


async def test_a_peer_that_takes_nothing_of_an_answer_is_closed(site: Site):
    async with site.connection() as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: site.connections.connections)
        await until(lambda: not site.connections.connections)
    stalled = site.connections.metrics.registry.get_sample_value(
        "polyrepl_connections_closed_total", {"reason": "stalled"}
    )
    assert stalled == 1


async def test_one_that_takes_it_slowly_gets_all_of_it(site: Site):
    async with site.connection() as (reader, writer):
        writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        looks = asyncio.ensure_future(site.two_looks())
        size = 0
        while size < LARGE:
            size += len(await reader.read(LARGE // 50))
            await asyncio.wait({looks}, timeout=SHORT / 10)
        assert size == LARGE
        await looks


async def test_a_connection_without_authorization_has_a_deadline_for_its_next_request(site: Site):
    site.is_open = False
    site.released.set()
    async with site.connection() as (reader, writer):
        writer.write(REQUEST)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        assert await reader.read() == b""
