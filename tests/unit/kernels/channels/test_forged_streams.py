"""Frames that a kernel's code forged: each ends in a clear outcome, and the kernel's next message, or another kernel, goes on."""

from __future__ import annotations

import json
import os
import struct

import pytest

from engine.errors import MessageError
from engine.jupyter.frames import VERSION
from engine.jupyter.messages import Channel
from tests.harness.frames import encode_frame
from tests.unit.kernels.channels.conftest import Wire, message

pytestmark = pytest.mark.anyio
LISTS = b"[" + b"[]," * 400_000 + b"[]]"
HEAD = b'{"msg_id":"1","msg_type":"stream"}'

REFUSED = {
    "a status of many lists": message("status", b'{"execution_state":"busy","x":' + LISTS + b"}"),
    "a comm of many lists": message("comm_msg", b'{"data":' + LISTS + b"}"),
    "nested too deep": message("display_data", b'{"data":{"application/json":' + b"[" * 500_000 + b"]" * 500_000 + b"}}"),
    "cut off": message("display_data", b'{"data":{"application/json":' + LISTS),
    "a million MIME types": message("display_data", b'{"data":{' + b",".join(b'"x/%d":1' % n for n in range(200_000)) + b"}}"),
    "a million members": message("error", b"{" + b",".join(b'"%d":1' % n for n in range(200_000)) + b"}"),
    "a long name": message("stream", b'{"' + b"n" * 500_000 + b'":1}'),
    "no object": message("stream", b"[" + b"1," * 300_000 + b"1]"),
    "bytes": message("stream", os.urandom(400_000)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_a_content_that_cannot_be_read_is_refused_and_the_next_is_taken(wire, name: str):
    made: Wire = await wire().start()
    sending = made.send(REFUSED[name] + message("stream", {"text": "next"}))
    await made.until(lambda: len(made.messages) == 2)
    await sending
    with pytest.raises(MessageError):
        _ = made.messages[0].content
    assert made.messages[1].content == {"text": "next"}
    assert made.broken == []


TAKEN = {
    "lists": (b'{"data":{"application/json":' + LISTS + b"}}", LISTS),
    "numbers": (b'{"data":{"application/json":[' + b"1," * 500_000 + b"1]}}", b"[" + b"1," * 500_000 + b"1]"),
    "NaN": (
        b'{"data":{"application/json":[' + b"NaN," * 200_000 + b"NaN]}}",
        b"[" + b'"NaN",' * 200_000 + b'"NaN"]',
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
async def test_a_large_display_is_passed_on_unparsed_and_others_are_heard_meanwhile(wire, name: str):
    content, expected = TAKEN[name]
    made, other = await wire().start(), await wire().start()
    sending = made.send(message("display_data", content))
    heard = 0
    while not made.messages:
        other.peer.sendall(message("stream", {"text": heard}))
        await other.until(lambda heard=heard: len(other.messages) > heard)
        heard += 1
    await sending
    value = made.messages[0].content["data"]["application/json"]
    assert b"".join(value.parts) == expected
    assert heard > 3


@pytest.mark.parametrize(
    "header",
    [
        b'{"msg_id":"1","msg_type":"stream","x":' + LISTS + b"}",
        b'{"msg_id":"' + b"1" * 100_000 + b'","msg_type":"stream"}',
        b"[" * 100_000,
    ],
    ids=["lists", "long", "deep"],
)
async def test_a_large_header_is_a_bad_message(wire, header: bytes):
    made: Wire = await wire().start()
    for parts in ([header, b"{}", b"{}", b"{}"], [HEAD, header, b"{}", b"{}"]):
        await made.send(encode_frame(Channel.IOPUB, parts))
    await made.send(message("stream", {"text": "next"}))
    await made.until(lambda: made.messages)
    assert [each.startswith("bad header") for each in made.bad] == [True, True]


async def test_a_frame_of_many_buffers_is_taken(wire):
    made: Wire = await wire().start()
    await made.send(encode_frame(Channel.IOPUB, [HEAD, b"{}", b"{}", b"{}", *[b"x"] * 1000]))
    await made.until(lambda: made.messages)
    assert len(made.messages[0].parts()) == 1004


async def test_a_frame_that_never_ends_holds_only_what_came(wire):
    made: Wire = await wire().start()
    made.peer.sendall(struct.pack("<IBBH", 60_000_000, VERSION, 1, 4) + b"x" * 1000)
    other: Wire = await wire().start()
    await other.send(message("stream", {"text": "heard"}))
    await other.until(lambda: other.messages)
    assert made.channels._decoder.held <= 2000
    assert json.dumps(made.broken) == "[]"
