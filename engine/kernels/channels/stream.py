"""The stream channel: all channels to one of our own kernels in one unix socket, frames as engine.jupyter.frames has them.

What the kernel sends keeps its order across channels, and a kernel that is ahead of us waits in its own write: nothing is dropped,
and nothing is held here but the message that is arriving. The kernel runs code of strangers: nothing it sends is trusted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import MessageError
from engine.jupyter import MAX_FRAME, Channel, Frame, FrameDecoder, Session, frame_pieces
from engine.kernels.channels.channels import NO_MEMORY, Channels, Receiver
from engine.kernels.channels.turns import READ_BYTES, Turn, turns_of

_MAX_WAITING = MAX_FRAME  # bytes that a kernel has not read yet
_MAX_BAD = 100  # messages that are none before a kernel counts as broken
_END_WAIT = 1.0  # seconds from the end of the stream to the end of the process; it tells more than "closed"
_DRAIN_BYTES = 1024 * 1024  # more than a socket holds
_PASS_RIGHTS = 83  # SO_PASSRIGHTS, Linux 6.16: with 0 nobody can send descriptors to us
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


def stream_pair(*, learn_pid: bool = False) -> tuple[socket.socket, socket.socket]:
    """Make a stream: our end and the kernel's. `learn_pid`: the channels shall say which process sent the first message."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    with contextlib.suppress(OSError):
        ours.setsockopt(socket.SOL_SOCKET, _PASS_RIGHTS, 0)
    if learn_pid:  # before the other side can send: what is sent earlier carries no credentials
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


class StreamChannels(Channels):
    """A conversation over `sock`, our end of a `stream_pair`, which is closed with it.

    What breaks the stream is reported as a bad message, too."""

    signals_overtake = False

    def __init__(self, sock: socket.socket, receiver: Receiver) -> None:
        super().__init__(receiver)
        self._socket = sock
        self._hand_over = receiver.receive
        self._session = Session(b"")
        self._decoder = FrameDecoder()
        self._loop = asyncio.get_running_loop()
        self._heard = asyncio.Event()  # a message came, or none ever will
        self._learns_pid = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED))
        self._turns = turns_of(self._loop)
        self._has_backlog = False  # what has been read is not delivered yet
        self._is_paused = False
        self._bad = 0
        self._error: MessageError | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._waiting = _Waiting()
        self._flushed = asyncio.Event()
        self._flushed.set()

    async def open(self) -> None:
        """Wait for the first message (the status `starting`): a kernel is at the other end."""
        if not self._is_over:
            self._loop.add_reader(self._socket.fileno(), self._readable)
        await self._heard.wait()
        if self._error is not None:
            raise self._error

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
        """The caller may close `fds` at once. A kernel that leaves too much unread counts as broken."""
        msg_id, parts = self._session.build_parts(msg_type, content, metadata=metadata)
        self._put(frame_pieces(channel, parts), fds)
        return msg_id

    def forward(self, channel: Channel, parts: Sequence[bytes]) -> None:
        self._put(frame_pieces(channel, parts), ())

    def pause(self, paused: bool) -> None:
        if paused == self._is_paused or self._is_over or self._end_timer is not None:
            return
        self._is_paused = paused
        if paused:
            self._loop.remove_reader(self._socket.fileno())
        else:
            self._loop.add_reader(self._socket.fileno(), self._readable)

    def _put(self, pieces: Sequence[bytes], fds: Sequence[int]) -> None:
        """Descriptors go with the first piece. What the socket has no room for waits."""
        for piece in pieces:
            if self._is_over:
                return
            sent = self._write(piece, fds) if not self._waiting else 0
            if sent < len(piece):
                self._enqueue(memoryview(piece)[sent:], fds if sent == 0 else ())
            fds = ()

    async def flushed(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._flushed.wait()

    async def drain(self) -> None:
        """A dead kernel's last bytes are in the socket already; where it is empty, nothing more will come."""
        left = _DRAIN_BYTES
        while not self._is_over:
            if not self._has_backlog:
                received = self._read() if left > 0 else 0
                if received == 0:
                    return
                left -= received
                self._turns.give(self)
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        self._is_closed = True
        self._stop()
        self._socket.close()

    @property
    def _is_over(self) -> bool:
        return self._is_closed or self._error is not None

    def _readable(self) -> None:
        if not self._has_backlog and self._read():  # what waits in the socket waits for what has been read
            self._turns.give(self)

    def _read(self) -> int:
        """Take in what has come, up to a limit; returns how many bytes that was."""
        if self._end_timer is not None:
            return 0
        try:
            data = self._receive_bytes()
            self._decoder.feed(data)
        except BlockingIOError:
            return 0
        except MemoryError:
            self._break(MessageError(NO_MEMORY))
            return 0
        except ConnectionResetError:  # it ended with a request unread
            data = b""
        if not data:
            self._note_end()
            return 0
        return len(data)

    def _receive_bytes(self) -> bytes:
        """Descriptors that a kernel sends are never taken: there is no room for them, and the system closes them.

        That can take as long as the kernel wants (SO_LINGER), unless it cannot send any."""
        if not self._learns_pid:
            size = self._socket.recv_into(self._turns.buffer)
            return bytes(self._turns.buffer[:size])
        data, ancillary, _, _ = self._socket.recvmsg(READ_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                self.peer_pid = _CREDENTIALS.unpack(payload)[0]
        self._learns_pid = False
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        return data

    def deliver(self, turn: Turn) -> bool:
        """Hand over the messages that have been read, for as long as the turn lasts."""
        self._has_backlog = True
        while not self._is_over:
            if not self._take():
                break
            if turn.is_over:
                return True
        self._has_backlog = False
        return False

    def _take(self) -> bool:
        """Do the next step of the work on what has been read; returns whether there was one."""
        try:
            if self._reading is not None:
                message = self._read_on()
                if message is not None:
                    self._hand_over(message)
                return True
            frame = self._decoder.take()
            if frame is not None:
                self._receive(frame)
            return frame is not None
        except MessageError as error:
            self._break(error)
        except MemoryError:
            self._break(MessageError(NO_MEMORY))
        return False

    def _receive(self, frame: Frame) -> None:
        try:
            message = self._session.parse_parts(frame.channel, frame.parts)
        except MessageError as error:
            self._bad += 1
            if self._bad > _MAX_BAD:
                self._break(MessageError(f"more than {_MAX_BAD} messages that are none; the last: {error.message}"))
            else:
                self._receiver.note_bad_message(error)
            return
        self._heard.set()
        self._reading = message.read()
        if self._reading is None:
            self._hand_over(message)

    def _note_end(self) -> None:
        """Mostly the process is ending, and how it does is the better reason: time for that, before this one is given."""
        self._loop.remove_reader(self._socket.fileno())
        where = " in the middle of a message" if self._decoder.held else ""
        self._end_timer = self._loop.call_later(_END_WAIT, self._end, MessageError(f"it closed its stream{where}"))

    def _end(self, error: MessageError) -> None:
        if self._has_backlog:
            self._end_timer = self._loop.call_later(_END_WAIT, self._end, error)
        else:
            self._break(error)

    def _break(self, error: MessageError) -> None:
        if self._is_over:
            return
        self._error = error
        self._stop()
        self._receiver.note_bad_message(error)
        self._heard.set()
        self._receiver.note_broken(error)

    def _stop(self) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
        self._waiting.clear()
        self._flushed.set()

    def _write(self, data: bytes | memoryview, fds: Sequence[int]) -> int:
        """Send what fits; returns how many bytes that was. Descriptors go with the first of them."""
        try:
            return socket.send_fds(self._socket, [data], list(fds)) if fds else self._socket.send(data)
        except BlockingIOError:
            return 0
        except ConnectionError:  # it is ending, and that ends what was asked of it
            return len(data)

    def _enqueue(self, data: memoryview, fds: Sequence[int]) -> None:
        if self._waiting.size + len(data) > _MAX_WAITING:
            self._break(MessageError(f"it leaves {self._waiting.size} bytes of requests unread"))
            return
        if not self._waiting:
            self._loop.add_writer(self._socket.fileno(), self._writable)
            self._flushed.clear()
        self._waiting.append(data, fds)

    def _writable(self) -> None:
        self._waiting.advance(self._write(*self._waiting.first))
        if not self._waiting:
            self._loop.remove_writer(self._socket.fileno())
            self._flushed.set()


class _Waiting:
    """Bytes for which the socket has no room yet, with the descriptors that go along: copies, which are closed with them."""

    def __init__(self) -> None:
        self.size = 0
        self._pieces: deque[tuple[memoryview, list[int]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._pieces)

    @property
    def first(self) -> tuple[memoryview, list[int]]:
        return self._pieces[0]

    def append(self, data: memoryview, fds: Sequence[int]) -> None:
        self._pieces.append((data, [os.dup(fd) for fd in fds]))
        self.size += len(data)

    def advance(self, sent: int) -> None:
        """So many bytes of the first piece have been sent, and its descriptors with them."""
        if sent == 0:
            return
        data = self._pop()
        if sent < len(data):
            self._pieces.appendleft((data[sent:], []))
            self.size += len(data) - sent

    def clear(self) -> None:
        while self._pieces:
            self._pop()

    def _pop(self) -> memoryview:
        data, fds = self._pieces.popleft()
        self.size -= len(data)
        for fd in fds:
            os.close(fd)
        return data
