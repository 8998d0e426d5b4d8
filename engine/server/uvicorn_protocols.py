"""What of uvicorn's protocols is ours: what is written in one turn of the loop leaves in one write, and deadlines."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from engine.api.http.peers import PEER
from engine.contexts import Share
from engine.errors import TooManyBytes
from engine.server.connections import Connections, Peer
from engine.server.joiners import HeadJoiner, Joiner

_BODY = (b"content-length", b"transfer-encoding")
MAX_HEAD = 64 * 1024  # bytes
MAX_HEADERS = 256
MAX_PIPELINED = 100  # requests that are sent before the answer to the first one
STALL_WAIT = 20.0  # seconds that the peer of a websocket may take nothing of what waits for it
CUT_WAIT = 15.0  # the same, of one that has ended
_TRY_LATER = 1013
_REASON_BYTES = 120  # a close frame has room for 123
_PING_BYTES = 6  # that the peer's system acknowledges whether it is read or not
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_NO_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_FRAME_BYTES = 64  # that a frame takes besides its data, while its message goes on
_PIECE = 8 * 1024  # bytes of a websocket that are parsed before it is looked how many frames there were
_FRAMES_IN_A_TURN = 250  # from which on the rest has to wait for the next turn of the loop
_ACKNOWLEDGED = struct.Struct("120xQ")  # tcpi_bytes_acked in Linux's struct tcp_info


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol on a transport that joins a head and what follows it, within the budget of `Connections`.

    Every `peer_timeout` seconds it looks at what the peer has to do next, and ends the connection when nothing has happened since the
    look before: the rest of a request's head, more of a body that we read, a byte that it takes of what is written, or, while it is not
    authorized, a request. The head of a request has twice that time at most, and MAX_HEAD bytes."""

    server_state: Connections
    _peer: Peer | None = None
    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _body_packets = 0

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way, nor a part of one."""
        if self.cycle is None or self.cycle.scope is not self.scope:
            return self.scope is None
        return self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        joiner = HeadJoiner(transport, self.loop)
        super().connection_made(joiner)
        self._peer = joiner.peer = self.server_state.enter(self)
        if self._peer is None:
            transport.write(_FULL)
            transport.close()
        self._look_later(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._look_no_more()
        if self._peer is not None:
            self._peer.leave()
        super().connection_lost(exc)

    def evict(self) -> None:
        self.transport.abort()

    def handle_websocket_upgrade(self) -> None:
        self._look_no_more()
        super().handle_websocket_upgrade()

    def _should_upgrade(self) -> bool:
        """A request for a websocket is a GET of HTTP/1.1 without a body. Any other one is answered like one that asks for nothing."""
        return (
            self.scope["method"] == "GET"
            and self.scope["http_version"] == "1.1"
            and not any(name in _BODY and value != b"0" for name, value in self.headers)
            and super()._should_upgrade()
        )

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing is said: it is up to the client."""

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            msg = "too many requests at once"
            raise ValueError(msg)  # the parser stops, and the answer is 400
        super().on_message_begin()
        self.scope["extensions"] = {PEER: self._peer}  # type: ignore[dict-item]

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MAX_HEADERS:
            msg = "too many headers"
            raise ValueError(msg)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.parser.should_upgrade() and self.cycle is not None and self.cycle.scope is self.scope:
            self.cycle.keep_alive = False  # after this request the parser reads no other

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and self.cycle.scope is self.scope:
            self._head_bytes = 0
            self._body_packets += 1
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD and self in self.connections and not self.transport.is_closing():
            self.send_400_response(f"The head of a request may have {MAX_HEAD} bytes.")

    def send_400_response(self, msg: str) -> None:
        self.server_state.metrics.requests_refused.labels("malformed").inc()
        super().send_400_response(msg)

    def _look_later(self, awaited: tuple[object, int] | None) -> None:
        self._timer = self.loop.call_later(self.server_state.peer_timeout, self._look, awaited)

    def _look_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, before: tuple[object, int] | None) -> None:
        """One look every few seconds: a timer for each request would cost each of them."""
        awaited = self._awaited()
        if awaited and before and awaited[0] is before[0] and awaited[1] == before[1]:
            self.server_state.note_closed("stalled")
            self.transport.abort()
        else:
            self._look_later(awaited)

    def _awaited(self) -> tuple[object, int] | None:
        """What stands for that which the peer has to do, and how much of it there is; None where nothing is awaited of it."""
        if self.transport.get_write_buffer_size():
            return self.transport, taken(self.transport)
        if self.is_idle:
            is_known = self._peer is not None and self._peer.is_authorized
            return None if is_known and self.scope is not None else (self.scope or self, 0)
        if self.cycle is None or self.cycle.scope is not self.scope:
            return self.scope, 0
        is_read = self.cycle.more_body and not self.flow.read_paused
        return (self.scope, self._body_packets) if is_read else None


def taken(transport: asyncio.BaseTransport) -> int:
    """Bytes that the peer's system has acknowledged: while its buffers are full, as they are read. 0 where ours cannot tell."""
    connection = transport.get_extra_info("socket")
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKNOWLEDGED.size)
        return int(_ACKNOWLEDGED.unpack(info)[0])
    except (AttributeError, OSError, TypeError, struct.error):
        return 0


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, with deadlines for a peer that reads nothing; one that reads slowly has all the time that it takes.

    While something waits for it, a peer that takes nothing for STALL_WAIT seconds is closed (1013). What was written until then,
    and the close frame behind it, stays for CUT_WAIT more, as after any other close, and on while some of it is taken.

    What has been received of a message, and the message until the application asks for the next one, is weighed in the budget
    `incoming` of the application's state. A peer whose message has no room there is closed (1013). What is for the protocol alone
    is not kept. Of the pings of one who does not take what is written, the last are answered.

    Frames can be as small as six bytes. What comes at once is parsed up to some hundreds of them; the rest waits for the next turns of
    the loop, and nothing is read meanwhile.

    An application that has refused a websocket with an answer of its own is, unlike in uvicorn's, none that has failed."""

    is_idle = False
    _peer: Peer | None = None
    _taken_at_ping = 0
    _incoming: Share | None = None
    _complete = 0  # bytes of whole messages
    _begun = 0  # and of the frames of one that goes on
    _pongs = b""  # that wait until the peer takes what is before them
    _rest = memoryview(b"")  # of what was received, for later turns
    _frames = 0  # in this turn
    _is_refused = False  # what still comes is thrown away, up to the end

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._reads = Joiner(transport, self.loop)
        super().connection_made(self._reads)
        self._peer = transport.peer if isinstance(transport, HeadJoiner) else None
        if self._peer is not None:
            self._peer.holder = self
        if (budgets := self.app_state.get("budgets")) is not None:
            self._incoming = budgets.incoming.share()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._peer is not None:
            self._peer.leave()
        self._rest = memoryview(b"")
        super().connection_lost(exc)
        if self._incoming is not None:
            self._incoming.give(self._incoming.held)
            self._incoming = None

    def evict(self) -> None:
        self.transport.abort()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"][PEER] = self._peer  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        if self._incoming is not None:
            try:
                self._incoming.check(len(data))
            except TooManyBytes as error:
                self._is_refused = True
                self._cut(error.message[:_REASON_BYTES])
                return
        is_first = not self._rest
        self._rest = memoryview(data if is_first else bytes(self._rest) + data)
        if is_first:
            self._parse()

    def _parse(self) -> None:
        """Parse what has been received, up to what is enough for one turn of the loop."""
        self._frames = 0
        while self._rest and self._frames < _FRAMES_IN_A_TURN:
            piece, self._rest = bytes(self._rest[:_PIECE]), self._rest[_PIECE:]
            super().data_received(piece)
            if self.conn.handshake_exc is not None and not self.handshake_initiated:  # of which uvicorn's says nothing
                self.transport.write(_NO_HANDSHAKE)
                self.close_sent = True
                self.transport.close()
            if self._is_refused or self.transport.is_closing():
                self._rest = memoryview(b"")
        self._weigh()
        self._reads.hold_reading(bool(self._rest))
        if self._rest:
            self.loop.call_soon(self._parse)

    def handle_events(self) -> None:
        self._frames += len(self.conn.events)
        super().handle_events()

    def _weigh(self) -> None:
        """Hold what is here by now."""
        if self._incoming is not None:
            waits = len(self.conn.reader.buffer) + len(self._rest)
            change = self._complete + self._begun + waits - self._incoming.held
            if change > 0:
                self._incoming.take(change)
            elif change:
                self._incoming.give(-change)

    def handle_text(self, event: Frame) -> None:
        self._begun += len(event.data) + _FRAME_BYTES
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        self._begun += len(event.data) + _FRAME_BYTES
        super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        self._begun += len(event.data) + _FRAME_BYTES
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        if not self.close_sent:  # or else it is thrown away
            self._complete += self._begun
        self._begun = 0
        super().send_receive_event_to_app()

    async def receive(self) -> Any:
        if self._complete:
            self._complete = 0
            self._weigh()
        return await super().receive()

    def handle_ping(self) -> None:
        if self.writable.is_set() and not self.close_sent:
            super().handle_ping()
        elif pongs := b"".join(self.conn.data_to_send()):  # of all pings that came at once
            self._pongs = pongs

    def handle_close(self, event: Frame) -> None:
        self._write_pongs()
        super().handle_close(event)

    def _write_pongs(self) -> None:
        if self._pongs and not self.close_sent:
            self.transport.write(self._pongs)
        self._pongs = b""

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect(STALL_WAIT, self._close_stalled)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_pongs()
        if not self.close_sent:
            self._expect_nothing()

    def send_keepalive_ping(self) -> None:
        super().send_keepalive_ping()
        self._taken_at_ping = taken(self.transport)

    def keepalive_timeout(self) -> None:
        """A peer that has not come to the ping yet, but takes what was sent before it, is there; so is one that we do not read."""
        before, self._taken_at_ping = self._taken_at_ping, taken(self.transport)
        is_there = self._taken_at_ping > before + _PING_BYTES or self.read_paused
        if is_there and self.ping_timeout is not None:
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
        else:
            super().keepalive_timeout()
            self._expect(CUT_WAIT, self.transport.abort)

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if self in self.connections:
            self._expect(CUT_WAIT, self.transport.abort)

    async def send(self, message: Any) -> None:
        kind = message["type"]
        if kind == "websocket.close":
            self._expect_nothing()
            self.writable.set()  # a close frame is small: it need not wait for what is before it
        await super().send(message)
        if kind == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True
        elif kind == "websocket.close" and self.close_sent:
            self._expect(CUT_WAIT, self.transport.abort)

    def _expect(self, wait: float, otherwise: Callable[[], None]) -> None:
        """Look every `wait` seconds whether the peer has taken anything; where it has not, do that instead."""
        self._expect_nothing()
        self.close_timer = self.loop.call_later(wait, self._look, wait, taken(self.transport), otherwise)

    def _expect_nothing(self) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = None

    def _look(self, wait: float, before: int, otherwise: Callable[[], None]) -> None:
        if taken(self.transport) > before:
            self._expect(wait, otherwise)
        else:
            otherwise()

    def _close_stalled(self) -> None:
        self._cut(f"Nothing was read for {STALL_WAIT:g} s; connect again")

    def _cut(self, reason: str) -> None:
        """End it as far as the application is concerned: what it waits for with a message is over."""
        if not (self.close_sent or self.transport.is_closing()):
            self.conn.send_close(_TRY_LATER, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            if self.read_paused:  # up to its answer
                self.read_paused = False
                self.transport.resume_reading()
        self.disconnected = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": _TRY_LATER})
        self.writable.set()
        self._expect(CUT_WAIT, self.transport.abort)
