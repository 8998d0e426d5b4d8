"""The E2B dialect over scripted kernels: every route, status, body and line that its SDKs rely on."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest

from engine.api.e2b import routes as e2b
from engine.api.e2b import stream as e2b_stream
from engine.kernels.provisioners.fake import Die, Hold, Say
from tests.harness.executions import the_execution
from tests.harness.waiting import until
from tests.unit.api.test_streaming import Client

pytestmark = pytest.mark.anyio
TOKEN = "t0ken"
SANDBOX = {"E2b-Sandbox-Id": "mine"}
UNKNOWN = "3b0c1f6e-5f2d-4a0e-9d4e-2b2a4f5c6d7e"


def shows(text: str, **data: Any) -> Say:
    return Say("display_data", {"data": {"text/plain": text, **data}, "metadata": {}})


SCRIPT = {
    "print": [Say("stream", {"name": "stdout", "text": "a\n"}), Say("stream", {"name": "stderr", "text": "b\n"})],
    "quoted": [Say("execute_result", {"data": {"text/plain": "'it\\'s \"x\"'"}, "execution_count": 1})],
    "rich": [
        shows("<Figure>", **{"image/png": "QQ==", "e2b/chart": {"type": "unknown", "title": None, "elements": []}}),
        Say(
            "execute_result",
            {
                "data": {"text/plain": "df", "text/html": "<b>", "e2b/data": {"a": [1]}, "application/x-mine": "m"},
                "metadata": {"e2b/data": {"rows": 1}},
                "execution_count": 1,
            },
        ),
    ],
    "json": [Say("execute_result", {"data": {"text/plain": "{}", "application/json": {"a": 1}}, "execution_count": 1})],
    "fail": [Say("error", {"ename": "E", "evalue": "v", "traceback": ["\x1b[31mline 1\x1b[0m", "line 2"]})],
    "die": [Say("stream", {"name": "stdout", "text": "last\n"}), Die()],
    "hold": [Say("stream", {"name": "stdout", "text": "on\n"}), Hold()],
    "cut": [Say("stream", {"name": "stdout", "text": "end"}, {"omitted_bytes": 7})],
    "update": [
        Say("display_data", {"data": {"text/plain": "0%"}, "metadata": {}, "transient": {"display_id": "p"}}),
        Say("update_display_data", {"data": {"text/plain": "50%"}, "metadata": {}, "transient": {"display_id": "p"}}),
        Say("update_display_data", {"data": {"text/plain": "100%"}, "metadata": {}, "transient": {"display_id": "p"}}),
    ],
}


def lines(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


async def run(client: Any, code: str, **fields: Any) -> list[dict[str, Any]]:
    """The lines of a run, without their timestamps."""
    found = lines(await client.post("/e2b/execute", json={"code": code, **fields}))
    for line in found:
        if line["type"] in ("stdout", "stderr"):
            assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    return found


class TestLines:
    async def test_a_run_begins_with_its_number_and_ends_with_its_end(self, api):
        client = (await api(SCRIPT)).client
        response = await client.post("/e2b/execute", json={"code": "print"})
        assert "content-type" not in response.headers
        assert await run(client, "print") == [
            {"type": "number_of_executions", "execution_count": 2},
            {"type": "stdout", "text": "a\n"},
            {"type": "stderr", "text": "b\n"},
            {"type": "end_of_execution"},
        ]

    async def test_nothing_but_the_number_is_told_of_a_cell_that_shows_nothing(self, api):
        client = (await api({"silent": []})).client
        assert [line["type"] for line in await run(client, "silent")] == ["number_of_executions", "end_of_execution"]

    async def test_a_text_loses_one_pair_of_quotes_here_and_only_here(self, api):
        client = (await api(SCRIPT)).client
        (_, result, _) = await run(client, "quoted")
        assert result == {"type": "result", "text": 'it\\\'s "x"', "extra": {}, "is_main_result": True}
        native = await client.post("/execute", json={"code": "quoted"})
        assert native.json()["items"][0]["text"] == "'it\\'s \"x\"'"

    @pytest.mark.parametrize(
        ("text", "shown"), [("'a'", "a"), ('"a"', "a"), ("''a''", "'a'"), ("'", "'"), ("'a\"", "'a\""), ("a'", "a'")]
    )
    async def test_only_a_whole_pair_of_quotes_is_taken(self, api, text: str, shown: str):
        (_, result, _) = await run((await api()).client, text)
        assert result["text"] == shown

    async def test_a_result_has_a_field_for_each_form_and_the_rest_in_extra(self, api):
        (_, display, value, _) = await run((await api(SCRIPT)).client, "rich")
        chart = {"type": "unknown", "title": None, "elements": []}
        shown = {"type": "result", "text": "<Figure>", "png": "QQ==", "chart": chart, "extra": {}}
        assert display == {**shown, "is_main_result": False}
        extra = {"application/x-mine": "m"}
        shown = {"type": "result", "text": "df", "html": "<b>", "data": {"a": [1]}, "extra": extra}
        assert value == {**shown, "is_main_result": True}

    async def test_json_is_passed_on_as_it_is(self, api):
        (_, result, _) = await run((await api(SCRIPT)).client, "json")
        assert result["json"] == {"a": 1}

    async def test_an_error_has_its_traceback_without_colours(self, api):
        (_, error, end) = await run((await api(SCRIPT)).client, "fail")
        assert error == {"type": "error", "name": "E", "value": "v", "traceback": "line 1\nline 2"}
        assert end == {"type": "end_of_execution"}

    async def test_a_display_that_changes_is_told_again_once_as_it_is_in_the_end(self, api):
        found = await run((await api(SCRIPT)).client, "update")
        assert [line["text"] for line in found if line["type"] == "result"] == ["0%", "100%"]

    async def test_what_a_limit_left_out_is_counted_in_the_text(self, api):
        (_, line, _) = await run((await api(SCRIPT)).client, "cut")
        assert line["text"] == "\n[... 7 bytes omitted ...]\nend"

    async def test_a_value_that_a_limit_left_out_is_named_in_extra(self, api):
        script = {"big": [shows("x", **{"text/html": "h" * 2000})]}
        (_, result, _) = await run((await api(script, max_item_bytes=1024)).client, "big")
        assert "html" not in result
        assert result["extra"] == {"application/vnd.polyrepl.omitted+json": {"text/html": 2000}}

    async def test_a_kernel_that_dies_is_a_restart_and_the_next_call_runs_on_a_fresh_one(self, api):
        client = (await api(SCRIPT)).client
        found = await run(client, "die")
        kinds = ["number_of_executions", "stdout", "error", "stderr", "end_of_execution"]
        assert [line["type"] for line in found] == kinds
        assert "state of this context is lost" in found[3]["text"]
        assert (found[2]["name"], found[2]["value"]) == ("ContextRestarting", "Context was restarted")
        assert "SIGKILL" in found[2]["traceback"]
        assert (await run(client, "1"))[0] == {"type": "number_of_executions", "execution_count": 1}

    async def test_silence_is_filled_with_keepalives(self, api, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(e2b_stream, "PING_INTERVAL", 0.01)
        fake = await api(SCRIPT)
        client = Client(fake.client._transport.app, "/e2b/execute", {"code": "hold"})
        await client.until('{"type":"keepalive"}\n{"type":"keepalive"}\n')
        fake.kernels[-1].release()
        async with asyncio.timeout(60):
            await client.task
        found = [json.loads(line)["type"] for line in client.text().splitlines()]
        assert [kind for kind in found if kind != "keepalive"] == ["number_of_executions", "stdout", "end_of_execution"]

    async def test_a_client_that_goes_away_interrupts_its_run_and_leaves_the_state(self, api):
        fake = await api(SCRIPT)
        client = Client(fake.client._transport.app, "/e2b/execute", {"code": "hold"})
        await client.until('"text":"on\\n"')
        client.leave()
        async with asyncio.timeout(60):
            await client.task
            await the_execution(fake.engine).wait()
        assert the_execution(fake.engine).status == "interrupted"
        assert (await run(fake.client, "1"))[0] == {"type": "number_of_executions", "execution_count": 2}
        assert len(fake.kernels) == 1

    async def test_a_client_that_goes_away_takes_its_waiting_run_along(self, api):
        fake = await api(SCRIPT)
        first = Client(fake.client._transport.app, "/e2b/execute", {"code": "hold"})
        await first.until('"text":"on\\n"')
        second = Client(fake.client._transport.app, "/e2b/execute", {"code": "print"})
        await until(lambda: len(fake.engine.executions) == 2)
        second.leave()
        async with asyncio.timeout(60):
            await second.task
        fake.kernels[-1].release()
        async with asyncio.timeout(60):
            await first.task
        assert [content["code"] for content, _ in fake.kernels[-1].requests] == ["hold"]


class TestRequests:
    async def test_values_and_variables_are_asked_for_and_there_is_no_input(self, api):
        fake = await api()
        await run(fake.client, "1", env_vars={"A": "b"})
        content, metadata = fake.kernels[-1].requests[-1]
        assert content["allow_stdin"] is False
        assert (metadata["env_vars"], metadata["data"]) == ({"A": "b"}, True)

    async def test_other_callers_do_not_pay_for_values(self, api):
        fake = await api()
        await fake.client.post("/execute", json={"code": "1"})
        assert "data" not in fake.kernels[-1].requests[-1][1]
        await fake.client.post("/execute", json={"code": "1", "data": True})
        assert fake.kernels[-1].requests[-1][1]["data"] is True

    async def test_a_run_may_take_as_long_as_the_server_allows(self, api):
        fake = await api(max_timeout=1234.0, default_timeout=1.0)
        await run(fake.client, "1")
        (execution,) = fake.engine.executions._by_id.values()
        assert execution.timeout == 1234.0

    async def test_null_is_the_same_as_leaving_out(self, api):
        found = await run((await api()).client, "1", context_id=None, language=None, env_vars=None)
        assert found[1]["text"] == "1"

    async def test_a_context_and_a_language_exclude_each_other(self, api):
        body = {"code": "1", "context_id": "a", "language": "python"}
        response = await (await api()).client.post("/e2b/execute", json=body)
        assert (response.status_code, response.text) == (400, "Only one of context_id or language can be provided")
        assert response.headers["content-type"].startswith("text/plain")

    async def test_an_unknown_context_is_not_found(self, api):
        client = (await api()).client
        for response in (
            await client.post("/e2b/execute", json={"code": "1", "context_id": UNKNOWN}),
            await client.delete(f"/e2b/contexts/{UNKNOWN}"),
            await client.post(f"/e2b/contexts/{UNKNOWN}/restart"),
        ):
            assert (response.status_code, response.text) == (404, f"Context {UNKNOWN} not found")

    @pytest.mark.parametrize("route", ["execute", "contexts"])
    async def test_an_unknown_language_is_named(self, api, route: str):
        response = await (await api()).client.post(f"/e2b/{route}", json={"code": "1", "language": "cobol"})
        assert response.status_code == 500
        start, _, reason = response.text.partition(": ")
        assert start == "Failed to create context"
        assert json.loads(reason)["short_message"] == "cobol not found"
        assert json.loads(reason)["message"].startswith("The 'cobol' kernel is not available")

    async def test_a_kernel_that_does_not_start_is_a_failure_to_create(self, api):
        client = (await api({"start fails": []})).client
        for route in ("execute", "contexts"):
            response = await client.post(f"/e2b/{route}", json={"code": "1"})
            assert response.status_code == 500
            assert response.text.startswith("Failed to create context: ")
            assert "Traceback" not in response.text

    @pytest.mark.parametrize(
        ("body", "kind", "place"),
        [
            (b"", "missing", ["body"]),
            (b"{", "json_invalid", ["body", 1]),
            (b"[]", "model_type", ["body"]),
            (b"{}", "missing", ["body", "code"]),
            (b'{"code": 3}', "string_type", ["body", "code"]),
            (b'{"code": "1", "env_vars": {"A": 1}}', "string_type", ["body", "env_vars", "A"]),
            (b'{"code": "1", "env_vars": {"1A": "x"}}', "value_error", ["body", "env_vars", "1A"]),
            (b'{"code": "\\ud800"}', "json_invalid", ["body", 0]),
        ],
    )
    async def test_a_wrong_body_is_described_as_fastapi_does(self, api, body: bytes, kind: str, place: list):
        response = await (await api()).client.post("/e2b/execute", content=body)
        assert response.status_code == 422
        (problem,) = response.json()["detail"]
        assert (problem["type"], problem["loc"]) == (kind, place)
        assert {"msg", "input"} <= set(problem)

    async def test_other_methods_and_paths_are_refused_as_fastapi_does(self, api):
        client = (await api()).client
        response = await client.get(f"/e2b/contexts/{UNKNOWN}")
        assert (response.status_code, response.json()) == (405, {"detail": "Method Not Allowed"})
        response = await client.get("/e2b/nothing")
        assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})

    async def test_a_full_queue_says_when_to_come_back(self, api):
        fake = await api({"hold": [Hold()]}, queue_size=1)
        first = asyncio.create_task(run(fake.client, "hold"))
        await until(lambda: fake.kernels and fake.kernels[-1].requests)
        second = asyncio.create_task(run(fake.client, "2"))
        await until(lambda: len(fake.engine.executions) == 2)
        response = await fake.client.post("/e2b/execute", json={"code": "3"})
        assert (response.status_code, response.headers["retry-after"]) == (429, "1")
        fake.kernels[-1].release()
        assert [(await each)[-1]["type"] for each in (first, second)] == ["end_of_execution"] * 2


def test_the_routes_are_those_of_the_real_server():
    assert {path: set(methods) for path, methods in e2b.TABLE.items()} == {
        "/health": {"GET"},
        "/execute": {"POST"},
        "/contexts": {"GET", "POST"},
        "/contexts/{context_id}": {"DELETE"},
        "/contexts/{context_id}/restart": {"POST"},
    }
