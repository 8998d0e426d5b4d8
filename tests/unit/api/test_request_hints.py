"""What helps people who write clients: fields that look like known ones are named, output has a bound of its own, streams have an end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from engine.kernels.provisioners.fake import Say
from engine.models import AnyEvent, Installed, Installing, Item

pytestmark = pytest.mark.anyio

MANY = [Say("stream", {"name": "stdout", "text": f"{number:09}\n" * 100}) for number in range(50)]
SCRIPT = {
    "many": [*MANY, Say("display_data", {"data": {"text/plain": "t", "text/html": "h" * 50_000}})],
    "bad": [Say("error", {"ename": "E", "evalue": "v", "traceback": ["t"]})],
}
SSE = {"Accept": "text/event-stream"}


def named(warnings: list[str]) -> dict[str, str]:
    """Which field was meant, by the one that was sent."""
    return {warning.split("'")[1]: warning.split("'")[3] for warning in warnings}


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("timeout", "timeout_ms"),
        ("timeoutMs", "timeout_ms"),
        ("timeout_seconds", "timeout_ms"),
        ("contextId", "context_id"),
        ("context-id", "context_id"),
        ("session_id", "context_id"),
        ("envs", "env_vars"),
        ("env", "env_vars"),
        ("environment", "env_vars"),
        ("lang", "language"),
        ("Language", "language"),
        ("langauge", "language"),
        ("source", "code"),
        ("maxOutputBytes", "max_output_bytes"),
        ("checkpoints", "checkpoint"),
        ("onError", "on_error"),
    ],
)
async def test_an_unknown_field_that_looks_like_a_known_one_is_named(api, sent: str, meant: str):
    client = (await api()).client
    response = await client.post("/execute", json={"code": "1", sent: 1})
    assert response.status_code == 200
    assert named(response.json()["warnings"]) == {sent: meant}


async def test_fields_that_mean_nothing_and_those_that_are_known_are_not_named(api):
    client = (await api()).client
    for more in ({}, {"x": 1, "metadata": {}, "user": "u", "stream": True}, {"t" * 100: 1}, {"timeout_ms": 5000}):
        response = await client.post("/execute", json={"code": "1", **more})
        assert response.status_code == 200
        assert "warnings" not in response.json()


async def test_warnings_are_few_whatever_is_sent(api):
    client = (await api()).client
    fields = {f"timeout{' ' * number}": "x" * 1000 for number in range(30)}
    warnings = (await client.post("/execute", json={"code": "1", **fields})).json()["warnings"]
    assert 0 < len(warnings) <= 20


async def test_warnings_are_in_the_last_event_and_with_the_execution(api):
    client = (await api()).client
    body = {"code": "1", "timeout": 5}
    stream = await client.post("/execute", json=body, headers={"Accept": "application/x-ndjson"})
    started, *_, done = map(json.loads, stream.text.splitlines())
    assert named(done["warnings"]) == {"timeout": "timeout_ms"}
    execution = (await client.get(f"/executions/{started['execution_id']}")).json()
    assert execution["warnings"] == done["warnings"]


@pytest.mark.parametrize(
    ("sent", "meant"),
    [("contextId", "context_id"), ("lang", "language"), ("working_directory", "cwd"), ("limit", "limits")],
)
async def test_a_new_context_names_them_too(api, sent: str, meant: str):
    client = (await api()).client
    created = (await client.post("/contexts", json={sent: None})).json()
    assert named(created["warnings"]) == {sent: meant}
    assert "warnings" not in (await client.get(f"/contexts/{created['id']}")).json()


@pytest.mark.parametrize("most", [1024, 4096, 100_000])
async def test_a_request_bounds_its_own_output(api, most: int):
    client = (await api(SCRIPT)).client
    result = (await client.post("/execute", json={"code": "many", "max_output_bytes": most})).json()
    lines = result["logs"]["stdout"]
    assert (lines[0], lines[-1]) == ("000000000", "000000049")
    cut = result["truncated"]["stdout"]
    assert (cut["total_bytes"], cut["kept_bytes"] <= most // 4) == (50_000, True)
    assert result["items"][0].get("omitted") == ({"text/html": 50_000})
    assert result["items"][0]["text"] == "t"
    whole = (await client.post("/execute", json={"code": "many"})).json()
    assert len(whole["logs"]["stdout"]) == 5000


async def test_the_bound_of_a_request_is_at_most_that_of_the_server(api):
    client = (await api(SCRIPT, max_output_bytes=8192)).client
    for wrong in (8193, 10**30, 1023, 0, -1, "4096", 1.5, True):
        response = await client.post("/execute", json={"code": "many", "max_output_bytes": wrong})
        assert response.status_code == 400, wrong
        assert response.json()["errors"][0]["field"] == "max_output_bytes"
    for right in (8192, 1024, None):
        response = await client.post("/execute", json={"code": "many", "max_output_bytes": right})
        assert response.status_code == 200


async def test_who_reads_a_stream_slowly_misses_nothing_because_of_a_small_bound(api):
    client = (await api(SCRIPT)).client
    body = {"code": "many", "max_output_bytes": 1024}
    execution = (await client.post("/execute", json=body, headers={"Prefer": "respond-async"})).json()["execution_id"]
    events = (await client.get(f"/executions/{execution}/events", headers=SSE)).text
    assert "event: gap" not in events


async def run(client: Any, code: str) -> tuple[str, list[str]]:
    """The place of an execution that has ended, and the blocks of its stream."""
    started = await client.post("/execute", json={"code": code}, headers={"Prefer": "respond-async"})
    place = f"{started.headers['location']}/events"
    return place, (await client.get(place, headers=SSE)).text.split("\n\n")[:-1]


async def test_an_event_source_that_has_read_the_end_is_told_to_stop(api):
    client = (await api(SCRIPT)).client
    place, blocks = await run(client, "1")
    last = blocks[-1].splitlines()[0].removeprefix("id: ")
    assert "event: done" in blocks[-1]
    for more in ({"Last-Event-ID": last}, {"Last-Event-ID": str(int(last) + 5)}):
        response = await client.get(place, headers={**SSE, **more})
        assert (response.status_code, response.content) == (204, b"")
    assert (await client.get(place, params={"after": last}, headers=SSE)).status_code == 204
    before = await client.get(place, headers={**SSE, "Last-Event-ID": str(int(last) - 1)})
    assert (before.status_code, before.text.split("\n\n")[:-1]) == (200, blocks[-1:])
    page = await client.get(place, params={"after": last})
    assert page.json() == {"events": [], "last": int(last), "finished": True}
    lines = await client.get(place, params={"after": last}, headers={"Accept": "application/x-ndjson"})
    assert (lines.status_code, lines.text) == (200, "")


def test_every_event_and_field_is_documented():
    text = (Path(__file__).resolve().parents[3] / "docs/events.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    installation = text[text.index("The events of an installation") : text.index("```\n")]
    for event in (*get_args(AnyEvent), Installing, Installed):
        tag = event.__struct_config__.tag
        row = next((row for row in rows if f"`{tag}`" in row.split(" | ")[0]), installation)
        assert f"`{tag}`" in row
        for field in event.__struct_fields__:
            assert f"`{field}`" in row or f"`{field}?`" in row, (tag, field)
    items = text[text.index("## Items") : text.index("## EventSource")]
    assert not [field for field in Item.__struct_fields__ if f"`{field}`" not in items]


async def test_no_event_has_the_name_by_which_a_browser_tells_of_its_connection(api):
    client = (await api(SCRIPT)).client
    _, blocks = await run(client, "bad")
    names = [line for block in blocks for line in block.splitlines() if line.startswith("event: ")]
    assert names == ["event: started", "event: failed", "event: done"]
    assert json.loads(blocks[1].splitlines()[2].removeprefix("data: "))["type"] == "error"
