"""A websocket's frames: what clients send is read leniently, or refused by the name of the field."""

from __future__ import annotations

import contextlib
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidRequest
from engine.jupyter.client_frames import V1, Outgoing, read_frame
from engine.jupyter.messages import Channel
from engine.jupyter.websocket_frames import encode_v1

HEADER = {"msg_id": "m", "msg_type": "execute_request", "session": "s", "username": "", "date": "d", "version": "5.3"}
PARTS = [json.dumps(HEADER).encode(), b"{}", b'{"a":1}', b'{"code":"1"}']


def default(**changes: object) -> str:
    message = {"header": HEADER, "parent_header": {}, "metadata": {}, "content": {"code": "1"}, "channel": "shell"}
    return json.dumps({**message, **changes})


def test_the_default_form_is_read():
    message = read_frame(default(), None)
    assert (message.channel, message.msg_id, message.msg_type, message.is_cell) == (
        Channel.SHELL, "m", "execute_request", True,
    )  # fmt: skip
    assert message.content == {"code": "1"}


def test_a_message_without_a_channel_is_for_the_shell():
    assert read_frame(json.dumps({"header": HEADER}), None).channel is Channel.SHELL


def test_a_minimal_header_is_completed():
    header = {"msg_type": "execute_request", "session": "", "version": "5.0"}
    message = read_frame(default(header=header, buffers={}), None)
    completed = json.loads(message.parts[0])
    assert completed["msg_id"] == message.msg_id != ""
    assert (completed["version"], completed["session"]) == ("5.0", "")


def test_type_and_id_may_stand_beside_the_header():
    message = read_frame(default(header={}, msg_type="comm_msg", msg_id="x"), None)
    assert (message.msg_type, message.msg_id) == ("comm_msg", "x")


@pytest.mark.parametrize("buffers", [[], [b"\x00\xff"], [b"", b"abc"]])
@pytest.mark.parametrize("subprotocol", [None, V1])
def test_what_is_written_is_read_with_its_buffers(subprotocol: str | None, buffers: list[bytes]):
    data = Outgoing(Channel.SHELL, [*PARTS, *buffers]).encode(subprotocol)
    message = read_frame(data, subprotocol)
    assert [json.loads(part) for part in message.parts[:4]] == [json.loads(part) for part in PARTS]
    assert message.parts[4:] == buffers


def test_both_forms_have_what_clients_read():
    message = Outgoing(Channel.IOPUB, PARTS)
    assert isinstance(message.encode(V1), bytes)
    body = json.loads(message.encode(None))
    assert (body["channel"], body["msg_id"], body["msg_type"], body["buffers"]) == ("iopub", "m", "execute_request", [])
    assert body["header"] == HEADER


def test_what_no_browser_reads_is_made_valid():
    message = Outgoing(Channel.IOPUB, [PARTS[0], b"{}", b"{}", b'{"x": NaN, "y": "\xff"}'])
    assert json.loads(message.encode(None))["content"]["x"] == "NaN"


def test_a_large_message_is_made_valid_in_steps_that_all_clients_share():
    content = b'{"x": [' + b"NaN," * 200_000 + b'NaN], "y": "\xff"}'
    message = Outgoing(Channel.IOPUB, [PARTS[0], b"{}", b"{}", content])
    assert list(message.prepare(V1)) == []
    one, other = message.prepare(None), message.prepare(None)
    next(one)
    assert sum(1 for _ in other) > 10
    assert list(one) == []
    assert json.loads(message.encode(None))["content"] == {"x": ["NaN"] * 200_001, "y": "\ufffd"}


def test_a_large_content_that_is_no_json_is_left_out():
    message = Outgoing(Channel.IOPUB, [PARTS[0], b"{}", b"{}", b"[" * 500_000])
    assert json.loads(message.encode(None))["content"] == {}


@pytest.mark.parametrize(
    ("data", "subprotocol", "named"),
    [
        ("", None, "frame"),
        ("[]", None, "frame"),
        ("{", None, "frame"),
        ("{}", None, "header.msg_type"),
        (default(channel="iopub"), None, "channel"),
        (default(channel="heart"), None, "channel"),
        (default(channel=3), None, "channel"),
        (default(header={"msg_type": 3}), None, "header.msg_type"),
        (default(header="x"), None, "header"),
        (default(content=[1]), None, "content"),
        (b"", None, "frame"),
        (struct.pack("!II", 1, 4), None, "frame"),
        (struct.pack("!III", 2, 12, 8) + b"{}", None, "frame"),
        ("text", V1, "frame"),
        (b"\xff" * 8, V1, "frame"),
        (encode_v1(Channel.SHELL, PARTS[:3]), V1, "frame"),
        (encode_v1(Channel.SHELL, [b"{", *PARTS[1:]]), V1, "header"),
        (encode_v1(Channel.SHELL, [*PARTS[:3], b"3"]), V1, "content"),
    ],
)
def test_what_is_wrong_is_named(data: str | bytes, subprotocol: str | None, named: str):
    with pytest.raises(InvalidRequest) as caught:
        read_frame(data, subprotocol)
    assert caught.value.errors[0].field == named


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)), st.sampled_from([None, V1]))
def test_no_bytes_do_anything_else(data: str | bytes, subprotocol: str | None):
    with contextlib.suppress(InvalidRequest):
        read_frame(data, subprotocol)


@given(st.integers(0, 200), st.binary(max_size=8), st.sampled_from([None, V1]))
def test_a_damaged_frame_is_read_or_refused(at: int, damage: bytes, subprotocol: str | None):
    data = Outgoing(Channel.SHELL, [*PARTS, b"buffer"]).encode(subprotocol)
    assert isinstance(data, bytes)
    with contextlib.suppress(InvalidRequest):
        read_frame(data[:at] + damage + data[at + len(damage) :], subprotocol)
