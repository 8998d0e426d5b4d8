"""Transports that join what is written in one turn of the loop to one write.

A write is a system call that wakes the client. Two of them cost a tenth of the server's time for a short answer, and a short cell
has five messages for a websocket."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.server.connections import Peer

_HEAD = b"HTTP/1.1 "
_LARGE = 64 * 1024  # bytes from which a copy costs more than a write


class Joiner(asyncio.Transport):
    """A transport that holds what is written until the next turn of the loop, or until it is large: then backpressure is felt."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._held: list[bytes | bytearray | memoryview[Any]] = []
        self._size = 0
        self._is_paused = False
        self._is_held = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._size + len(data) > _LARGE:
            self._flush()
            self._transport.write(data)
            return
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)
        self._size += len(data)

    def _flush(self) -> None:
        if self._held:
            held, self._held, self._size = self._held, [], 0
            if not self._transport.is_closing():  # as it is where the peer has left in this turn
                self._transport.write(b"".join(held))

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._held.clear()
        self._transport.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + self._size

    def pause_reading(self) -> None:
        self._set_reading(is_paused=True, is_held=self._is_held)

    def resume_reading(self) -> None:
        self._set_reading(is_paused=False, is_held=self._is_held)

    def hold_reading(self, is_held: bool) -> None:
        """Read nothing while this is so, whoever resumes reading."""
        self._set_reading(is_paused=self._is_paused, is_held=is_held)

    def _set_reading(self, *, is_paused: bool, is_held: bool) -> None:
        stopped = self._is_paused or self._is_held
        self._is_paused, self._is_held = is_paused, is_held
        if stopped is not (is_paused or is_held) and not self._transport.is_closing():
            (self._transport.resume_reading if stopped else self._transport.pause_reading)()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)


class HeadJoiner(Joiner):
    """One that holds the head of an answer, and that only until what follows it. `peer`: who is at its other end."""

    peer: Peer | None = None

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._held:
            super().write(data)
            self._flush()
        elif data[: len(_HEAD)] == _HEAD:
            super().write(data)
        else:
            self._transport.write(data)
