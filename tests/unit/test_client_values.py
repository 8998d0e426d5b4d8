"""The client's own reading of JSON, beside the engine's: what the engine writes is read, and what is not of this API is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

import engine
import polyrepl
from polyrepl.calls import Call
from polyrepl.results import InstallationEvent
from polyrepl.transport import Follower
from polyrepl.values import DecodeError, decode

RESULT: dict[str, Any] = {
    "execution_id": "e",
    "context_id": "c",
    "language": "python",
    "status": "ok",
    "items": [{"is_primary": True, "text": "1", "json": None, "data": {"a": [1, None]}}],
    "logs": {"stdout": ["é"], "stderr": []},
}
EVENTS = [
    engine.Started(execution_id="e", context_id="c", language="python"),
    engine.Stdout(text="a", omitted_bytes=3),
    engine.Stderr(text="b"),
    engine.ItemAdded(index=0, item=engine.Item(is_primary=False, png="aGk=", extra={"x/y": {"z": 1}})),
    engine.ItemUpdated(index=0, item=engine.Item(is_primary=True, text="t", omitted={"text/html": 9})),
    engine.Cleared(),
    engine.InputRequest(prompt="? ", password=True),
    engine.Failed(name="E", value="v", traceback="t", hint="h"),
    engine.Gap(missed=2),
    engine.Done(
        status="ok",
        duration_ms=2.0,
        truncated={"stdout": engine.Truncation(total_bytes=2, kept_bytes=1)},
        variables=engine.VariableChanges(created=["a"], changed=[], removed=[]),
        files=[engine.FileChange(path="p", change="created", size=1)],
    ),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_read_as_the_engine_wrote_it_and_written_as_it_was_read(event: engine.Stdout) -> None:
    written = msgspec.json.encode(event)
    read = decode(written, polyrepl.Event)
    assert type(read).__name__ == type(event).__name__
    assert read.as_dict() == json.loads(written)
    assert msgspec.convert(read.as_dict(), type(event)) == event


def test_an_event_of_an_installation_is_read_with_all_that_is_in_it() -> None:
    error = engine.InstallationError(name="n", message="m", remediation="r")
    result = engine.InstallationResult(
        context_id="c",
        language="python",
        tool="pip",
        status="error",
        installed=[engine.PackageInfo("a", "1")],
        restart_for=[],
        log=[],
        duration_ms=1.5,
        error=error,
    )
    written = msgspec.json.encode(engine.Installed(result=result))
    assert decode(written, InstallationEvent).as_dict() == json.loads(written)


def test_a_field_that_is_not_there_is_unset_and_null_is_a_value() -> None:
    result = decode(json.dumps(RESULT).encode(), polyrepl.Result)
    (item,) = result.items
    assert isinstance(item, polyrepl.Item)
    assert item.json is None
    assert (item.html, result.error, bool(result.error)) == (polyrepl.UNSET, polyrepl.UNSET, False)
    assert item.formats == ["text", "json", "data"]
    assert result.as_dict() == RESULT


def test_fields_of_a_newer_server_are_left_out() -> None:
    result = decode(json.dumps({**RESULT, "cost": 3}).encode(), polyrepl.Result)
    assert result.as_dict() == RESULT


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"context_id": 3}, "$.context_id is no str"),
        ({"status": "fine"}, "$.status is none of 'queued'"),
        ({"items": {}}, "$.items is no list"),
        ({"items": [{}]}, r"$.items[0].is_primary is missing"),
        ({"items": [{"is_primary": 1}]}, "$.items[0].is_primary is no bool"),
        ({"execution_count": True}, "$.execution_count is no int"),
        ({"duration_ms": "2"}, "$.duration_ms is no float"),
        ({"logs": None}, "$.logs is no object"),
        ({"truncated": {"stdout": {"total_bytes": 1}}}, "$.truncated.stdout.kept_bytes is missing"),
    ],
)
def test_what_is_of_another_kind_is_refused_and_its_place_named(change: dict[str, Any], place: str) -> None:
    with pytest.raises(DecodeError) as raised:
        decode(json.dumps({**RESULT, **change}).encode(), polyrepl.Result)
    assert place in str(raised.value)


@pytest.mark.parametrize("data", [b"", b"[", b"3", b"{}", b'{"type": "new"}', b'{"type": []}', b"\xff", b"[" * 100_000])
def test_what_is_no_event_is_an_unexpected_answer(data: bytes) -> None:
    follower = Follower(Call("GET", "/", bytes))
    with pytest.raises(polyrepl.UnexpectedAnswer):
        follower.feed(b"id: 1\ndata: " + data + b"\n\n")


def test_a_value_shows_only_what_it_has() -> None:
    assert repr(polyrepl.Stdout(text="a")) == "Stdout(text='a')"
    assert polyrepl.Stdout(text="a") == polyrepl.Stdout(text="a")
    assert polyrepl.Stdout(text="a") != polyrepl.Stderr(text="a")
