"""Executions as streams of events: order, resumption after a cut, and clients that go away."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.harness.client import Client, Json, Repl
from tests.harness.dialects import Dialect
from tests.harness.fixtures import TOKEN
from tests.harness.waiting import wait_until

SOON = 5.0


def texts(events: list[Json]) -> list[str]:
    return "".join(event["text"] for event in events if event["type"] == "stdout").splitlines()


def numbers(events: list[Json]) -> list[int]:
    return [event["id"] for event in events]


def test_events_come_while_the_cell_runs_and_end_with_done(client: Client, repl: Repl, dialect: Dialect) -> None:
    with client.stream(dialect.slow_lines + "\n6 * 7", **repl.fields) as stream:
        events = []
        for event in stream:
            events.append(event)
            if event["type"] == "stdout" and len(events) < 4:
                assert client.execution(events[0]["execution_id"]).status == "running"
    assert numbers(events) == list(range(1, len(events) + 1))
    assert (events[0]["type"], events[-1]["type"], events[-1]["status"]) == ("started", "done", "ok")
    assert texts(events) == [str(i) for i in range(60)]
    item = next(event for event in events if event["type"] == "item")
    assert (item["item"]["text"], events[-1]["primary_index"]) == ("42", item["index"])
    assert len([event for event in events if event["type"] == "stdout"]) > 5


def test_a_reader_that_is_cut_off_and_resumes_gets_every_event_once(
    client: Client, repl: Repl, dialect: Dialect
) -> None:
    seen: list[Json] = []
    with client.stream(dialect.slow_lines, **repl.fields) as stream:
        for event in stream:
            seen.append(event)
            if len(seen) == 3:
                break
    execution = seen[0]["execution_id"]
    while seen[-1]["type"] != "done":
        for event in client.follow(execution, after=seen[-1]["id"]):
            seen.append(event)
            if len(seen) % 7 == 0:
                break
    assert numbers(seen) == list(range(1, len(seen) + 1))
    assert texts(seen) == [str(i) for i in range(60)]
    assert list(client.follow(execution)) == seen
    assert list(client.follow(execution, after=seen[-1]["id"])) == []


def test_many_readers_get_the_same_events(client: Client, repl: Repl, dialect: Dialect) -> None:
    execution = repl.start(dialect.slow_lines)
    readers: list[Iterator[Json]] = [client.follow(execution) for _ in range(5)]
    first = list(readers[0])
    assert all(list(reader) == first for reader in readers[1:])
    assert texts(first) == [str(i) for i in range(60)]


def test_a_stream_that_ends_in_an_error_says_it(client: Client, repl: Repl, dialect: Dialect) -> None:
    with client.stream(dialect.throw_line_3, **repl.fields) as stream:
        events = list(stream)
    assert [event["type"] for event in events] == ["started", "error", "done"]
    assert (events[1]["name"], events[2]["status"]) == ("OddError", "error")


def test_an_execution_goes_on_when_its_reader_leaves(client: Client, repl: Repl, dialect: Dialect) -> None:
    with client.stream(dialect.slow_lines, **repl.fields) as stream:
        execution = next(stream)["execution_id"]
    result = client.wait(execution)
    assert (result.status, result.stdout) == ("ok", [str(i) for i in range(60)])


def test_an_execution_ends_when_its_reader_leaves_where_the_request_wants_that(
    client: Client, repl: Repl, dialect: Dialect
) -> None:
    repl.run(dialect.set("kept", 1))
    code = dialect.print("'begun'") + "\n" + dialect.loop
    with client.stream(code, **repl.fields, on_disconnect="interrupt") as stream:
        events = [next(stream), next(stream)]
    result = client.wait(events[0]["execution_id"])
    assert (result.status, result["context_state"]) == ("interrupted", "preserved")
    assert repl.run("kept").text == "1"


@pytest.mark.parametrize("on_disconnect", ["continue", "interrupt"])
def test_a_client_that_hangs_up_on_a_plain_call_is_noticed(
    client: Client, repl: Repl, dialect: Dialect, on_disconnect: str
) -> None:
    marker = f"finished-{dialect.name}-{on_disconnect}"
    body = {
        "code": dialect.slow_lines + "\n" + dialect.write_file(marker, "x"),
        "on_disconnect": on_disconnect,
        **repl.fields,
    }
    hang_up_on(client, repl, json.dumps(body).encode())
    exists = {
        "python": f"import pathlib; pathlib.Path({marker!r}).exists()",
        "typescript": f"import fs from 'node:fs'; fs.existsSync('{marker}')",
    }
    result = repl.run(exists[dialect.name])
    assert (result.text or "").lower() == ("true" if on_disconnect == "continue" else "false")


def hang_up_on(client: Client, repl: Repl, body: bytes) -> None:
    """Send a request, and close the connection once its cell runs."""
    url = urlsplit(client.url)
    head = (
        f"POST /execute HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=SOON) as connection:
        connection.sendall(head.encode() + body)
        wait_until(lambda: (repl.info or {}).get("state") == "busy", deadline=SOON, what="the cell runs")


def test_a_script_is_streamed_in_the_compatible_shape(client: Client, dialect: Dialect) -> None:
    before = len(client.http.get("/contexts").json()["items"])
    code = dialect.print("'out'") + "\n" + dialect.print_error("err") + "\n" + dialect.throw_line_3
    response = client.http.post("/execute/async", json={"code": code, "language": dialect.name})
    events = [
        json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line.startswith("data: ")
    ]
    assert sorted(event["type"] for event in events) == [0, 1, 2, 3]
    assert events[-1] == {"type": 2, "code": 1}
    assert {"type": 0, "data": "out\n"} in events
    assert len(client.http.get("/contexts").json()["items"]) == before
