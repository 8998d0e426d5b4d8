"""The gateway dialect's websocket: one client of a kernel, on all of its channels at once."""

from __future__ import annotations

import asyncio
import contextlib
import math
import uuid
from collections import deque

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine.api.gateway.errors import render
from engine.api.gateway.kernels import find_context
from engine.api.http.parsing import MAX_VALUES, beside_loop, has_many_values
from engine.contexts import Context, Observer
from engine.core import Engine
from engine.errors import FieldError, InvalidRequest, PolyreplError, TooManyRequests
from engine.jupyter import V1, Channel, ClientMessage, Outgoing, read_frame

_HIGH, _LOW = 4 * 1024 * 1024, 1024 * 1024  # bytes that wait for a client: from where to where it counts as behind
_FLUSH_WAIT = 5.0  # seconds that a kernel has to read a control request before the next frame is looked at
_LARGE = 64 * 1024  # bytes of a frame
_MAX_PENDING = 1000  # requests of one client that wait in the queue
_GOING_AWAY, _BAD_DATA, _POLICY, _TRY_LATER = 1001, 1007, 1008, 1013


async def channels(websocket: WebSocket) -> None:
    """Serve one client until it leaves, is closed for what it does, or its context ends."""
    engine: Engine = websocket.app.state.engine
    try:
        context = find_context(engine, websocket.path_params["kernel_id"])
    except PolyreplError as error:
        await websocket.send_denial_response(render(error))
        return
    subprotocol = V1 if V1 in websocket.scope["subprotocols"] else None
    await websocket.accept(subprotocol)
    client = _Client(
        websocket, context, _session_id(websocket), subprotocol, limit=engine.settings.websocket_buffer_bytes
    )
    await client.serve()


def _session_id(connection: HTTPConnection) -> str:
    return connection.query_params.get("session_id") or uuid.uuid4().hex


async def _read(data: str | bytes, subprotocol: str | None) -> ClientMessage:
    """The message in a frame, read and bounded beside the loop when it is large. Raises InvalidRequest."""

    def read_bounded() -> ClientMessage:
        request = read_frame(data, subprotocol)
        for name, part in zip(("parent_header", "metadata", "content"), request.parts[1:4], strict=True):
            if has_many_values(part):  # the loop parses it when the message has its turn
                problem = f"has more than {MAX_VALUES} values"
                raise InvalidRequest(FieldError(name, problem), message=f"Invalid message: {name} {problem}")
        return request

    return read_frame(data, subprotocol) if len(data) <= _LARGE else await beside_loop(read_bounded)


class _Client(Observer):
    """Sends what waits for it, one message after the other, and hands on what comes.

    A client that asked for the output itself slows the kernel down when it is behind. Any other one, or one that reads nothing at
    all, is closed once more than `limit` bytes wait, or as much as the server keeps for all clients; what it missed is
    kept for its session.

    A shell request that has no room in the queue waits here, and nothing is read behind it: the network holds what its client sends,
    in order, and nothing is lost. (A refusal would run the cells behind the refused one without it.) What is for control or stdin
    never waits, unless it is behind such a request; an interrupt over HTTP overtakes all. While the kernel asks a client for input,
    the client is read on, up to twice the room: its answer may be behind its cells."""

    def __init__(
        self, websocket: WebSocket, context: Context, session: str, subprotocol: str | None, *, limit: int
    ) -> None:
        self.session = session
        self._websocket = websocket
        self._context = context
        self._held = context.observers.held
        self._subprotocol = subprotocol
        self._limit = limit
        self._allowed = math.inf  # while it is given what its session has missed
        self._queue: deque[Outgoing] = deque()
        self._bytes = 0
        self._largest = 0  # of those since nothing waited: one message alone, whatever its size, makes nobody slow
        self._is_behind = False
        self._changed = asyncio.Event()
        self._end: tuple[int, str] | None = None
        self._pending = 0
        self._asked = asyncio.Event()  # the kernel waits for input of this client
        self._writing: asyncio.Task[None] | None = None

    def deliver(self, message: Outgoing) -> None:
        self._held.hold(message)
        self._queue.append(message)
        self._bytes += message.size
        self._largest = max(self._largest, message.size)
        self._changed.set()
        if message.channel is Channel.STDIN:
            self._asked.set()
        if not self._is_behind and self._bytes > _HIGH:
            self._set_behind(True)
        if self._bytes - self._largest > self._allowed or (self._is_behind and not self._held.has_room):
            self._give_up()

    def take(self) -> list[Outgoing]:
        taken = list(self._queue)
        for message in taken:
            self._held.drop(message)
        self._queue.clear()
        self._bytes = 0
        return taken

    def note_done(self, *, is_cell: bool) -> None:
        self._pending -= 1
        if is_cell:
            self._asked.clear()  # answered or not

    def end(self, reason: str) -> None:
        self._close(_GOING_AWAY, reason)

    def _set_behind(self, is_behind: bool) -> None:
        self._is_behind = is_behind
        self._context.observers.note_pressure(self, is_behind=is_behind)

    def _give_up(self) -> None:
        """Leave at once: from now on its session's backlog bounds what is kept."""
        self._close(_TRY_LATER, f"Too slow: {self._bytes} bytes wait; connect again with this session_id")
        self._context.observers.leave(self)
        if self._writing is not None:
            self._writing.cancel()

    def _close(self, code: int, reason: str) -> None:
        if self._end is None:
            self._end = (code, reason.encode()[:120].decode("utf-8", "ignore"))  # a close frame has room for 123 bytes
            self._changed.set()

    async def serve(self) -> None:
        self._context.observe(self)
        self._allowed = self._bytes + self._limit
        self._writing = asyncio.create_task(self._write())
        tasks = {self._writing, asyncio.create_task(self._read())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._context.observers.leave(self)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()
        if self._end is not None:
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await self._websocket.close(*self._end)

    async def _write(self) -> None:
        """Send until the end; what waits at that time is sent before it. The protocol ends a client that reads nothing."""
        while True:
            while self._queue:
                if not await self._send(self._queue[0]):
                    return
            if self._end is not None:
                return
            self._changed.clear()
            await self._changed.wait()

    async def _send(self, message: Outgoing) -> bool:
        for _ in message.prepare(self._subprotocol):
            await asyncio.sleep(0)
            if not (self._queue and self._queue[0] is message):
                return True
        data = message.encode(self._subprotocol)
        try:
            if isinstance(data, bytes):
                await self._websocket.send_bytes(data)
            else:
                await self._websocket.send_text(data)
        except (RuntimeError, WebSocketDisconnect):
            return False
        if self._queue and self._queue[0] is message:
            self._queue.popleft()
            self._held.drop(message)
            self._bytes -= message.size
            if not self._queue:
                self._largest = 0
        if self._is_behind and self._bytes < _LOW:
            self._set_behind(False)
        return True

    async def _read(self) -> None:
        while True:
            received = await self._websocket.receive()
            if received["type"] == "websocket.disconnect":
                return
            data = received.get("bytes") or received.get("text") or ""
            try:
                request = await _read(data, self._subprotocol)
                if self._pending >= _MAX_PENDING:
                    raise TooManyRequests(_MAX_PENDING)
                if request.channel is Channel.SHELL:
                    await self._room(request)
                elif request.channel is Channel.STDIN:
                    self._asked.clear()
                self._pending += 1
                self._context.relays.relay(self, request)
                # What has no turn to wait for must not pile up before the kernel.
                if request.channel is not Channel.SHELL:
                    await self._context.flushed(_FLUSH_WAIT)
            except InvalidRequest as error:
                self._close(_BAD_DATA, error.message)
                return
            except PolyreplError as error:
                self._close(_POLICY, error.message)
                return

    async def _room(self, request: ClientMessage) -> None:
        """Return when the request may be queued: there is room, or the kernel waits for this client. Raises TooManyBytes."""
        share = self._context.relays.share
        while not (share.has_room or self._asked.is_set()):
            waits = {asyncio.create_task(share.room()), asyncio.create_task(self._asked.wait())}
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
                await asyncio.wait(waits)
        if not share.has_room:
            share.check(request.size, times=2)
