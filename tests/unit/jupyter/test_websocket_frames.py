"""Messages on a websocket come back as they were sent, in both protocols, and what is none is refused."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import MessageError
from engine.jupyter.messages import Channel
from engine.jupyter.websocket_frames import Parts, decode_v1, encode_legacy, encode_v1
from engine.jupyter.websocket_frames import decode_legacy as steps_of_legacy
from tests.harness.steps import finished

PARTS = [b'{"msg_id":"a"}', b"{}", b'{"k":"v"}', '{"text":"ä 漢"}'.encode()]


def decode_legacy(data: str | bytes) -> tuple[Channel, Parts]:
    return read(data)[0]


def read(data: str | bytes) -> tuple[tuple[Channel, Parts], int]:
    """The message, and the number of steps that it took."""
    return finished(steps_of_legacy(data))


@given(st.sampled_from(Channel), st.lists(st.binary(max_size=20), min_size=4, max_size=8))
def test_a_message_of_the_newer_protocol_comes_back(channel: Channel, parts: list[bytes]) -> None:
    assert decode_v1(encode_v1(channel, parts)) == (channel, parts)


@pytest.mark.parametrize("channel", Channel)
def test_a_message_of_the_older_protocol_comes_back(channel: Channel) -> None:
    assert decode_legacy(encode_legacy(channel, PARTS)) == (channel, PARTS)


def test_buffers_of_the_older_protocol_are_parts() -> None:
    parts = [*PARTS, b"xy", b"rest"]
    assert decode_legacy(encode_legacy(Channel.IOPUB, parts)) == (Channel.IOPUB, parts)
    text = str(encode_legacy(Channel.IOPUB, PARTS)).encode()
    head = struct.pack("!4I", 3, 16, 16 + len(text), 16 + len(text) + 2)
    assert decode_legacy(head + text + b"xyrest") == (Channel.IOPUB, [*PARTS, b"xy", b"rest"])


def test_what_pythons_encoder_lets_through_is_read() -> None:
    text = json.dumps({"channel": "iopub", "header": {"msg_id": "a"}, "content": {"a": float("nan"), "b": "\ud800"}})
    channel, parts = decode_legacy(text)
    assert (channel, json.loads(parts[3])["a"]) == (Channel.IOPUB, "NaN")


def test_a_large_message_of_the_older_protocol_is_read_in_steps() -> None:
    lines = {"list": [float("nan")] * 200_000, "text": "é\ud800" * 100_000}
    text = json.dumps({"buffers": [], "channel": "iopub", "header": {"msg_id": "a"}, "content": lines})
    (channel, parts), steps = read(text)
    assert (channel, parts[:3]) == (Channel.IOPUB, [b'{"msg_id": "a"}', b"{}", b"{}"])
    assert json.loads(parts[3]) == {"list": ["NaN"] * 200_000, "text": "é?" * 100_000}
    assert steps > len(text) // (128 * 1024)
    for wrong in (text[:-1], text.replace('"iopub"', "1"), text.replace('"channel"', '"c"'), text + "x"):
        with pytest.raises(MessageError):
            decode_legacy(wrong)


@given(st.binary(max_size=100))
def test_bytes_that_are_no_message_are_an_error_of_ours(data: bytes) -> None:
    for decode in (decode_v1, decode_legacy):
        try:
            decode(data)
        except MessageError:
            continue


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        struct.pack("<Q", 2**63),
        struct.pack("<7Q", 6, 56, 1, 2, 3, 4, 5),
        struct.pack("<7Q", 6, *[900] * 6),
    ],
)
def test_offsets_that_do_not_fit_are_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        decode_v1(data)


def test_an_unknown_channel_is_refused_by_name() -> None:
    with pytest.raises(MessageError, match="hb"):
        decode_legacy('{"channel":"hb","header":{}}')
