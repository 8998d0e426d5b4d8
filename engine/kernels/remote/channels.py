"""The websocket channel: a kernel on a remote Jupyter. One socket carries all channels, and is replaced when it is cut.

The remote keeps what a kernel sends while nobody is connected, for the session that comes back; what was under way when the socket was
cut is the business of the conversation."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import MessageError
from engine.jupyter import (
    V1,
    Channel,
    Message,
    Parts,
    Session,
    Steps,
    decode_legacy,
    decode_v1,
    encode_legacy,
    encode_v1,
)
from engine.kernels.channels import Channels, Receiver
from engine.kernels.remote.conversation import DEAD, GONE, Conversation
from engine.kernels.remote.provisioner import RemoteProvisioner
from engine.kernels.remote.server import RemoteServer
from engine.kernels.remote.socket import open_websocket
from engine.log import get_logger

if TYPE_CHECKING:  # an optional dependency, loaded when it is needed
    from websockets.asyncio.client import ClientConnection

_RECONNECT_PAUSES = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0)  # seconds before each attempt
_RECONNECT_WAIT = 20.0  # seconds that all attempts may take
_POLL_INTERVAL = 3.0  # seconds between questions whether the kernel of a running request is still there
_NUDGE_INTERVAL = 1.0  # seconds before an unanswered question is put again, and twice as long each time
Value = TypeVar("Value")
_PAUSE = 0.25  # seconds between looks at a replay


class RemoteChannels(Channels):
    """The channels of the kernel `kernel_id` at `server`, as RemoteProvisioner's connection info names them.

    The `provisioner` there ends the kernel once it is no longer of use: it is gone, was restarted, or cannot be reached again."""

    def __init__(self, info: Mapping[str, Any], receiver: Receiver, /, *, kernel_waits: bool = False) -> None:
        super().__init__(receiver)
        self._server: RemoteServer = info["server"]
        self._kernel_id: str = info["kernel_id"]
        self._provisioner: RemoteProvisioner = info["provisioner"]
        self._session = Session(b"")
        self._loop = asyncio.get_running_loop()
        self._outbox: deque[tuple[Channel, Parts]] = deque()
        self._outbox_filled = asyncio.Event()
        self._outbox_empty = asyncio.Event()
        self._going_on = asyncio.Event()
        self._going_on.set()
        self._answered = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._closed = False
        self._conversation = Conversation(self._session, self)

    async def open(self) -> None:
        """Connect, ask the kernel something until it answers on shell and iopub, and have it keep its messages if it can."""
        try:
            ws = await open_websocket(self._server, self._kernel_id, self._session.id)
        except (ConnectionError, FileNotFoundError) as error:
            raise MessageError(str(error)) from None
        self._runner = asyncio.create_task(self._run(ws))
        talk = self._conversation
        interval = _NUDGE_INTERVAL
        while not talk.is_ready:
            talk.probe()
            await self._wait_for_answer(interval)
            interval *= 2
        if talk.is_ipython:
            self._answered.clear()
            interval = _NUDGE_INTERVAL
            while not self._answered.is_set():
                talk.ask_to_keep()
                await self._wait_for_answer(interval)
                interval *= 2

    async def _wait_for_answer(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._answered.wait()

    def deliver(self, message: Message) -> None:
        self._receiver.receive(message)

    def note_answer(self) -> None:
        self._answered.set()

    def note_end(self, reason: str) -> None:
        self._provisioner.end(reason)

    def schedule_look(self) -> None:
        self._loop.call_later(_PAUSE, self._conversation.look_after_replay)

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
        self._conversation.note_sent(channel, parts)
        self.put(channel, parts)
        return msg_id

    def forward(self, channel: Channel, parts: Sequence[bytes]) -> None:
        self._conversation.note_sent(channel, list(parts))
        self.put(channel, list(parts))

    def pause(self, paused: bool) -> None:
        (self._going_on.clear if paused else self._going_on.set)()

    def put(self, channel: Channel, parts: Parts) -> None:
        self._outbox.append((channel, parts))
        self._outbox_empty.clear()
        self._outbox_filled.set()

    async def flushed(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._outbox_empty.wait()

    async def drain(self) -> None:
        self._conversation.release()

    async def aclose(self) -> None:
        self._closed = True
        self._conversation.close()
        if self._runner is not None and self._runner is not asyncio.current_task():
            self._runner.cancel()
            await asyncio.wait({self._runner})

    async def _run(self, ws: ClientConnection | None) -> None:
        poller = asyncio.create_task(self._poll())
        try:
            while ws is not None:
                await self._talk(ws)
                ws = await self._connect_again()
        except Exception:
            get_logger().exception("remote_channels_failed", remote_kernel=self._kernel_id)
            self._provisioner.end("left, as the engine failed to read its messages")
        finally:
            poller.cancel()
            if ws is not None:
                await asyncio.shield(ws.close())

    async def _talk(self, ws: ClientConnection) -> None:
        """Send and receive until the socket is cut."""
        from websockets.exceptions import ConnectionClosed

        is_v1 = ws.subprotocol == V1
        writer = asyncio.create_task(self._write(ws, is_v1=is_v1))
        try:
            async for data in ws:
                try:
                    message = await _in_turns(self._read_message(data, is_v1=is_v1))
                    await _in_turns(self._conversation.receive(message))
                except MessageError as error:
                    self._receiver.note_bad_message(error)
                if not self._going_on.is_set():
                    await self._going_on.wait()
        except ConnectionClosed:
            pass
        finally:
            writer.cancel()
            await asyncio.wait({writer})

    def _read_message(self, data: str | bytes, *, is_v1: bool) -> Steps[Message]:
        if is_v1 and isinstance(data, bytes):
            channel, parts = decode_v1(data)
        else:
            channel, parts = yield from decode_legacy(data)
        message = self._session.parse_parts(channel, parts)
        steps = message.read()
        return message if steps is None else (yield from steps)

    async def _write(self, ws: ClientConnection, *, is_v1: bool) -> None:
        from websockets.exceptions import ConnectionClosed

        while True:
            while self._outbox:
                channel, parts = self._outbox.popleft()
                try:
                    await ws.send(encode_v1(channel, parts) if is_v1 else encode_legacy(channel, parts))
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
        self._conversation.note_cut()
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
                    ws = await open_websocket(self._server, self._kernel_id, self._session.id)
            except FileNotFoundError:
                self._provisioner.end(GONE)
                return None
            except (ConnectionError, TimeoutError) as error:
                reason = str(error) or reason
                continue
            get_logger().info("remote_reconnected", remote_kernel=self._kernel_id, pending=len(self._conversation))
            self._conversation.note_connected()
            return ws
        self._provisioner.end(f"lost: {reason or 'the remote Jupyter does not answer'}")
        return None

    async def _poll(self) -> None:
        """Notice a kernel that ends without a word: deleted by somebody else, or culled."""
        while True:
            await asyncio.sleep(_POLL_INTERVAL)
            if not self._conversation:
                continue
            with contextlib.suppress(ConnectionError):  # a remote that is away is the reconnecting's business
                state = await self._server.kernel_state(self._kernel_id)
                if state is None or state == "dead":
                    self._provisioner.end(GONE if state is None else DEAD)


async def _in_turns(steps: Steps[Value]) -> Value:
    """What the steps return. Others have their turn between two of them."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: Value = end.value
            return value
        await asyncio.sleep(0)
