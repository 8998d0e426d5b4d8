"""The stream channel: one socket, a kernel at its other end that may send anything, and other work on the same loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import engine.kernels.channels.stream
from engine.errors import MessageError
from engine.jupyter.frames import MAX_FRAME, VERSION, Decoder, Frame, encode
from engine.jupyter.messages import Channel, Message
from engine.kernels.channels.stream import StreamChannels, stream_pair

pytestmark = pytest.mark.anyio

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
    return encode(channel, [head, parent, b"{}", body])


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
        self._decoder = Decoder()
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
        async with asyncio.timeout(10):
            await self.channels.open()
        self.messages.clear()
        return self

    async def until(self, happened: Callable[[], Any]) -> None:
        async with asyncio.timeout(60):
            while not happened():
                self._changed.clear()
                await self._changed.wait()

    def texts(self) -> list[Any]:
        return [each.content.get("text") for each in self.messages]

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


async def test_it_is_open_when_the_first_message_has_come(wire):
    made = wire()
    opening = asyncio.create_task(made.channels.open())
    await asyncio.wait({opening}, timeout=0.01)
    assert not opening.done()
    made.peer.sendall(message("status", STARTING))
    await asyncio.wait_for(opening, 10)
    assert made.messages[0].content == STARTING


async def test_messages_of_all_channels_arrive_in_the_order_they_were_sent(wire):
    made = await wire().start()
    order = [Channel.IOPUB, Channel.STDIN, Channel.IOPUB, Channel.SHELL, Channel.IOPUB, Channel.CONTROL]
    sent = [message("x", {"text": number}, channel=channel) for number, channel in enumerate(order)]
    made.peer.sendall(b"".join(sent))
    await made.until(lambda: len(made.messages) == len(order))
    assert [each.channel for each in made.messages] == order
    assert made.texts() == list(range(len(order)))


async def test_a_request_reaches_the_kernel_before_it_has_said_anything(wire):
    made = wire()
    msg_id = made.channels.send(Channel.SHELL, "execute_request", {"code": "π"}, metadata={"a": 1})
    ((channel, (header, parent, metadata, content)),) = await made.requests(1)
    assert channel is Channel.SHELL
    assert json.loads(header)["msg_id"] == msg_id
    assert json.loads(header)["msg_type"] == "execute_request"
    assert (parent, json.loads(metadata), json.loads(content)) == (b"{}", {"a": 1}, {"code": "π"})


async def test_an_answer_names_its_request_whether_the_header_is_repeated_or_written_anew(wire):
    made = await wire().start()
    msg_id = made.channels.send(Channel.SHELL, "execute_request", {})
    ((_, (header, *_)),) = await made.requests(1)
    anew = json.dumps(json.loads(header), indent=2).encode()
    made.peer.sendall(message("stream", {}, parent=header) + message("stream", {}, parent=anew))
    await made.until(lambda: len(made.messages) == 2)
    assert [each.parent_id for each in made.messages] == [msg_id, msg_id]


async def test_a_message_may_come_byte_by_byte(wire):
    made = await wire().start()
    for byte in message("stream", {"text": "slow"}):
        made.peer.send(bytes([byte]))
        await asyncio.sleep(0)
    await made.until(lambda: made.messages)
    assert made.texts() == ["slow"]


async def test_a_message_of_12_mb_arrives_whole(wire):
    made = await wire().start()
    text = "x" * 12_000_000
    sending = asyncio.create_task(asyncio.to_thread(made.peer.sendall, message("stream", {"text": text})))
    await made.until(lambda: made.messages)
    await sending
    assert made.texts() == [text]


HEAD = struct.pack("<IBBH", 24, VERSION, 1, 4)
JUNK = {
    "text": (b"Traceback (most recent call last):\n", "version"),
    "another version": (struct.pack("<IBBH", 24, 9, 1, 4), "version 9"),
    "a huge length": (struct.pack("<IBBH", MAX_FRAME + 1, VERSION, 1, 4), "bytes, more than"),
    "an unknown channel": (struct.pack("<IBBH", 24, VERSION, 9, 4), "channel 9"),
    "no parts": (struct.pack("<IBBH", 4, VERSION, 1, 0), "0 parts"),
    "a flood of zeros": (bytes(100_000), "version 0"),
    "a flood of empty frames": (struct.pack("<IBBH", 4, VERSION, 1, 0) * 10_000, "0 parts"),
    "too many parts": (struct.pack("<IBBH", 2**19, VERSION, 1, 2**16 - 1), "65535 parts"),
    "wrong sizes": (HEAD + struct.pack("<4I", 9, 9, 9, 9) + b"1234", "add up"),
}


@pytest.mark.parametrize("name", JUNK)
async def test_junk_breaks_the_stream_once_and_is_named(wire, name: str):
    junk, reason = JUNK[name]
    made = await wire().start()
    made.peer.sendall(message("stream", {"text": "before"}) + junk)
    await made.until(lambda: made.broken)
    made.peer.sendall(message("stream", {"text": "after"}))
    await made.channels.drain()
    assert made.texts() == ["before"]
    assert len(made.broken) == 1
    assert reason in made.broken[0]
    assert made.bad == made.broken


async def test_junk_instead_of_a_first_message_ends_the_wait_for_it(wire):
    made = wire()
    made.peer.sendall(b"ImportError: no module")
    with pytest.raises(MessageError, match="version"):
        await asyncio.wait_for(made.channels.open(), 10)


BAD_HEADERS = [b"", b"no JSON", b"[]", b"{}", b'{"msg_id":"1"}', b'{"msg_id":1,"msg_type":"x"}', b"\xff", b"[" * 90_000]


@pytest.mark.parametrize("header", BAD_HEADERS, ids=lambda header: repr(header[:20]))
async def test_a_message_with_a_bad_header_is_left_out_and_told_of(wire, header: bytes):
    made = await wire().start()
    bad = encode(Channel.IOPUB, [header, b"{}", b"{}", b"{}"])
    made.peer.sendall(bad + message("stream", {}, parent=b"no JSON") + message("stream", {"text": "good"}))
    await made.until(lambda: made.messages)
    assert made.texts() == ["good"]
    assert len(made.bad) == 2
    assert all("bad header" in error for error in made.bad)
    assert made.broken == []


async def test_a_kernel_that_sends_nothing_but_bad_headers_is_broken(wire):
    made = await wire().start()
    made.peer.sendall(encode(Channel.IOPUB, [b"", b"", b"", b""]) * 5000)
    await made.until(lambda: made.broken)
    assert "messages that are none" in made.broken[0]
    assert len(made.bad) == engine.kernels.channels.stream._MAX_BAD + 1


async def test_content_that_is_no_json_is_the_listeners_matter(wire):
    made = await wire().start()
    made.peer.sendall(message("stream", b"no JSON"))
    await made.until(lambda: made.messages)
    with pytest.raises(MessageError):
        _ = made.messages[0].content


@pytest.mark.parametrize(("left", "reason"), [(b"", "it closed its stream"), (HEAD, "in the middle of a message")])
async def test_the_end_of_the_stream_breaks_it_when_no_process_ends_with_it(
    wire, left: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine.kernels.channels.stream, "_END_WAIT", 0.01)
    made = await wire().start()
    made.peer.sendall(message("stream", {"text": "last"}) + left)
    made.peer.close()
    await made.until(lambda: made.broken)
    assert made.texts() == ["last"]
    assert reason in made.broken[0]


async def test_a_stream_that_ends_with_its_process_is_not_called_broken(wire):
    made = await wire().start()
    made.peer.close()
    await made.channels.drain()
    await made.channels.aclose()
    assert (made.bad, made.broken) == ([], [])


@pytest.mark.parametrize("size", [1, 3_000, 1_000_000])
async def test_a_flood_leaves_the_loop_to_others_after_each_batch(wire, size: int):
    flooding, other = await wire().start(), await wire().start()
    stop = threading.Event()
    piece = message("stream", {"text": "x" * size}) * max(1, 200_000 // (size + 100))

    def flood() -> None:
        while not stop.is_set():
            flooding.peer.sendall(piece)

    since: list[int] = []  # bytes, of each message that came since the other channels' last answer
    most: list[tuple[int, int]] = []
    flooding.listener = lambda message: since.append(message.size)
    thread = threading.Thread(target=flood)
    thread.start()
    try:
        await flooding.until(lambda: len(since) > 100 or (since and size > 100_000))
        for number in range(50):
            since.clear()
            other.peer.sendall(message("stream", {"text": number}))
            await other.until(lambda number=number: len(other.messages) > number)
            most.append((len(since), sum(since)))
    finally:
        stop.set()
        flooding.listener = lambda message: None
        await asyncio.to_thread(thread.join)
    assert other.texts() == list(range(50))
    assert max(count for count, _ in most) <= 3 * engine.kernels.channels.stream._BATCH
    assert max(total for _, total in most) <= 3 * max(engine.kernels.channels.stream._READ_BYTES, 2 * size)


async def test_a_kernel_that_is_not_read_from_waits_and_loses_nothing(wire):
    made = await wire().start()
    count, size = 5_000, 20_000
    pieces = [message("stream", {"text": number, "more": "x" * size}) for number in range(count)]
    blocked = threading.Event()

    def kernel() -> None:
        stream = memoryview(b"".join(pieces))
        made.peer.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                stream = stream[made.peer.send(stream) :]
        blocked.set()
        made.peer.settimeout(60)
        made.peer.sendall(stream)

    held: list[int] = []
    numbers: list[int] = []

    def hear(message: Message) -> None:
        numbers.append(message.content["text"])
        held.append(made.channels._decoder.held)

    made.listener = hear
    thread = threading.Thread(target=kernel)
    thread.start()
    assert blocked.wait(20)  # the loop stands still meanwhile, as it does for a client that takes its time
    await made.until(lambda: len(numbers) == count)
    thread.join()
    assert numbers == list(range(count))
    assert max(held) <= engine.kernels.channels.stream._READ_BYTES + 2 * size


async def test_requests_wait_for_a_kernel_that_does_not_read_and_go_in_order(wire):
    made = await wire().start()
    sent = [made.channels.send(Channel.SHELL, "execute_request", {"code": "x" * 300_000}) for _ in range(5)]
    await made.channels.flushed(0.01)
    assert made.channels._waiting_bytes > 0
    reading = asyncio.create_task(made.requests(5))
    await made.channels.flushed(20)
    assert made.channels._waiting_bytes == 0
    assert [json.loads(parts[0])["msg_id"] for _, parts in await reading] == sent


async def test_what_fits_into_the_socket_is_flushed_at_once(wire):
    made = await wire().start()
    made.channels.send(Channel.SHELL, "execute_request", {})
    await made.channels.flushed(0)
    assert made.channels._waiting_bytes == 0


async def test_a_kernel_that_never_reads_is_broken_at_a_limit(wire, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine.kernels.channels.stream, "_MAX_WAITING", 1_000_000)
    made = await wire().start()
    for _ in range(10):
        made.channels.send(Channel.SHELL, "execute_request", {"code": "x" * 300_000})
    assert len(made.broken) == 1
    assert "unread" in made.broken[0]
    assert made.channels._waiting_bytes == 0


@pytest.mark.parametrize("behind", [0, 2_000_000])
async def test_descriptors_go_with_their_request_and_may_be_closed_at_once(wire, behind: int):
    made = await wire().start()
    if behind:
        made.channels.send(Channel.SHELL, "execute_request", {"code": "x" * behind})
    read_end, write_end = os.pipe()
    made.channels.send(Channel.SHELL, "fork_request", {}, fds=[write_end])
    os.close(write_end)

    def kernel() -> tuple[list[Frame], list[int]]:
        found: list[Frame] = []
        fds: list[int] = []
        decoder = Decoder()
        while not fds:
            data, came, _, _ = socket.recv_fds(made.peer, 1 << 18, 4)
            fds += came
            decoder.feed(data)
            while (frame := decoder.take()) is not None:
                found.append(frame)
        return found, fds

    frames, fds = await asyncio.to_thread(kernel)
    assert json.loads(frames[-1].parts[0])["msg_type"] == "fork_request"
    os.write(fds[0], b"it works")
    os.close(fds[0])
    assert os.read(read_end, 100) == b"it works"
    assert os.read(read_end, 100) == b""  # no copy is left
    os.close(read_end)


@pytest.mark.parametrize("learn_pid", [False, True])
async def test_descriptors_of_a_kernel_are_never_accepted(wire, learn_pid: bool):
    made = wire(learn_pid=learn_pid)
    before = len(os.listdir("/proc/self/fd"))
    read_end, write_end = os.pipe()
    socket.send_fds(made.peer, [message("status", STARTING)], [write_end, write_end])
    await made.channels.open()
    socket.send_fds(made.peer, [message("stream", {"text": "more"})], [write_end])
    await made.until(lambda: len(made.messages) == 2)
    os.close(write_end)
    assert os.read(read_end, 1) == b""
    os.close(read_end)
    assert len(os.listdir("/proc/self/fd")) <= before + 3  # the loop's own


async def test_the_process_that_sent_the_first_message_is_known_when_it_was_asked_for(wire):
    made = wire(learn_pid=True)
    said = message("status", STARTING).hex()
    code = f"import os; os.write({made.peer.fileno()}, bytes.fromhex({said!r}))"
    child = subprocess.Popen([sys.executable, "-c", code], pass_fds=[made.peer.fileno()])
    await asyncio.wait_for(made.channels.open(), 20)
    assert made.channels.peer_pid == child.pid
    made.peer.sendall(message("stream", {"text": "somebody else"}))
    await made.until(lambda: len(made.messages) == 2)
    assert made.channels.peer_pid == child.pid
    child.wait()


async def test_the_process_is_not_known_when_it_was_not_asked_for(wire):
    made = await wire().start()
    assert made.channels.peer_pid is None


@pytest.mark.parametrize("is_held_open", [False, True])
async def test_what_a_dead_kernel_had_sent_is_delivered(wire, is_held_open: bool):
    made = await wire().start()
    made.peer.sendall(b"".join(message("stream", {"text": number}) for number in range(150)) + HEAD)
    if not is_held_open:  # else: by a process that the kernel had started
        made.peer.close()
    await made.channels.drain()
    assert made.texts() == list(range(150))


async def test_a_drain_ends_in_spite_of_a_process_that_goes_on_sending(wire):
    made = await wire().start()
    stop, begun = threading.Event(), threading.Event()

    def flood() -> None:
        while not stop.is_set():
            made.peer.sendall(message("stream", {"text": "x"}) * 100)
            begun.set()

    thread = threading.Thread(target=flood)
    thread.start()
    assert begun.wait(20)
    try:
        await asyncio.wait_for(made.channels.drain(), 20)
    finally:
        stop.set()
        while thread.is_alive():
            await made.channels.drain()
    assert made.messages


async def test_a_request_to_a_kernel_that_is_gone_is_no_error(wire):
    made = await wire().start()
    made.peer.close()
    assert made.channels.send(Channel.SHELL, "execute_request", {})
    await made.channels.flushed(0)


async def test_closed_channels_take_requests_to_nowhere_and_close_again(wire):
    made = await wire().start()
    read_end, write_end = os.pipe()
    made.channels.send(Channel.SHELL, "execute_request", {"code": "x" * 2_000_000})
    made.channels.send(Channel.SHELL, "fork_request", {}, fds=[write_end])
    os.close(write_end)
    await made.channels.aclose()
    await made.channels.aclose()
    assert os.read(read_end, 1) == b""
    os.close(read_end)
    made.channels.send(Channel.SHELL, "execute_request", {})
    await made.channels.flushed(10)
    await made.channels.drain()
    assert made.ours.fileno() == -1
