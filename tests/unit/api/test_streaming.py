"""Executions as streams: server-sent events and NDJSON, resumed from any event, left at any time without a trace."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from engine.kernels.provisioners.fake import Ask, Die, Hold, Say
from tests.harness.waiting import until

READY = Say("stream", {"name": "stdout", "text": "ready\n"})
ERROR = Say("error", {"ename": "E", "evalue": "v", "traceback": ["line 1", "line 2"]})
SCRIPT = {
    "loop": [READY, Hold(), Say("stream", {"name": "stderr", "text": "over\n"})],
    "stubborn": [READY, Hold(ignore_interrupts=True)],
    "all": [
        READY,
        Say("display_data", {"data": {"text/plain": "0%"}, "transient": {"display_id": "d"}}),
        Say("update_display_data", {"data": {"text/plain": "100%"}, "transient": {"display_id": "d"}}),
        Say("clear_output", {"wait": False}),
        Say("execute_result", {"data": {"text/plain": "2"}, "execution_count": 1}),
    ],
    "bad": [Say("stream", {"name": "stderr", "text": "oops\n"}), ERROR],
    "die": [READY, Die()],
    "ask": [Ask("name? ")],
    "lines": [Say("stream", {"name": "stdout", "text": "a\nb\r\n\u2028c\x85"})],
}
SSE, NDJSON = "text/event-stream", "application/x-ndjson"


def parse_sse(text: str) -> list[dict[str, Any]]:
    """The events as a browser reads them, checked: an id, a name, one line of data each."""
    events = []
    for block in text.split("\n\n"):
        if not block or block.startswith(":"):
            continue
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        assert list(fields) == ["id", "event", "data"]
        data = json.loads(fields["data"])
        # A browser tells of its connection with `error`.
        name = "failed" if data["type"] == "error" else data["type"]
        assert (str(data["id"]), name) == (fields["id"], fields["event"])
        events.append(data)
    assert text == "" or text.endswith("\n\n")
    return events


def parse_ndjson(text: str) -> list[dict[str, Any]]:
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


PARSE = {SSE: parse_sse, NDJSON: parse_ndjson}
both = pytest.mark.parametrize("kind", [SSE, NDJSON])


@pytest.mark.anyio
class TestStreams:
    @both
    async def test_the_events_of_an_execution_are_streamed_in_order_to_the_end(self, api, kind: str):
        client = (await api(SCRIPT)).client
        response = await client.post("/execute", json={"code": "all"}, headers={"Accept": kind})
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(kind)
        assert response.headers["cache-control"] == "no-store"
        events = PARSE[kind](response.text)
        assert [event["type"] for event in events] == [
            "started", "stdout", "item", "item_update", "clear", "item", "done",
        ]  # fmt: skip
        assert [event["id"] for event in events] == list(range(1, 8))
        assert events[1] == {"id": 2, "type": "stdout", "text": "ready\n"}
        assert events[5]["item"] == {"is_primary": True, "text": "2"}
        done = events[-1]
        assert (done["status"], done["primary_index"], done["context_state"]) == ("ok", 1, "created")
        assert response.headers["location"] == f"/executions/{events[0]['execution_id']}"

    @both
    async def test_absent_fields_are_omitted_in_events(self, api, kind: str):
        client = (await api(SCRIPT)).client
        response = await client.post("/execute", json={"code": "all"}, headers={"Accept": kind})
        assert "null" not in response.text

    async def test_an_error_is_an_event_before_the_end(self, api):
        client = (await api(SCRIPT)).client
        response = await client.post("/execute", json={"code": "bad"}, headers={"Accept": SSE})
        error, done = parse_sse(response.text)[-2:]
        assert error == {"id": 3, "type": "error", "name": "E", "value": "v", "traceback": "line 1\nline 2"}
        assert done["status"] == "error"

    async def test_a_kernel_that_does_not_start_ends_the_stream_with_its_error(self, api):
        client = (await api({"start fails": []})).client
        response = await client.post("/execute", json={"code": "x"}, headers={"Accept": SSE})
        error, done = parse_sse(response.text)[-2:]
        assert (error["name"], done["status"]) == ("KernelStartFailed", "died")

    async def test_no_text_breaks_the_framing(self, api):
        client = (await api(SCRIPT)).client
        for kind, parse in PARSE.items():
            response = await client.post("/execute", json={"code": "lines"}, headers={"Accept": kind})
            assert parse(response.text)[1]["text"] == "a\nb\r\n\u2028c\x85"

    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            ("*/*", "application/json"),
            ("application/json", "application/json"),
            ("", "application/json"),
            ("text/event-stream, */*", SSE),
            ("text/html, application/x-ndjson;q=0.9", NDJSON),
        ],
    )
    async def test_the_accept_header_says_which_form_is_wanted(self, api, accept: str, kind: str):
        client = (await api()).client
        response = await client.post("/execute", json={"code": "x"}, headers={"Accept": accept})
        assert response.headers["content-type"].split(";")[0] == kind

    @both
    async def test_a_refused_request_is_an_ordinary_error_also_for_a_stream(self, api, kind: str):
        client = (await api()).client
        response = await client.post("/execute", json={}, headers={"Accept": kind})
        assert response.status_code == 400
        assert response.json()["errors"][0]["field"] == "code"


@pytest.mark.anyio
class TestResume:
    async def finished(self, client: httpx.AsyncClient) -> str:
        body = (await client.post("/execute", json={"code": "all"})).json()
        return f"/executions/{body['execution_id']}/events"

    @both
    @pytest.mark.parametrize("by", ["header", "query"])
    async def test_a_reader_resumes_after_any_event(self, api, kind: str, by: str):
        client = (await api(SCRIPT)).client
        place = await self.finished(client)
        for after in range(10):
            headers = {"Accept": kind} | ({"Last-Event-ID": str(after)} if by == "header" else {})
            params = {"after": after} if by == "query" else {}
            response = await client.get(place, headers=headers, params=params)
            assert [event["id"] for event in PARSE[kind](response.text)] == list(range(after + 1, 8))

    async def test_without_a_stream_the_events_are_a_page(self, api):
        client = (await api(SCRIPT)).client
        place = await self.finished(client)
        page = (await client.get(place, params={"after": 5})).json()
        assert set(page) == {"events", "last", "finished"}
        assert (page["last"], page["finished"]) == (7, True)
        assert [event["id"] for event in page["events"]] == [6, 7]
        assert page["events"][0]["item"] == {"is_primary": True, "text": "2"}
        streamed = parse_ndjson((await client.get(place, headers={"Accept": NDJSON})).text)
        assert (await client.get(place)).json()["events"] == streamed

    async def test_a_page_of_a_running_execution_says_that_more_will_come(self, api):
        fake = await api(SCRIPT)
        prefer = {"Prefer": "respond-async"}
        started = await fake.client.post("/execute", json={"code": "loop"}, headers=prefer)
        place = started.headers["location"]
        await fake.printed(place, "ready")
        page = (await fake.client.get(f"{place}/events")).json()
        assert [event["type"] for event in page["events"]] == ["started", "stdout"]
        assert page["finished"] is False

    async def test_a_retry_with_the_same_key_and_the_last_id_goes_on_where_it_was(self, api):
        fake = await api(SCRIPT)
        headers = {"Accept": SSE, "Idempotency-Key": "k"}
        whole = parse_sse((await fake.client.post("/execute", json={"code": "all"}, headers=headers)).text)
        headers["Last-Event-ID"] = "3"
        rest = parse_sse((await fake.client.post("/execute", json={"code": "all"}, headers=headers)).text)
        assert rest == whole[3:]
        assert len(fake.kernels) == 1

    async def test_a_reader_who_comes_too_late_for_some_events_is_told_how_many_it_misses(self, api):
        flood = [Say("stream", {"name": "stdout", "text": f"{number}\n"}) for number in range(150)]
        client = (await api({"flood": flood}, max_events=100)).client
        body = (await client.post("/execute", json={"code": "flood"})).json()
        response = await client.get(f"/executions/{body['execution_id']}/events", headers={"Accept": SSE})
        gap, *rest = parse_sse(response.text)
        assert (gap["type"], gap["missed"], gap["id"]) == ("gap", 52, 52)
        assert [event["id"] for event in rest] == list(range(53, 153))

    @pytest.mark.parametrize("value", ["-1", "1.5", "x", "", "٣", "1" * 30])
    async def test_a_number_that_is_none_is_a_400_that_names_it(self, api, value: str):
        client = (await api(SCRIPT)).client
        place = await self.finished(client)
        response = await client.get(place, params={"after": value})
        assert response.status_code == 400
        assert response.json()["errors"][0]["field"] == "after"
        if value.isascii():
            response = await client.get(place, headers={"Last-Event-ID": value})
            assert response.status_code == 400
            assert response.json()["errors"][0]["field"] == "Last-Event-ID"

    async def test_a_post_with_a_number_that_is_none_runs_nothing(self, api):
        fake = await api(SCRIPT)
        headers = {"Accept": SSE, "Last-Event-ID": "x"}
        response = await fake.client.post("/execute", json={"code": "all"}, headers=headers)
        assert response.status_code == 400
        assert not len(fake.engine.executions)


class Client:
    """One request at the ASGI level, whose client goes away when it is told to."""

    def __init__(self, app: Any, path: str, body: dict[str, Any], accept: str = "*/*") -> None:
        self.sent: list[dict[str, Any]] = []
        self._came = asyncio.Event()
        self._gone = asyncio.Event()
        self._requests = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost"), (b"accept", accept.encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._requests:
            return self._requests.pop()
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        self._came.set()

    def leave(self) -> None:
        self._gone.set()

    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent).decode()

    async def until(self, text: str) -> None:
        async with asyncio.timeout(60):
            while text not in self.text():
                self._came.clear()
                await self._came.wait()


@pytest.mark.anyio
class TestScriptStream:
    """POST /execute/async: numbers for types, no nulls, nothing kept."""

    async def events(self, client: httpx.AsyncClient, code: str, **body: Any) -> list[dict[str, Any]]:
        response = await client.post("/execute/async", json={"code": code, **body})
        assert response.status_code == 200
        assert response.headers["content-type"].split(";")[0] == SSE
        found = []
        for block in response.text.split("\n\n")[:-1]:
            assert block.startswith("data: ")
            found.append(json.loads(block.removeprefix("data: ")))
        return found

    async def test_output_then_the_exit_code(self, api):
        client = (await api(SCRIPT)).client
        assert await self.events(client, "all") == [{"type": 0, "data": "ready\n"}, {"type": 2, "code": 0}]

    async def test_an_error_is_its_traceback_and_exit_code_1(self, api):
        assert await self.events((await api(SCRIPT)).client, "bad") == [
            {"type": 1, "data": "oops\n"},
            {"type": 3, "data": "line 1\nline 2"},
            {"type": 2, "code": 1},
        ]

    async def test_a_timeout_is_the_error_timeout(self, api):
        assert await self.events((await api(SCRIPT)).client, "loop", timeout_ms=100) == [
            {"type": 0, "data": "ready\n"},
            {"type": 3, "data": "timeout"},
            {"type": 2, "code": 1},
        ]

    async def test_a_death_is_an_error(self, api):
        ready, error, told, code = await self.events((await api(SCRIPT)).client, "die")
        assert (ready["type"], error["type"], code) == (0, 3, {"type": 2, "code": 1})
        assert "KernelDied" in error["data"]
        assert (told["type"], "state of this context is lost" in told["data"]) == (1, True)

    async def test_without_a_context_id_nothing_is_kept(self, api):
        fake = await api(SCRIPT)
        await self.events(fake.client, "all")
        assert len(fake.engine.contexts) == len(fake.engine.executions) == 0

    async def test_with_a_context_id_its_state_is_used_and_kept(self, api):
        fake = await api(SCRIPT)
        for _ in range(2):
            await self.events(fake.client, "all", context_id="c")
        assert [context.id for context in fake.engine.contexts] == ["c"]
        assert len(fake.kernels[0].requests) == 2

    @pytest.mark.parametrize("code", ["loop", "stubborn"])
    async def test_a_vanished_client_ends_it_and_leaves_nothing_behind(self, api, code: str):
        fake = await api(SCRIPT)
        before = asyncio.all_tasks()
        client = Client(fake.client._transport.app, "/execute/async", {"code": code})
        await client.until("ready")
        client.leave()
        await asyncio.wait({client.task}, timeout=60)
        assert client.task.done()
        await until(lambda: len(fake.engine.contexts) == 0 and len(fake.engine.executions) == 0)
        await until(lambda: asyncio.all_tasks() <= before)
