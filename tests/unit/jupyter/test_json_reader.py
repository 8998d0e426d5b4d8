"""JSON in steps: what is JSON is read as it is, what is not is refused, and no step is long."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.jupyter.json_reader
from engine.errors import MessageError
from engine.jupyter.json_reader import MAX_DEPTH, JsonReader
from tests.harness.steps import finished

LONG = engine.jupyter.json_reader._LONG


def read(raw: bytes) -> Any:
    reader = JsonReader(memoryview(raw))
    value, _ = finished(reader.json())
    reader.end()
    return json.loads(bytes(value.raw()))


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine.jupyter.json_reader, "_PIECE", 64)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(-9, 9, width=16) | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=5),
    max_leaves=30,
)


@given(values, st.booleans())
def test_json_is_read_as_it_is_wherever_the_pieces_end(value: Any, ascii_only: bool):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.jupyter.json_reader, "_PIECE", 64)
        assert read(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(values, st.integers(0, 400), st.sampled_from([b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b"1", b"x", b""]))
def test_what_is_no_json_is_refused_as_a_parser_does(value: Any, place: int, junk: bytes):
    raw = json.dumps(value).encode()
    raw = raw[: place % len(raw)] + junk + raw[place % len(raw) + 1 :]
    try:
        json.loads(raw)
        expected = True
    except ValueError:
        expected = False
    found = False
    with contextlib.suppress(MessageError):
        read(raw)
        found = True
    assert found == expected


@pytest.mark.parametrize(
    "raw", [b"", b"[", b'"', b"[1,]", b"[1 2]", b'{"a"}', b'{"a":1,}', b"[[]", b"[}", b"tru", b"01", b'["\\x"]']
)
@pytest.mark.usefixtures("small_pieces")
def test_pieces_of_what_is_no_json_are_refused(raw: bytes):
    for text in (raw, b'["a long text before it", ' + raw + b"]"):
        with pytest.raises(MessageError):
            read(text)


def test_numbers_and_bytes_that_json_does_not_have_become_valid():
    raw = b'[NaN, -Infinity, {"a": Infinity}, "NaN", "\xff", "\\ud800", "\\ud83d\\ude00"]'
    assert read(raw) == ["NaN", "-Infinity", {"a": "Infinity"}, "NaN", "\ufffd", "?", "😀"]


@pytest.mark.parametrize("raw", [b"[" * 201 + b"]" * 201, b'{"a":' * 201 + b"1" + b"}" * 201, b"[" * 1_000_000])
def test_what_is_nested_too_deep_is_refused(raw: bytes):
    with pytest.raises(MessageError, match="deep"):
        read(raw)
    assert read(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


LARGE = {
    "lists": b"[" + b"[]," * 300_000 + b"[]]",
    "numbers": b"[" + b"1," * 500_000 + b"1]",
    "nested": b"[" + b"[[[[]]]]," * 100_000 + b"1]",
    "one string": b'"' + b"\\n" * 500_000 + b'"',
    "strings": b'["' + b'","' * 300_000 + b'"]',
    "members": b"{" + b",".join(b'"%d":1' % number for number in range(100_000)) + b"}",
    "a string of brackets": b'["' + b"[" * 1_000_000 + b'"]',
}


@pytest.mark.parametrize("name", LARGE)
def test_a_step_reads_no_more_than_a_piece(name: str):
    value, steps = finished(JsonReader(LARGE[name]).json())
    assert value.raw() == msgspec.Raw(LARGE[name])
    assert steps >= len(LARGE[name]) // LONG
    assert max(map(len, value.parts)) <= LONG + 1


def test_a_text_is_read_in_parts():
    text = "é😀\n" * 300_000
    found, _ = finished(JsonReader(json.dumps(text).encode()).text())
    assert str(found) == text
    assert found.size == len(text.encode())
    assert len(found.parts) > 2


def test_members_and_elements_are_counted():
    reader = JsonReader(b'{"a":1,"b":2,"c":3}')
    names = []
    with pytest.raises(MessageError, match="more than 2 members"):
        names.extend(name for name in reader.names(2) if finished(reader.json()))
    reader = JsonReader(b"[1,2,3]")
    with pytest.raises(MessageError, match="more than 2 elements"):
        names.extend("" for _ in reader.elements(2) if finished(reader.json()))


@pytest.mark.parametrize("end", [engine.jupyter.json_reader._ESCAPED, LONG], ids=["after escapes", "plain"])
@pytest.mark.parametrize("token", ["\\n", '\\"', "\\\\", "\\u00e9", "\\ud83d\\ude00", "é", "😀"])
def test_a_string_is_cut_between_characters(token: str, end: int):
    escape = "\\t" if end < LONG else ""
    for place in range(14):
        raw = f'"{escape}{"x" * (end - place - len(escape))}{token * 3}","'.encode()
        found, _ = finished(JsonReader(memoryview(raw)).text())
        assert str(found) == json.loads(raw[:-2])
        assert found.size == len(str(found).encode())


@pytest.mark.parametrize("wrong", [b"\n", b"\\x", b"\\u12", b"\\ud83d\\u12"])
def test_a_long_string_is_checked_like_a_short_one(wrong: bytes):
    for raw in (b'"%b%b"' % (b"x" * LONG, wrong), b'["%b%b"]' % (b"x" * LONG, wrong)):
        with pytest.raises(MessageError):
            read(raw)
