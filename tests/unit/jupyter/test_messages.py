"""Jupyter messages: what we build is what Jupyter reads, and whatever a kernel sends is a message or a MessageError."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.session import Session as JupyterSession

from engine.errors import MessageError
from engine.jupyter.messages import DELIMITER, EMPTY, Channel, Message, Session

KEY = b"a secret"


def frames_of(content: bytes, *, header: bytes = b'{"msg_id":"1","msg_type":"stream"}', parent: bytes = EMPTY):
    session = Session(KEY)
    parts = [header, parent, EMPTY, content]
    return [DELIMITER, session.sign(parts), *parts]


def test_a_jupyter_client_session_reads_what_we_build():
    msg_id, frames = Session(KEY).build("execute_request", {"code": "π"}, metadata={"env_vars": {"A": "1"}})
    theirs = JupyterSession(key=KEY)
    message = theirs.deserialize(theirs.feed_identities(frames)[1])
    assert message["header"]["msg_id"] == msg_id
    assert message["header"]["msg_type"] == "execute_request"
    assert message["content"] == {"code": "π"}
    assert message["metadata"] == {"env_vars": {"A": "1"}}


def test_we_read_what_a_jupyter_client_session_builds():
    theirs = JupyterSession(key=KEY)
    message = theirs.msg("stream", {"name": "stdout", "text": "é"}, parent={"msg_id": "parent"}, metadata={"a": 1})
    read = Session(KEY).parse(Channel.IOPUB, [b"topic", *theirs.serialize(message), b"buffer"])
    assert (read.channel, read.msg_type, read.parent_id) == (Channel.IOPUB, "stream", "parent")
    assert read.content == {"name": "stdout", "text": "é"}
    assert read.metadata == {"a": 1}
    assert list(read.buffers) == [b"buffer"]


def test_message_ids_are_never_used_twice():
    session = Session(KEY)
    assert len({session.build("x", {})[0] for _ in range(100)} | {Session(KEY).build("x", {})[0]}) == 101


def test_without_a_key_messages_are_unsigned():
    _, frames = Session(b"").build("x", {"a": 1})
    assert frames[1] == b""
    assert Session(b"").parse(Channel.SHELL, frames).content == {"a": 1}


@pytest.mark.parametrize("index", range(2, 6))
def test_a_changed_part_is_noticed(index: int):
    frames = frames_of(b'{"a":1}')
    frames[index] = frames[index] + b" "
    with pytest.raises(MessageError, match="signature"):
        Session(KEY).parse(Channel.IOPUB, frames)


def test_a_message_signed_with_another_key_is_refused():
    with pytest.raises(MessageError, match="signature"):
        Session(b"another").parse(Channel.IOPUB, frames_of(b"{}"))


@pytest.mark.parametrize("frames", [[], [b"x"], [DELIMITER], [DELIMITER, b"", b"", b"", b""]])
def test_too_few_frames_are_no_message(frames: list[bytes]):
    with pytest.raises(MessageError):
        Session(b"").parse(Channel.IOPUB, frames)


@pytest.mark.parametrize(
    "header", [b"", b"[]", b"{}", b'{"msg_id":1,"msg_type":"x"}', b"\xff", b'{"msg_id":"a"}', b"null"]
)
def test_a_bad_header_is_a_message_error(header: bytes):
    with pytest.raises(MessageError):
        Session(KEY).parse(Channel.IOPUB, frames_of(b"{}", header=header))


def test_a_message_without_a_parent_has_an_empty_parent_id():
    assert Session(KEY).parse(Channel.IOPUB, frames_of(b"{}")).parent_id == ""
    assert Session(KEY).parse(Channel.IOPUB, frames_of(b"{}", parent=b'{"x":1}')).parent_id == ""


@pytest.mark.parametrize("content", [b"", b"[]", b"1", b'"x"', b"null", b"{", b"nonsense"])
def test_content_that_is_no_object_is_a_message_error_when_it_is_used(content: bytes):
    message = Session(KEY).parse(Channel.IOPUB, frames_of(content))
    with pytest.raises(MessageError):
        _ = message.content


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a":"\xff"}', "\ufffd"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "-Infinity"),
    ],
)
def test_what_kernels_send_in_spite_of_json_is_made_valid(raw: bytes, expected: str):
    assert Message(Channel.IOPUB, "x", "", content=raw).content == {"a": expected}


def test_a_lone_surrogate_is_replaced():
    content = Message(Channel.IOPUB, "x", "", content=b'{"a":["\\ud800b"]}').content
    json.dumps(content, ensure_ascii=False).encode()
    assert content["a"][0].endswith("b")


@pytest.mark.parametrize("depth", [1_000, 1_100, 5_000, 200_000])
def test_content_nested_too_deep_is_a_message_error(depth: int):
    raw = b'{"a":' * depth + b"1" + b"}" * depth
    with pytest.raises(MessageError):
        _ = Message(Channel.IOPUB, "x", "", content=raw).content


def test_content_of_more_lists_than_it_may_have_is_a_message_error():
    raw = b'{"a":[' + b"[]," * 4_000_001 + b"[]]}"
    with pytest.raises(MessageError, match="at most"):
        _ = Message(Channel.IOPUB, "x", "", content=raw).content


def test_a_header_nested_too_deep_is_a_message_error():
    depth = 2_000_000  # more than the C stack holds, which is what counts from Python 3.14 on
    header = b'{"msg_id":"1","msg_type":"x","more":' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(MessageError, match="bad header"):
        Session(KEY).parse(Channel.IOPUB, frames_of(b"{}", header=header))


def test_a_parent_is_found_by_the_bytes_of_the_request_or_by_reading_it():
    session = Session(b"")
    sent = [session.build_parts("x", {}) for _ in range(1_000)]
    for msg_id, (header, *_) in (sent[0], sent[-1]):
        reply = session.parse_parts(Channel.SHELL, [b'{"msg_id":"1","msg_type":"y"}', header, EMPTY, EMPTY])
        assert reply.parent_id == msg_id
    assert len(session._sent) < 200


def test_a_message_shows_its_channel_type_and_parent():
    assert repr(Message(Channel.IOPUB, "stream", "p1")) == "<Message iopub stream of p1>"
    assert repr(Message(Channel.SHELL, "x", "")) == "<Message shell x of ->"


@given(st.lists(st.one_of(st.binary(max_size=40), st.just(DELIMITER), st.just(EMPTY)), max_size=10))
def test_any_frames_are_a_message_or_a_message_error(frames: list[bytes]):
    try:
        message = Session(b"").parse(Channel.IOPUB, frames)
        assert isinstance(message.content, dict)
        assert isinstance(message.metadata, dict)
    except MessageError:
        pass


@given(st.one_of(st.binary(), st.recursive(st.none() | st.floats() | st.text(), lambda c: st.lists(c)).map(repr)))
def test_any_bytes_as_content_are_an_object_or_a_message_error(raw: bytes | str):
    content = b'{"a":' + (raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")) + b"}"
    with contextlib.suppress(MessageError):
        json.dumps(Message(Channel.IOPUB, "x", "", content=content).content, ensure_ascii=False).encode()


@given(
    st.dictionaries(
        st.text(), st.recursive(st.none() | st.text() | st.integers(), lambda c: st.lists(c), max_leaves=10), max_size=5
    )
)
def test_what_one_side_builds_the_other_reads(content: dict):
    _, frames = Session(KEY).build("x", content)
    assert Session(KEY).parse(Channel.SHELL, [b"identity", *frames]).content == content
