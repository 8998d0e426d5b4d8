"""The Python client's rules of repetition, streams and errors, against scripted servers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest

import engine.errors
import polyrepl
from polyrepl import (
    ApiError,
    Client,
    ClientError,
    ConnectionFailed,
    DeadlineExceeded,
    Result,
    Stdout,
    UnexpectedAnswer,
)
from polyrepl.answers import error_of
from polyrepl.attempts import Attempts
from polyrepl.sse import Decoder

RESULT = b'{"execution_id":"e","context_id":"c","language":"python","status":"ok","items":[],"logs":{"stdout":[],"stderr":[]}}'
Answer = Callable[[httpx.Request], httpx.Response]


def scripted(*answers: Answer, **options: Any) -> tuple[Client, list[httpx.Request]]:
    """A client whose server gives these answers, one after the other, the last for ever."""
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answers[min(len(asked), len(answers)) - 1](request)

    return Client("http://there", token="t", http_transport=httpx.MockTransport(handle), **options), asked


def says(status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: httpx.Response(status, content=content, headers=named)


def breaks(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("cut", request=request)


def refuses(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


BUSY = says(429, {"message": "full", "code": "QueueFull", "remediation": "Wait."}, retry_after="0")


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    return waits


@pytest.mark.parametrize("trouble", [BUSY, says(503, b"proxy"), breaks, refuses], ids=["429", "503", "cut", "refused"])
def test_code_is_sent_again_under_the_same_key(trouble: Answer, no_waiting: list[float]) -> None:
    client, asked = scripted(trouble, trouble, says(200, RESULT))
    assert client.run_code("1").is_ok
    assert len({request.headers["idempotency-key"] for request in asked}) == 1
    assert len(asked) == 3
    assert len(no_waiting) == 2


@pytest.mark.parametrize(
    ("trouble", "times"),
    [(BUSY, 2), (refuses, 2), (breaks, 1), (says(503, b"proxy"), 1)],
    ids=["429", "refused", "cut", "503"],
)
def test_what_may_have_happened_already_is_not_sent_again(trouble: Answer, times: int, no_waiting: list[float]) -> None:
    client, asked = scripted(trouble, retries=1)
    with pytest.raises(ClientError):
        client.contexts.fork("c")
    assert len(asked) == times


def test_retry_after_is_waited_for_and_a_wait_beyond_the_deadline_is_none(no_waiting: list[float]) -> None:
    client, asked = scripted(says(429, {"message": "m", "code": "QueueFull"}, retry_after="3"), says(200, RESULT))
    client.run_code("1")
    (seconds,) = no_waiting
    assert seconds >= 3
    client, asked = scripted(says(429, {"message": "m", "code": "QueueFull"}, retry_after="500"))
    with pytest.raises(polyrepl.QueueFull) as raised:
        client.run_code("1")
    assert isinstance(raised.value, ApiError)
    assert raised.value.retry_after == 500
    assert len(asked) == 1


def test_a_deadline_ends_the_attempts() -> None:
    now = [0.0]
    attempts = Attempts(10, retries=99, is_repeatable=True, clock=lambda: now[0], chance=lambda: 1.0)
    assert attempts.pause(ConnectionFailed("cut")) == pytest.approx(0.2)
    assert attempts.pause(ConnectionFailed("cut")) == pytest.approx(0.4)
    attempts.note_progress()
    assert attempts.pause(ConnectionFailed("cut")) == pytest.approx(0.2)
    now[0] = 9.95
    with pytest.raises(DeadlineExceeded):
        attempts.pause(ConnectionFailed("cut"))
    now[0] = 10.0
    with pytest.raises(DeadlineExceeded):
        attempts.remaining()


def test_files_may_take_longer_than_other_calls_and_have_a_deadline_of_their_own() -> None:
    limits: list[dict[str, float]] = []

    def note(request: httpx.Request) -> httpx.Response:
        limits.append(request.extensions["timeout"])
        return httpx.Response(200, content=b'{"path":"f","type":"file","size":1,"modified":"2026-01-01T00:00:00Z"}')

    client, _ = scripted(note)
    client.files.upload("c", b"x", "f")
    assert client.files.download("c", "f", deadline=5)
    assert (limits[0]["write"], limits[1]["write"] <= 5) == (60, True)
    with pytest.raises(DeadlineExceeded):
        client.files.upload("c", b"x", "f", deadline=0)


def sse(*events: tuple[int, str, dict[str, Any]]) -> bytes:
    return b"".join(
        b"id: %d\nevent: %s\ndata: %s\n\n"
        % (number, kind.encode(), msgspec.json.encode({"id": number, "type": kind, **fields}))
        for number, kind, fields in events
    )


def test_a_stream_that_breaks_goes_on_after_the_last_event(no_waiting: list[float]) -> None:
    started = (1, "started", {"execution_id": "e", "context_id": "c", "language": "python"})
    out = [(n, "stdout", {"text": str(n)}) for n in range(2, 6)]
    done = (6, "done", {"status": "ok"})
    stream = {"content_type": "text/event-stream", "location": "/executions/e"}
    client, asked = scripted(
        says(200, sse(started, *out[:2]) + b"id: 4\nevent: std", **stream),
        breaks,
        says(200, sse(out[1], *out[2:], done), **stream),
    )
    with client.stream("code") as events:
        found = list(events)
    assert [event.text for event in found if isinstance(event, Stdout)] == ["2", "3", "4", "5"]
    assert [(each.method, each.url.path) for each in asked] == [
        ("POST", "/execute"),
        ("GET", "/executions/e/events"),
        ("GET", "/executions/e/events"),
    ]
    assert [each.headers["last-event-id"] for each in asked] == ["0", "3", "3"]
    assert events.execution_id == "e"


def test_a_download_that_breaks_asks_for_the_rest(no_waiting: list[float]) -> None:
    class Cut(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"0123"
            raise httpx.ReadError("cut")

    def first(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Cut(), headers={"etag": '"v"'})

    client, asked = scripted(first, says(206, b"456", etag='"v"'))
    assert client.files.download("c", "f") == b"0123456"
    assert (asked[1].headers["range"], asked[1].headers["if-range"]) == ("bytes=4-", '"v"')


def test_every_error_of_the_engine_comes_back_under_its_name_and_below_its_bases() -> None:
    kinds = [
        kind
        for kind in vars(engine.errors).values()
        if isinstance(kind, type) and issubclass(kind, engine.errors.PolyreplError)
    ]
    assert len(kinds) > 30
    for kind in kinds:
        error = error_of(400, {}, msgspec.json.encode({"message": "m", "code": kind.__name__, "remediation": "r."}))
        assert isinstance(error, ApiError)
        assert (error.code, error.cause, error.remediation) == (kind.__name__, "m", "r.")
        bases = {each.__name__ for each in kind.__mro__} - {"PolyreplError"}
        if kind is not engine.errors.PolyreplError:
            assert bases <= {each.__name__ for each in type(error).__mro__}


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b'{"detail": 1}', b"[]"])
def test_an_answer_of_something_else_says_so(body: bytes) -> None:
    assert isinstance(error_of(502, {}, body), UnexpectedAnswer)
    client, _ = scripted(says(200, body))
    with pytest.raises(UnexpectedAnswer):
        client.health()


def test_events_are_found_however_the_bytes_are_cut() -> None:
    text = sse((1, "stdout", {"text": "é\n\n"}), (2, "done", {"status": "ok"})) + b": ping\n\n"
    whole = [(message.id, message.data) for message in Decoder().feed(text)]
    for size in range(1, 8):
        decoder = Decoder()
        cut = [message for at in range(0, len(text), size) for message in decoder.feed(text[at : at + size])]
        assert [(message.id, message.data) for message in cut] == whole
    assert [number for number, _ in whole] == [1, 2]


def test_a_kernel_that_does_not_start_is_a_result() -> None:
    body = RESULT.replace(b'"ok"', b'"error"').replace(
        b"}}", b'},"error":{"name":"KernelStartFailed","value":"v","traceback":""}}'
    )
    client, _ = scripted(says(500, body))
    result = client.run_code("1")
    assert isinstance(result, Result)
    assert result.error.name == "KernelStartFailed"


def test_the_import_is_light() -> None:
    heavy = "{'httpx', 'anyio', 'asyncio', 'engine', 'msgspec', 'pydantic', 'starlette', 'zmq', 'IPython'}"
    code = f"import sys; from polyrepl import AsyncClient, Client; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
