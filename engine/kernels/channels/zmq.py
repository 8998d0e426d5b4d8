"""The zmq channel: any Jupyter kernel, over ipc or tcp. One reader per kernel on the loop's own file descriptors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import zmq

from engine.errors import MessageError
from engine.jupyter import DELIMITER, Channel, Message, Session
from engine.kernels.channels.channels import NO_MEMORY, Channels, Receiver
from engine.kernels.channels.ipc import IpcSockets
from engine.kernels.channels.turns import Turn, turns_of

# Jupyter messaging protocol, "Wire protocol": the names of the ports in connection info
_PORTS = {
    Channel.SHELL: "shell_port",
    Channel.IOPUB: "iopub_port",
    Channel.STDIN: "stdin_port",
    Channel.CONTROL: "control_port",
}
_NUDGE_INTERVAL = 0.5  # seconds between kernel_info requests to a kernel that does not greet (ipykernel before 7)
_LARGE = 256 * 1024  # bytes of a message that is read in steps
_BACKLOG = 64  # messages of a kernel that waits for us
_RECONNECT_MS = 5
_LOOK_SECONDS = (0.005, 0.5)  # between looks for a socket that is not there yet: the first time, and the longest
_HANDSHAKE_TIMEOUT = 5.0  # seconds


class ZmqChannels(Channels):
    """Sockets to the ports of `connection_info`.

    `kernel_waits`: the kernel sends no more than we read, so that a bounded backlog loses nothing. The others drop what does
    not fit, silently, and for those everything is taken in."""

    def __init__(
        self,
        connection_info: Mapping[str, Any],
        receiver: Receiver,
        *,
        context: zmq.Context[zmq.Socket[bytes]],
        kernel_waits: bool = False,
    ) -> None:
        super().__init__(receiver)
        self._info = connection_info
        self._iopub_backlog = _BACKLOG if kernel_waits else 0
        self._context = context
        self._hand_over = receiver.receive
        key = connection_info.get("key", b"")
        self._session = Session(key if isinstance(key, bytes) else str(key).encode())
        self._identity = self._session.id.encode()
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[Channel, zmq.Socket[bytes]] = {}
        self._ipc = IpcSockets(str(connection_info["ip"])) if connection_info["transport"] == "ipc" else None
        self._waiting: dict[Channel, list[Sequence[bytes]]] = {}  # what is sent to sockets that are not there yet
        self._heard: asyncio.Future[None] = self._loop.create_future()  # iopub reaches us
        self._answered: asyncio.Future[None] = self._loop.create_future()  # shell reaches the kernel
        self._greeted = False
        self._turns = turns_of(self._loop)
        self._has_backlog = False  # it waits for its next turn
        self._drain_scheduled = False
        self._closed = False
        self._stdin_changed = asyncio.Event()

    async def open(self) -> None:
        """Wait for the kernel's greeting (`iopub_welcome`, JEP 65), or nudge it until it answers on shell and iopub."""
        self._connect(Channel.IOPUB)
        self._connect(Channel.SHELL)
        self._drain()
        while not self._greeted:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_NUDGE_INTERVAL):
                    await asyncio.shield(self._heard)
                    if not self._greeted:
                        await asyncio.shield(self._answered)
                    return
            self.send(Channel.SHELL, "kernel_info_request", {})

    async def open_stdin(self) -> None:
        """Return once the kernel has taken the connection, or the channels are closed: it has died."""
        if self._closed or Channel.STDIN in self._sockets:
            return
        socket = self._connect(Channel.STDIN, connect=False)
        monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._loop.add_reader(_fd(monitor), self._stdin_changed.set)
        try:
            self._dial(Channel.STDIN)
            async with asyncio.timeout(_HANDSHAKE_TIMEOUT):
                while not self._closed and not _is_readable(monitor):
                    self._stdin_changed.clear()
                    await self._stdin_changed.wait()
        finally:
            self._loop.remove_reader(_fd(monitor))
            if not socket.closed:
                socket.disable_monitor()
            monitor.close(0)

    def send(
        self,
        channel: Channel,
        msg_type: str,
        content: Any,
        *,
        metadata: Mapping[str, Any] | None = None,
        fds: Sequence[int] = (),
    ) -> str:
        assert not fds, "zmq carries no descriptors"
        msg_id, frames = self._session.build(msg_type, content, metadata=metadata)
        self._put(channel, frames)
        return msg_id

    def forward(self, channel: Channel, parts: Sequence[bytes]) -> None:
        self._put(channel, [DELIMITER, self._session.sign(parts[:4]), *parts])

    def _put(self, channel: Channel, frames: Sequence[bytes]) -> None:
        if self._closed:  # a socket that is made now would stay, and the end of the zmq context waits for all of them
            return
        socket = self._sockets.get(channel) or self._connect(channel)
        if channel in self._waiting:
            self._waiting[channel].append(frames)
            return
        socket.send_multipart(frames, copy=True)
        # The descriptor is edge-triggered and sending consumes edges: look once ourselves.
        self._schedule_drain()

    async def drain(self) -> None:
        for _ in range(5):
            self._drain()
            await asyncio.sleep(0.01)
        self._drain()

    async def aclose(self) -> None:
        self._closed = True
        self._stdin_changed.set()
        while self._sockets:
            _, socket = self._sockets.popitem()
            self._loop.remove_reader(_fd(socket))
            socket.close(0)
        self._waiting.clear()
        if self._ipc is not None:
            self._ipc.close()
        for future in (self._heard, self._answered):
            future.cancel()

    def _connect(self, channel: Channel, *, connect: bool = True) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.SUB if channel is Channel.IOPUB else zmq.DEALER)
        socket.linger = 0
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, self._iopub_backlog if channel is Channel.IOPUB else 0)
        socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        if channel is Channel.IOPUB:
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        else:
            socket.setsockopt(zmq.ROUTING_ID, self._identity)  # the kernel asks for input at the shell's identity
        self._sockets[channel] = socket
        self._loop.add_reader(_fd(socket), self._drain)
        if connect:
            self._dial(channel)
        return socket

    def _dial(self, channel: Channel, pause: float = _LOOK_SECONDS[0]) -> None:
        """Connect, if need be as soon as the kernel's socket is there: what is sent waits until then."""
        if self._closed:
            return
        port = self._info[_PORTS[channel]]
        if self._ipc is None:
            self._sockets[channel].connect(f"tcp://{self._info['ip']}:{port}")
            return
        try:
            path = self._ipc.find(port)
        except OSError as error:
            self._waiting.setdefault(channel, [])  # for good
            self._receiver.note_broken(MessageError(f"its socket cannot be reached: {error.strerror}"))
            return
        if path is None:
            self._waiting.setdefault(channel, [])
            self._loop.call_later(pause, self._dial, channel, min(2 * pause, _LOOK_SECONDS[1]))
            return
        self._sockets[channel].connect(f"ipc://{path}")
        for frames in self._waiting.pop(channel, ()):
            self._put(channel, frames)

    def _schedule_drain(self) -> None:
        if not self._drain_scheduled:
            self._drain_scheduled = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        """Read every socket until it is empty: the descriptor says nothing again before that."""
        self._drain_scheduled = False
        if not self._has_backlog:
            self._turns.give(self)

    def deliver(self, turn: Turn) -> bool:
        """Hand over what has come, from one socket after the other, for as long as the turn lasts."""
        received = self._has_backlog = True
        while received and not self._closed:
            received = False
            for channel, socket in list(self._sockets.items()):
                if self._reading is None and (socket.closed or not _is_readable(socket)):
                    continue
                received = True
                self._receive(channel, socket)
                if turn.is_over:
                    return True
        self._has_backlog = False
        return False

    def _receive(self, channel: Channel, socket: zmq.Socket[bytes]) -> None:
        """Go on with the message that is being read, or read another."""
        try:
            if self._reading is None:
                frames = socket.recv_multipart(zmq.NOBLOCK)
                if sum(map(len, frames)) > _LARGE:
                    self._reading = self._session.parse_large(channel, frames)
                    return
                message: Message | None = self._session.parse(channel, frames)
            else:
                message = self._read_on()
        except MessageError as error:
            self._receiver.note_bad_message(error)
            return
        except MemoryError:
            self._receiver.note_bad_message(MessageError(NO_MEMORY))
            return
        if message is not None:
            self._note_first(message)
            self._hand_over(message)

    def _note_first(self, message: Message) -> None:
        if message.channel is Channel.IOPUB and not self._heard.done():
            self._greeted = message.msg_type == "iopub_welcome"
            self._heard.set_result(None)
        elif message.channel is Channel.SHELL and not self._answered.done():
            self._answered.set_result(None)


def _fd(socket: zmq.Socket[bytes]) -> int:
    fd = socket.getsockopt(zmq.FD)
    assert isinstance(fd, int)
    return fd


def _is_readable(socket: zmq.Socket[bytes]) -> bool:
    """Whether a message waits; asking also arms the socket's descriptor."""
    events = socket.getsockopt(zmq.EVENTS)
    assert isinstance(events, int)
    return bool(events & zmq.POLLIN)
