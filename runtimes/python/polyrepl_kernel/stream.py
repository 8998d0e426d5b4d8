"""The stream transport: all channels over one unix socket (the frames are described in ``runtimes/README.md``)."""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .lifetime import end_process_group
from .protocol import Request
from .reserve import end_without_memory

if TYPE_CHECKING:
    from .kernel import Kernel

FRAME_VERSION = 1
_HEAD = struct.Struct("<IBBH")
_MESSAGE_PARTS = 4
_READ_BYTES = 1 << 18
_HOLD_BYTES = 1 << 16  # waiting messages are sent when they reach this size
_COPY_BYTES = 1 << 16  # larger frames are sent part by part instead of being joined
_MAX_FDS = 16
_ANCILLARY = socket.CMSG_SPACE(_MAX_FDS * 4)
_RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)


class StreamTransport:
    """Sends from any thread, in order, and blocks while the client is behind: nothing is dropped.

    `receive` may be called from any thread, too; the order of requests is kept."""

    is_shared = True  # by all channels
    interrupts_early = True  # the client sends the signal right after the request

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(True)
        self._socket = sock
        self._buffer = bytearray()
        self._fds: list[int] = []  # of the frame that is arriving
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._send_lock = threading.RLock()
        self._receive_lock = threading.Lock()

    def fileno(self) -> int:
        """The descriptor to watch for requests."""
        return self._socket.fileno()

    def start(self, kernel: Kernel) -> None:
        """End with the client, also while user code runs."""
        kernel.helper.add_hangup(self.fileno(), end_process_group)

    @property
    def locks(self) -> tuple[Any, ...]:
        """Held while messages are sent and received."""
        return (self._send_lock, self._receive_lock)

    def send(self, channel: int, parts: Sequence[bytes], idents: Sequence[bytes] = (), *, hold: bool = False) -> None:
        """Send a message; with `hold` it may wait for the next one. Raises OSError when the client is gone."""
        sizes = [len(part) for part in parts]
        count = len(parts)
        length = 4 + 4 * count + sum(sizes)
        with self._send_lock:
            # In one step: a MemoryError must not leave half of a frame.
            self._waiting += [
                _HEAD.pack(length, FRAME_VERSION, channel, count),
                struct.pack(f"<{count}I", *sizes),
                *parts,
            ]
            self._waiting_bytes += length
            if not hold or self._waiting_bytes > _HOLD_BYTES:
                self.flush()

    def flush(self) -> None:
        """Send what waits."""
        with self._send_lock:
            if not self._waiting:
                return
            waiting, self._waiting = self._waiting, []
            size, self._waiting_bytes = self._waiting_bytes, 0
            try:
                self._send_all(waiting, size)
            except MemoryError:  # half of a frame may be sent
                end_without_memory()

    def _send_all(self, parts: list[bytes], size: int) -> None:
        if size <= _COPY_BYTES:
            self._send_joined(parts)
            return
        small: list[bytes] = []
        for part in parts:
            if len(part) < _COPY_BYTES:
                small.append(part)
                continue
            self._send_joined(small)
            small.clear()
            self._socket.sendall(part)
        self._send_joined(small)

    def _send_joined(self, parts: list[bytes]) -> None:
        try:
            joined = b"".join(parts)
        except MemoryError:
            for part in parts:
                self._socket.sendall(part)
        else:
            self._socket.sendall(joined)

    @property
    def has_partial(self) -> bool:
        """Whether a request has begun to arrive."""
        return bool(self._buffer)

    def wait(self, timeout: float) -> None:
        """Return when something can be received, or after `timeout` seconds."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        poller.poll(timeout * 1000)

    def receive(self) -> list[Request]:
        """The requests that have arrived. Raises EOFError when the client is gone, ValueError for what is no frame.

        A frame whose header cannot be read is dropped: there is nobody to answer."""
        with self._receive_lock:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(
                    _READ_BYTES, _ANCILLARY, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return []
            if not data:
                raise EOFError
            # Descriptors end what one call receives, so they belong to the last frame that has begun.
            held, self._fds = self._fds, []
            arrived = [fd for level, kind, payload in ancillary if (level, kind) == _RIGHTS for fd in _unpack(payload)]
            self._buffer += data
            requests = self._take()
            if requests:
                requests[0].fds = held
                if not self._buffer:
                    requests[-1].fds = [*requests[-1].fds, *arrived]
                    return requests
                held = []
            self._fds = [*held, *arrived]
            return requests

    def _take(self) -> list[Request]:
        buffer = self._buffer
        requests: list[Request] = []
        start = 0
        while len(buffer) - start >= _HEAD.size:
            length, version, channel, count = _HEAD.unpack_from(buffer, start)
            if version != FRAME_VERSION:
                msg = f"frame version {version}"
                raise ValueError(msg)
            if len(buffer) - start - 4 < length:
                break
            if count < _MESSAGE_PARTS:
                msg = f"a frame of {count} parts"
                raise ValueError(msg)
            sizes = struct.unpack_from(f"<{count}I", buffer, start + _HEAD.size)
            at = start + _HEAD.size + 4 * count
            parts = []
            for size in sizes:
                parts.append(bytes(buffer[at : at + size]))
                at += size
            start += 4 + length
            with suppress(ValueError):
                requests.append(Request(channel, parts))
        del buffer[:start]
        return requests

    def forget(self) -> None:
        """Drop what belongs to another process after a fork: the socket, and what was to be sent or received on it."""
        self._send_lock = threading.RLock()
        self._receive_lock = threading.Lock()
        self._waiting.clear()
        self._waiting_bytes = 0
        self._buffer.clear()
        while self._fds:
            os.close(self._fds.pop())
        self._socket.close()

    def close(self) -> None:
        """Close the socket; the client sees the end."""
        self._socket.close()


def _unpack(payload: bytes) -> tuple[int, ...]:
    return struct.unpack(f"{len(payload) // 4}i", payload)
