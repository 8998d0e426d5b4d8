"""The stream channel: one socket, a kernel at its other end that may send anything, and other work on the same loop."""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
import threading

import pytest

import engine.kernels.channels.stream
from engine.errors import MessageError
from engine.jupyter.frames import MAX_FRAME, VERSION
from engine.jupyter.messages import Channel
from engine.kernels.channels.turns import BUDGET, SLICE, Turns, _turns
from tests.harness.frames import encode_frame
from tests.unit.kernels.channels.conftest import HEAD, STARTING, message

pytestmark = pytest.mark.anyio


async def test_it_is_open_when_the_first_message_has_come(wire):
    made = wire()
    opening = asyncio.create_task(made.channels.open())
    await asyncio.wait({opening}, timeout=0.01)
    assert not opening.done()
    made.peer.sendall(message("status", STARTING))
    await asyncio.wait_for(opening, 60)
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
    bad = encode_frame(Channel.IOPUB, [header, b"{}", b"{}", b"{}"])
    made.peer.sendall(bad + message("stream", {}, parent=b"no JSON") + message("stream", {"text": "good"}))
    await made.until(lambda: made.messages)
    assert made.texts() == ["good"]
    assert len(made.bad) == 2
    assert all("bad header" in error for error in made.bad)
    assert made.broken == []


async def test_a_kernel_that_sends_nothing_but_bad_headers_is_broken(wire):
    made = await wire().start()
    made.peer.sendall(encode_frame(Channel.IOPUB, [b"", b"", b"", b""]) * 5000)
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


@pytest.mark.parametrize("size", [1, 3_000, 300_000])
async def test_a_flood_leaves_the_loop_to_others_after_each_turn(wire, size: int):
    ticks = itertools.count()
    _turns[asyncio.get_running_loop()] = Turns(asyncio.get_running_loop(), lambda: next(ticks) * SLICE / 10)
    flooding, other = await wire().start(), await wire().start()
    stop = threading.Event()
    piece = message("stream", {"text": "x" * size}) * max(1, 200_000 // (size + 100))

    def flood() -> None:
        while not stop.is_set():
            flooding.peer.sendall(piece)

    since: list[int] = []  # bytes, of each message that came since the other channels' last answer
    most: list[int] = []
    flooding.listener = lambda message: since.append(message.size)
    thread = threading.Thread(target=flood)
    thread.start()
    try:
        await flooding.until(lambda: len(since) > 30)
        for number in range(30):
            since.clear()
            other.peer.sendall(message("stream", {"text": number}))
            await other.until(lambda number=number: len(other.messages) > number)
            most.append(len(since))
    finally:
        stop.set()
        flooding.listener = lambda message: None
        await asyncio.to_thread(thread.join)
    assert other.texts() == list(range(30))
    assert max(most) <= 4 * 10 * BUDGET / SLICE  # of each turn, one look at the clock for each message
