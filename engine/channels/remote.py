"""The websocket channel (layer 2): a kernel on a remote Jupyter. One socket carries all channels, and is replaced when it is cut.

The remote keeps what a kernel sends while nobody is connected, for the session that comes back. What was under way when the socket
was cut may be lost all the same. Nothing of that passes in silence: numbers show gaps (engine.remote_losses), a question behind the
cell shows that its end was lost, and the cell ends with the error OutputLost, its kernel and its state kept."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from engine.channels import Channels, Listener
from engine.errors import MessageError
from engine.frames import MAX_FRAME
from engine.log import get_logger
from engine.messages import Channel, Message, Session
from engine.remote import RemoteServer
from engine.remote_losses import Numbers
from engine.remote_messages import V1, Parts, decode_legacy, decode_v1, encode_legacy, encode_v1

if TYPE_CHECKING:  # an optional dependency, loaded when it is needed
    from websockets.asyncio.client import ClientConnection

_RECONNECT_PAUSES = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0)  # seconds before each attempt
_RECONNECT_WAIT = 20.0  # seconds that all attempts may take
_OPEN_WAIT = 10.0  # seconds of one attempt
_CLOSE_WAIT = 1.0
_PING_INTERVAL = 10.0  # seconds; a peer that is silently gone is noticed after twice that
_POLL_INTERVAL = 3.0  # seconds between questions whether the kernel of a running request is still there
_NUDGE_INTERVAL = 1.0  # seconds before an unanswered question is put again, and twice as long each time
_MAX_PENDING = 100
_MAX_RESENDS = 2
_LOST = "The connection to the remote Jupyter was cut while this cell ran; part of its output may be lost. The state is kept"
_END_LOST = "The connection to the remote Jupyter was cut while this cell ran; how it ended is lost. The state is kept"


class _Header(msgspec.Struct):
    msg_id: str = ""
    msg_type: str = ""


_header_decoder = msgspec.json.Decoder(_Header)


class _Pending:
    """A request on the shell channel that has not ended."""

    def __init__(self, msg_type: str, parts: Parts) -> None:
        self.msg_type = msg_type
        self.parts = parts
        self.was_seen = False  # the kernel has said something about it
        self.has_reply = False
        self.idle: Message | None = None
        self.reply_number = 0
        self.was_cut = False
        self.resends = 0


class RemoteChannels(Channels):
    """The channels of the kernel `kernel_id` at `server`, as RemoteProvisioner's connection info names them.

    `on_gone` there is told, once, why the kernel is no longer of use: it is gone, was restarted, or cannot be reached again."""

    def __init__(
        self, info: Mapping[str, Any], listener: Listener, *, on_bad_message: Callable[[MessageError], None]
    ) -> None:
        super().__init__(listener)
        self._server: RemoteServer = info["server"]
        self._kernel_id: str = info["kernel_id"]
        self._on_gone: Callable[[str], None] = info["on_gone"]
        self._on_bad_message = on_bad_message
        self._session = Session(b"")
        self._loop = asyncio.get_running_loop()
        self._outbox: deque[tuple[Channel, Parts]] = deque()
        self._outbox_filled = asyncio.Event()
        self._outbox_empty = asyncio.Event()
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._numbers = Numbers()
        self._probe = ""  # msg_id of the question that comes behind every request sent before it
        self._probe_replied = self._probe_idle = False
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._runner: asyncio.Task[None] | None = None
        self._closed = False
        self.reconnects = 0

    async def open(self) -> None:
        """Connect, and ask the kernel something, until it answers on shell and iopub."""
        try:
            ws = await self._connect()
        except (ConnectionError, FileNotFoundError) as error:
            raise MessageError(str(error)) from None
        self._runner = asyncio.create_task(self._run(ws))
        interval = _NUDGE_INTERVAL
        while True:
            self._ask()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    return await asyncio.shield(self._ready)
            interval *= 2

    async def open_stdin(self) -> None:
        return

    def send(
        self,
        channel: Channel,
        msg_type: str,
        content: Any,
        *,
        metadata: Mapping[str, Any] | None = None,
        fds: Sequence[int] = (),
    ) -> str:
        assert not fds, "a websocket carries no descriptors"
        msg_id, parts = self._session.build_parts(msg_type, content, metadata=metadata)
        self._note_sent(channel, msg_id, msg_type, parts)
        self._put(channel, parts)
        return msg_id

    def forward(self, channel: Channel, parts: Sequence[bytes]) -> None:
        header = _header_decoder.decode(parts[0])
        self._note_sent(channel, header.msg_id, header.msg_type, list(parts))
        self._put(channel, list(parts))

    def _note_sent(self, channel: Channel, msg_id: str, msg_type: str, parts: Parts) -> None:
        if channel is Channel.SHELL and msg_type.endswith("_request"):  # the others get no reply
            self._pending[msg_id] = _Pending(msg_type, parts)
            if len(self._pending) > _MAX_PENDING:
                self._pending.popitem(last=False)

    def _ask(self) -> None:
        self._probe_replied = self._probe_idle = False
        self._probe, parts = self._session.build_parts("kernel_info_request", {})
        self._put(Channel.SHELL, parts)

    def _put(self, channel: Channel, parts: Parts) -> None:
        self._outbox.append((channel, parts))
        self._outbox_empty.clear()
        self._outbox_filled.set()

    async def flushed(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._outbox_empty.wait()

    async def drain(self) -> None:
        return

    async def aclose(self) -> None:
        self._closed = True
        if not self._ready.done():
            self._ready.cancel()
        if self._runner is not None and self._runner is not asyncio.current_task():
            self._runner.cancel()
            await asyncio.wait({self._runner})

    async def _connect(self) -> ClientConnection:
        """One attempt. Raises ConnectionError; FileNotFoundError where the remote knows no such kernel."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus, WebSocketException
        from websockets.typing import Subprotocol

        try:
            return await connect(
                self._server.websocket_url(self._kernel_id, self._session.id),
                additional_headers=self._server.headers,
                subprotocols=[Subprotocol(V1)],
                compression=None,
                proxy=None,
                open_timeout=_OPEN_WAIT,
                close_timeout=_CLOSE_WAIT,
                ping_interval=_PING_INTERVAL,
                ping_timeout=_PING_INTERVAL,
                max_size=MAX_FRAME,
                create_connection=_prompt_connection(),
            )
        except InvalidStatus as error:
            status = error.response.status_code
            if status == 404:
                raise FileNotFoundError("no longer there") from None
            reason = f"it answers {status}"
        except (WebSocketException, OSError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
        raise ConnectionError(f"no websocket to a kernel of {self._server.url}: {reason[:300]}")

    async def _run(self, ws: ClientConnection | None) -> None:
        poller = asyncio.create_task(self._poll())
        try:
            while ws is not None:
                await self._talk(ws)
                ws = await self._connect_again()
        except Exception:
            get_logger().exception("remote_channels_failed", remote_kernel=self._kernel_id)
            self._on_gone("left, as the engine failed to read its messages")
        finally:
            poller.cancel()
            if ws is not None:
                await asyncio.shield(ws.close())

    async def _talk(self, ws: ClientConnection) -> None:
        """Send and receive until the socket is cut."""
        from websockets.exceptions import ConnectionClosed

        is_v1 = ws.subprotocol == V1
        writer = asyncio.create_task(self._write(ws, encode_v1 if is_v1 else encode_legacy))
        try:
            async for data in ws:
                try:
                    self._receive(*(decode_v1(data) if is_v1 and isinstance(data, bytes) else decode_legacy(data)))
                except MessageError as error:
                    self._on_bad_message(error)
        except ConnectionClosed:
            pass
        finally:
            writer.cancel()
            await asyncio.wait({writer})

    async def _write(self, ws: ClientConnection, encode: Callable[[Channel, Parts], bytes | str]) -> None:
        from websockets.exceptions import ConnectionClosed

        while True:
            while self._outbox:
                channel, parts = self._outbox.popleft()
                try:
                    await ws.send(encode(channel, parts))
                except ConnectionClosed:
                    # It may have left or not. A cell must not run twice; an answer that nobody waits for does no harm.
                    if channel is not Channel.SHELL:
                        self._outbox.appendleft((channel, parts))
                    return
            self._outbox_empty.set()
            self._outbox_filled.clear()
            await self._outbox_filled.wait()

    async def _connect_again(self) -> ClientConnection | None:
        """A new socket with the same session, so that the remote sends what it kept; None when there can be none."""
        self._numbers.note_cut()
        for pending in self._pending.values():
            pending.was_cut = True
        if self._closed:
            return None
        end = self._loop.time() + _RECONNECT_WAIT
        reason = ""
        for pause in _RECONNECT_PAUSES:
            if self._loop.time() + pause > end:
                break
            await asyncio.sleep(pause)
            try:
                async with asyncio.timeout_at(end):
                    ws = await self._connect()
            except FileNotFoundError:
                self._on_gone("gone: the remote Jupyter knows it no longer")
                return None
            except (ConnectionError, TimeoutError) as error:
                reason = str(error) or reason
                continue
            self.reconnects += 1
            get_logger().info("remote_reconnected", remote_kernel=self._kernel_id, pending=len(self._pending))
            if self._pending:
                self._ask()
            return ws
        self._on_gone(f"lost: {reason or 'the remote Jupyter does not answer'}")
        return None

    async def _poll(self) -> None:
        """Notice a kernel that ends without a word: deleted by somebody else, or culled."""
        while True:
            await asyncio.sleep(_POLL_INTERVAL)
            if not self._pending:
                continue
            with contextlib.suppress(ConnectionError):  # a remote that is away is the reconnecting's business
                state = await self._server.kernel_state(self._kernel_id)
                if state is None or state == "dead":
                    self._on_gone("gone: the remote Jupyter knows it no longer" if state is None else _DEAD)

    def _receive(self, channel: Channel, parts: Parts) -> None:
        message = self._session.parse_parts(channel, parts)
        msg_id = _header_decoder.decode(parts[0]).msg_id
        number = self._numbers.note(msg_id, is_iopub=channel is Channel.IOPUB)
        state = _state_of(message)
        if state in ("restarting", "dead") or (state == "starting" and self._ready.done()):
            self._on_gone(_DEAD if state == "dead" else "restarted by the remote Jupyter, after its process had ended")
            return
        if message.parent_id == self._probe and self._probe:
            self._note_probe(message, state, msg_id, number)
            return
        pending = self._pending.get(message.parent_id)
        if pending is None:
            if state:
                self._numbers.note_foreign(message.parent_id, state, number)
            self._listener(message)
            return
        self._note_pending(message, pending, state, number)

    def _note_pending(self, message: Message, pending: _Pending, state: str, number: int) -> None:
        pending.was_seen = True
        if message.channel is Channel.SHELL:
            pending.has_reply, pending.reply_number = True, number
        elif state == "idle":
            pending.idle = message
        is_idle = message is pending.idle
        if pending.idle is None or not pending.has_reply:
            # After a cut idle waits for the reply: all output has lower numbers than that, and is there before idle.
            if not (is_idle and pending.was_cut):
                self._listener(message)
            return
        del self._pending[message.parent_id]
        if not is_idle:
            self._listener(message)
        if pending.was_cut and not self._is_whole(pending.reply_number):
            self._listener(_error(message.parent_id, _LOST))
        if is_idle or pending.was_cut:
            self._listener(pending.idle)

    def _is_whole(self, below: int) -> bool:
        return self._numbers.are_known and not self._numbers.lost(below)

    def _note_probe(self, message: Message, state: str, msg_id: str, number: int) -> None:
        self._probe_replied |= message.channel is Channel.SHELL
        self._probe_idle |= state == "idle"
        if not (self._probe_replied and self._probe_idle):
            return
        self._probe = ""
        if not self._ready.done():
            self._numbers.begin(msg_id)
            self._ready.set_result(None)
            return
        for request_id, pending in list(self._pending.items()):
            if pending.was_cut:
                self._settle(request_id, pending, number)

    def _settle(self, request_id: str, pending: _Pending, number: int) -> None:
        """The kernel has answered what came behind this request: what is missing of it will not come."""
        if not pending.was_seen and self._is_whole(number) and pending.resends < _MAX_RESENDS:
            pending.resends += 1  # the kernel never got it: it can be sent again
            pending.was_cut = False
            self._put(Channel.SHELL, pending.parts)
            return
        del self._pending[request_id]
        if not (pending.has_reply and self._is_whole(pending.reply_number)):  # else no more than idle is missing
            self._listener(_error(request_id, _END_LOST))
        if not pending.has_reply:
            reply_type = pending.msg_type.replace("_request", "_reply")
            content = {"status": "error", "ename": "OutputLost", "evalue": _END_LOST, "traceback": []}
            self._listener(Message(Channel.SHELL, reply_type, request_id, content=content))
        self._listener(Message(Channel.IOPUB, "status", request_id, content={"execution_state": "idle"}))


_DEAD = "dead: its process ended, and the remote Jupyter could not restart it"


def _state_of(message: Message) -> str:
    if message.msg_type != "status" or message.channel is not Channel.IOPUB:
        return ""
    state = message.content.get("execution_state")
    return state if isinstance(state, str) else ""


def _error(request_id: str, text: str) -> Message:
    content = {"ename": "OutputLost", "evalue": text, "traceback": [f"OutputLost: {text}"]}
    return Message(Channel.IOPUB, "error", request_id, content=content)


@cache
def _prompt_connection() -> type[ClientConnection]:
    """A connection that acknowledges at once what it received. Jupyter's servers send a cell's messages as small packets, each
    of which waits for the acknowledgement of the one before, and a delayed one takes Linux 40 ms."""
    from websockets.asyncio.client import ClientConnection

    quick_ack = getattr(socket, "TCP_QUICKACK", None)  # Linux

    class Prompt(ClientConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self._acknowledge()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._acknowledge()

        def _acknowledge(self) -> None:
            sock = self.transport.get_extra_info("socket")
            if quick_ack is not None and sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
                with contextlib.suppress(OSError):  # closed meanwhile
                    sock.setsockopt(socket.IPPROTO_TCP, quick_ack, 1)  # Linux takes it back by itself

    return Prompt
