"""A stream whose other end is slow, silent or gone, and descriptors that go with a request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading

import pytest

import engine.kernels.channels.stream
from engine.jupyter.frames import Frame, FrameDecoder
from engine.jupyter.messages import Channel, Message
from engine.kernels.channels.stream import stream_pair
from tests.unit.kernels.channels.conftest import HEAD, STARTING, message

pytestmark = pytest.mark.anyio
SO_PASSRIGHTS = 83


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
    assert max(held) <= engine.kernels.channels.stream.READ_BYTES + 2 * size


async def test_requests_wait_for_a_kernel_that_does_not_read_and_go_in_order(wire):
    made = await wire().start()
    sent = [made.channels.send(Channel.SHELL, "execute_request", {"code": "x" * 300_000}) for _ in range(5)]
    await made.channels.flushed(0.01)
    assert made.channels._waiting.size > 0
    reading = asyncio.create_task(made.requests(5))
    await made.channels.flushed(20)
    assert made.channels._waiting.size == 0
    assert [json.loads(parts[0])["msg_id"] for _, parts in await reading] == sent


async def test_what_fits_into_the_socket_is_flushed_at_once(wire):
    made = await wire().start()
    made.channels.send(Channel.SHELL, "execute_request", {})
    await made.channels.flushed(0)
    assert made.channels._waiting.size == 0


async def test_a_kernel_that_never_reads_is_broken_at_a_limit(wire, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine.kernels.channels.stream, "_MAX_WAITING", 1_000_000)
    made = await wire().start()
    for _ in range(10):
        made.channels.send(Channel.SHELL, "execute_request", {"code": "x" * 300_000})
    assert len(made.broken) == 1
    assert "unread" in made.broken[0]
    assert made.channels._waiting.size == 0


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
        decoder = FrameDecoder()
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
    with contextlib.suppress(OSError):  # as Linux before 6.16, which refuses none
        made.ours.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 1)
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


async def test_a_kernel_cannot_send_descriptors_where_linux_can_refuse_them():
    ours, theirs = stream_pair()
    with ours, theirs:
        try:
            refuses = ours.getsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS) == 0
        except OSError:
            pytest.skip("Linux before 6.16")
        assert refuses
        with pytest.raises(PermissionError):
            socket.send_fds(theirs, [b"x"], [theirs.fileno()])
        socket.send_fds(ours, [b"x"], [ours.fileno()])
        data, fds, _, _ = socket.recv_fds(theirs, 1, 1)
        os.close(fds[0])
        assert data == b"x"


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


@pytest.mark.parametrize("step", ["feed", "take"])
async def test_a_message_for_which_there_is_no_memory_breaks_the_stream_and_says_so(
    wire, step: str, monkeypatch: pytest.MonkeyPatch
):
    made = await wire().start()

    def refuse(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(made.channels._decoder, step, refuse)
    made.peer.sendall(message("stream", {"text": "a"}))
    await made.until(lambda: made.broken)
    assert made.broken == ["the server has no memory for its message"]
