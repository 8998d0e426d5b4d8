"""A stream channel and the kernel's end of it, on both loops."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from engine.errors import MessageError
from engine.jupyter.frames import VERSION, Frame, FrameDecoder
from engine.jupyter.messages import Channel, Message
from engine.jupyter.values import Text
from engine.kernels.channels.stream import StreamChannels, stream_pair
from tests.harness.frames import encode_frame

HEAD = struct.pack("<IBBH", 24, VERSION, 1, 4)
STARTING = {"execution_state": "starting"}


@pytest.fixture(
    params=[("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"]
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


def message(
    msg_type: str, content: Any, *, parent: bytes = b"{}", channel: Channel = Channel.IOPUB, header: bytes = b""
) -> bytes:
    """A message as a kernel sends it."""
    head = header or json.dumps({"msg_id": "k1", "msg_type": msg_type}).encode()
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return encode_frame(channel, [head, parent, b"{}", body])


class Wire:
    """Channels, and the kernel's end of their socket in the hands of the test."""

    def __init__(self, *, learn_pid: bool = False) -> None:
        self.ours, self.peer = stream_pair(learn_pid=learn_pid)
        self.peer.setblocking(True)
        self.peer.settimeout(20)
        self.messages: list[Message] = []
        self.bad: list[str] = []
        self.broken: list[str] = []
        self.listener: Callable[[Message], None] = self.messages.append
        self._changed = asyncio.Event()
        self._decoder = FrameDecoder()
        self.channels = StreamChannels(self.ours, self)

    def receive(self, message: Message) -> None:
        self.listener(message)
        self._changed.set()

    def note_bad_message(self, error: MessageError) -> None:
        self.bad.append(error.message)
        self._changed.set()

    def note_broken(self, error: MessageError) -> None:
        self.broken.append(error.message)
        self._changed.set()

    async def start(self) -> Wire:
        self.peer.sendall(message("status", STARTING))
        async with asyncio.timeout(60):
            await self.channels.open()
        self.messages.clear()
        return self

    async def until(self, happened: Callable[[], Any]) -> None:
        async with asyncio.timeout(60):
            while not happened():
                self._changed.clear()
                await self._changed.wait()

    def texts(self) -> list[Any]:
        found = [each.content.get("text") for each in self.messages]
        return [str(text) if isinstance(text, Text) else text for text in found]

    def send(self, data: bytes) -> asyncio.Task[None]:
        """Send bytes, as a kernel does, in a thread."""
        return asyncio.create_task(asyncio.to_thread(self.peer.sendall, data))

    async def requests(self, count: int) -> list[Frame]:
        """Read so many requests, as a kernel does, in a thread."""
        return await asyncio.to_thread(self._read_requests, count)

    def _read_requests(self, count: int) -> list[Frame]:
        found: list[Frame] = []
        while len(found) < count:
            self._decoder.feed(self.peer.recv(1 << 18))
            while (frame := self._decoder.take()) is not None:
                found.append(frame)
        return found


@pytest.fixture
async def wire() -> AsyncIterator[Callable[..., Wire]]:
    wires: list[Wire] = []

    def make(**options: Any) -> Wire:
        wires.append(Wire(**options))
        return wires[-1]

    yield make
    for each in wires:
        await each.channels.aclose()
        each.peer.close()
