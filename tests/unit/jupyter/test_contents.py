"""Contents by type: small ones are small, and what is large is read in steps and stays JSON."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from engine.errors import MessageError
from engine.jupyter import Channel, Json, Message, Session, Text
from engine.jupyter.mime import to_item

MANY = b"[" + b"[]," * 300_000 + b"[]]"


def message(msg_type: str, content: Any, **more: Any) -> Message:
    return Message(
        Channel.IOPUB,
        msg_type,
        "",
        content=content if isinstance(content, bytes) else json.dumps(content).encode(),
        **more,
    )


@pytest.mark.parametrize(
    ("msg_type", "content"),
    [
        ("status", b'{"execution_state":"busy","x":' + b"[" + b"[]," * 2000 + b"1]}"),
        ("clear_output", {"wait": True, "x": "x" * 5000}),
        ("complete_reply", {"x": "x" * 1_100_000}),
        ("comm_msg", b'{"data":' + MANY + b"}"),
        ("variables_reply", b'{"x":' + b"[" + b"[]," * 200_000 + b"1]}"),
    ],
)
def test_a_content_that_is_larger_than_its_type_may_be_is_not_parsed(msg_type: str, content: Any):
    made = message(msg_type, content)
    assert made.read() is None
    with pytest.raises(MessageError, match=r"more than|at most"):
        _ = made.content


@pytest.mark.parametrize("msg_type", ["display_data", "execute_result", "update_display_data"])
def test_json_in_a_display_is_not_parsed(msg_type: str):
    for value in (b'{"a":[1,{"b":2}]}', MANY):
        made = message(msg_type, b'{"data":{"application/json":' + value + b',"text/plain":"t"},"metadata":{"m":1}}')
        steps = made.read()
        assert (steps is None) == (value is not MANY)
        for _ in steps or ():
            pass
        found = made.content["data"]["application/json"]
        assert (found.raw() if isinstance(found, Json) else found) == msgspec.Raw(value)
        assert str(made.content["data"]["text/plain"]) == "t"


def test_a_large_message_is_read_in_steps_and_only_once():
    made = message("stream", {"name": "stderr", "text": "x" * 1_000_000})
    steps = made.read()
    assert steps is not None
    assert sum(1 for _ in steps) > 5
    assert made.read() is None
    assert made.content["name"] == "stderr"
    assert isinstance(made.content["text"], Text)
    assert str(made.content["text"]) == "x" * 1_000_000


def test_a_large_error_has_all_of_its_texts():
    made = message(
        "error", {"ename": "E", "evalue": "v" * 400_000, "traceback": ["a" * 400_000, "b", 3], "x": [1] * 100_000}
    )
    for _ in made.read() or ():
        pass
    content = made.content
    assert (content["ename"], str(content["evalue"])) == ("E", "v" * 400_000)
    assert [str(line) for line in content["traceback"]] == ["a" * 400_000, "b"]
    assert len(content["x"]) == 100_000


def test_a_display_has_a_bounded_number_of_mime_types():
    for count in (101, 100_000):
        made = message("display_data", {"data": {f"x/{number}": "" for number in range(count)}})
        for _ in made.read() or ():
            pass
        with pytest.raises(MessageError, match="more than 100"):
            _ = made.content


@pytest.mark.parametrize(
    "raw", [b'{"data":[1]}', b'{"data":null}', b'{"data":{},"transient":3,"execution_count":"x"}', b"{}"]
)
def test_a_display_whose_fields_are_of_other_types_is_read_all_the_same(raw: bytes):
    made = message("display_data", raw)
    for _ in made.read() or ():
        pass
    assert isinstance(made.content, dict)


def test_large_headers_and_metadata_are_refused():
    big = b'{"msg_id":"1","msg_type":"x","y":"' + b"y" * 70_000 + b'"}'
    small = b'{"msg_id":"1","msg_type":"x"}'
    for parts in ([big, b"{}", b"{}", b"{}"], [small, big, b"{}", b"{}"]):
        with pytest.raises(MessageError, match="bad header"):
            Session(b"").parse_parts(Channel.IOPUB, parts)
    with pytest.raises(MessageError, match="metadata of"):
        _ = message("stream", {}, metadata=b'{"a":"' + b"x" * 200_000 + b'"}').metadata


@pytest.mark.parametrize(("lists", "is_left_out"), [(900_000, False), (1_100_000, True)])
def test_json_with_very_many_lists_is_left_out_and_what_is_beside_it_stays(lists: int, is_left_out: bool):
    brackets = "[" * 300_000  # in a text they do not count
    value = b"[" + b",".join([b"[]"] * (lists - 1)) + b"]"
    raw = b'{"data":{"application/json":%s,"text/plain":"%s"},"metadata":{}}' % (value, brackets.encode())
    item, _ = to_item(message("display_data", raw).content["data"], is_primary=False, max_value_bytes=10**8)
    assert item.text == brackets
    assert item.omitted == ({"application/json": len(value)} if is_left_out else UNSET)


ODD_NUMBERS = ["1e999", "-1e400", "9" * 5000]


@pytest.mark.parametrize("number", ODD_NUMBERS)
@pytest.mark.parametrize("msg_type", ["comm_msg", "execute_reply", "stream", "error", "display_data"])
def test_a_number_that_nothing_can_hold_is_an_error_of_its_message_alone(msg_type: str, number: str):
    made = message(msg_type, b'{"transient":%s,"data":%s}' % (number.encode(), number.encode()))
    for _ in made.read() or ():
        pass
    with pytest.raises(MessageError, match="cannot be read"):
        _ = made.content


@pytest.mark.parametrize("number", ODD_NUMBERS)
@pytest.mark.parametrize("mime_type", ["application/json", "application/x-y", "text/plain", "e2b/data"])
def test_such_a_number_in_a_display_stays_json(mime_type: str, number: str):
    content = message("display_data", b'{"data":{"%s":%s}}' % (mime_type.encode(), number.encode())).content
    item, size = to_item(content["data"], is_primary=False, max_value_bytes=10**6)
    assert size == len(number)
    assert item.text == (number if mime_type == "text/plain" else UNSET)


def test_a_large_reply_keeps_what_was_asked_for():
    value = {"x": {"status": "ok", "data": {"text/plain": "y" * 700_000}}}
    content = message("execute_reply", {"status": "ok", "user_expressions": value, "payload": []}).content
    assert content["user_expressions"] == value


def test_a_long_prompt_is_a_prompt():
    content = message("input_request", {"prompt": "x" * 400_000, "password": False}).content
    assert str(content["prompt"]) == "x" * 400_000
