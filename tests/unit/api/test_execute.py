"""POST /execute: the shapes that README.md documents, and which requests are refused, by field."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from engine.kernels.provisioners.fake import Ask, Die, Hold, Say
from engine.models import InputRequest
from tests.harness.executions import event

pytestmark = pytest.mark.anyio

READY = Say("stream", {"name": "stdout", "text": "ready\n"})
TRACEBACK = ["Traceback (most recent call last):", "ZeroDivisionError: division by zero"]
SCRIPT = {
    "30.0": [
        Say("stream", {"name": "stdout", "text": "some printed output\n"}),
        Say("execute_result", {"data": {"text/plain": "30.0"}, "metadata": {}, "execution_count": 2}),
    ],
    "1/0": [Say("error", {"ename": "ZeroDivisionError", "evalue": "division by zero", "traceback": TRACEBACK})],
    "plot": [
        Say(
            "display_data",
            {
                "data": {
                    "text/plain": "<Figure>",
                    "text/html": "<b>h</b>",
                    "text/markdown": "m",
                    "image/svg+xml": "<svg/>",
                    "image/png": "AAAA",
                    "image/jpeg": "BBBB",
                    "application/pdf": "CCCC",
                    "text/latex": "$x$",
                    "application/json": {"a": [1, None]},
                    "application/javascript": "1",
                    "application/vnd.x+json": {"x": 1},
                },
                "metadata": {"image/png": {"width": 1}},
            },
        )
    ],
    "loop": [READY, Hold()],
    "stubborn": [READY, Hold(ignore_interrupts=True)],
    "die": [Die()],
    "ask": [Ask("?")],
}
REQUIRED = {"execution_id", "context_id", "language", "status", "items", "logs"}


def wrong(response: httpx.Response) -> dict[str, str]:
    """The fields that a 400 names; its body has exactly the documented shape."""
    assert response.status_code == 400, response.text
    body = response.json()
    assert set(body) == {"message", "code", "remediation", "errors"}
    assert body["message"] == "Invalid request"
    assert body["errors"]
    for each in body["errors"]:
        assert set(each) == {"field", "error"}
        assert each["error"]
    return {each["field"]: each["error"] for each in body["errors"]}


async def execute(client: httpx.AsyncClient, code: str = "x", **body: Any) -> dict[str, Any]:
    response = await client.post("/execute", json={"code": code, **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


class TestShapes:
    async def test_a_result_has_the_fields_of_the_contract_and_no_null(self, api):
        client = (await api(SCRIPT)).client
        response = await client.post("/execute", json={"code": "30.0", "context_id": "V1StGXR8_Z5jdHi6B-myT"})
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        body = response.json()
        assert body["context_id"] == "V1StGXR8_Z5jdHi6B-myT"
        assert body["items"] == [{"is_primary": True, "text": "30.0"}]
        assert body["logs"] == {"stdout": ["some printed output"], "stderr": []}
        assert body["execution_count"] == 1  # that of the reply, which comes last
        assert set(body) == REQUIRED | {"execution_count", "duration_ms", "context_state"}
        assert body["context_state"] == "created"
        assert "null" not in response.text

    async def test_an_error_in_the_code_is_a_200_with_an_error(self, api):
        body = await execute((await api(SCRIPT)).client, "1/0")
        assert body["status"] == "error"
        assert body["error"] == {
            "name": "ZeroDivisionError",
            "value": "division by zero",
            "traceback": "\n".join(TRACEBACK),
        }
        assert body["items"] == []

    async def test_every_mime_type_has_its_field(self, api):
        (item,) = (await execute((await api(SCRIPT)).client, "plot"))["items"]
        assert item == {
            "is_primary": True,
            "text": "<Figure>",
            "html": "<b>h</b>",
            "markdown": "m",
            "svg": "<svg/>",
            "png": "AAAA",
            "jpeg": "BBBB",
            "pdf": "CCCC",
            "latex": "$x$",
            "json": {"a": [1, None]},
            "javascript": "1",
            "extra": {"application/vnd.x+json": {"x": 1}},
            "metadata": {"image/png": {"width": 1}},
        }

    async def test_a_timeout_is_a_200_with_an_error(self, api):
        body = await execute((await api(SCRIPT)).client, "loop", timeout_ms=100)
        assert (body["status"], body["error"]["name"], body["context_state"]) == (
            "timeout",
            "TimeoutError",
            "created",
        )

    async def test_a_death_is_a_200_with_an_error(self, api):
        body = await execute((await api(SCRIPT)).client, "die")
        assert (body["status"], body["error"]["name"], body["context_state"]) == ("died", "KernelDied", "lost")

    async def test_a_kernel_that_does_not_start_is_a_500_that_is_an_execution_with_an_error(self, api):
        client = (await api({"start fails": []})).client
        response = await client.post("/execute", json={"code": "x", "context_id": "c"})
        assert response.status_code == 500
        body = response.json()
        assert set(body) >= REQUIRED | {"error"}
        assert body["error"]["name"] == "KernelStartFailed"
        assert body["context_id"] == "c"

    async def test_without_a_context_id_a_new_context_is_made_and_named(self, api):
        client = (await api()).client
        first, second = await execute(client), await execute(client)
        assert first["context_id"] != second["context_id"]
        assert (await execute(client, context_id=first["context_id"]))["execution_count"] == 2

    @pytest.mark.parametrize("name", ["python", "py", "python3", "typescript", "ts", "javascript", "js", "node"])
    async def test_every_language_of_the_contract_is_taken(self, api, name: str):
        body = await execute((await api()).client, language=name)
        assert body["language"] in ("python", "typescript")

    async def test_what_a_limit_cut_is_flagged_with_the_true_totals(self, api):
        flood = [Say("stream", {"name": "stdout", "text": "x" * 10_000}), READY]
        client = (await api({"flood": flood}, max_stream_bytes=2000)).client
        body = await execute(client, "flood")
        assert body["truncated"] == {"stdout": {"total_bytes": 10_006, "kept_bytes": 2_000}}

    async def test_an_answer_larger_than_64_kib_has_the_same_shape(self, api):
        big = {"text/plain": "é" * 100_000, "application/json": {"big": 10**30, "nan": float("nan")}}
        client = (await api({"big": [Say("display_data", {"data": big})]})).client
        body = await execute(client, "big")
        (item,) = body["items"]
        assert set(item) == {"is_primary", "text", "json"}
        assert item["text"] == "é" * 100_000
        assert item["json"]["big"] == 10**30

    @pytest.mark.parametrize("depth", [150, 195, 250, 500, 900, 980])
    @pytest.mark.parametrize("size", [10, 100_000])
    async def test_deeply_nested_json_never_breaks_the_answer(self, api, depth: int, size: int):
        nested = b'{"data":{"application/json":' + b"[" * depth + b"1" + b"]" * depth + b"}}"
        script = {"deep": [Say("stream", {"name": "stdout", "text": "x" * size}), Say("display_data", nested)]}  # type: ignore[arg-type]
        client = (await api(script)).client
        body = await execute(client, "deep", timeout_ms=5000)
        assert body["status"] == "ok"
        assert body["logs"]["stdout"] == ["x" * size]


class TestTaken:
    async def test_unknown_fields_are_ignored(self, api):
        client = (await api()).client
        assert (await execute(client, unknown={"a": [1]}, Code="y"))["status"] == "ok"

    async def test_null_means_the_default(self, api):
        names = ("context_id", "language", "env_vars", "timeout_ms", "stdin", "on_disconnect")
        body = await execute((await api()).client, **dict.fromkeys(names))
        assert (body["status"], body["language"]) == ("ok", "python")

    @pytest.mark.parametrize("timeout_ms", [1000, 1000.0, 3_600_000])
    async def test_a_whole_number_of_milliseconds_is_taken(self, api, timeout_ms: float):
        assert (await execute((await api()).client, timeout_ms=timeout_ms))["status"] == "ok"

    async def test_a_body_without_a_content_type_is_json(self, api):
        response = await (await api()).client.post("/execute", content=b'{"code": "x"}')
        assert response.status_code == 200

    @pytest.mark.parametrize("code", ["", "\0", "é🎉", "\u2028", "x" * 1_000_000])
    async def test_any_text_is_code(self, api, code: str):
        fake = await api()
        await execute(fake.client, code)
        assert fake.kernels[0].requests[0][0]["code"] == code

    async def test_environment_variables_of_any_value_reach_the_kernel(self, api):
        fake = await api()
        env_vars = {"A": "'\"\\\n$(x) é", "_": "", "lower_1": "x" * 10_000}
        await execute(fake.client, env_vars=env_vars)
        assert fake.kernels[0].requests[0][1]["env_vars"] == env_vars

    async def test_lines_of_stdin_answer_input(self, api):
        body = await execute((await api(SCRIPT)).client, "ask", stdin=["Ada"])
        assert body["logs"]["stdout"] == ["Ada"]


class TestIdempotency:
    KEY = {"Idempotency-Key": "k"}  # noqa: RUF012 - read only

    async def test_a_retried_post_returns_the_first_execution(self, api):
        fake = await api()
        bodies = [(await fake.client.post("/execute", json={"code": "x"}, headers=self.KEY)).json() for _ in range(3)]
        assert bodies[0] == bodies[1] == bodies[2]
        assert len(fake.kernels) == 1

    async def test_a_retry_while_the_first_runs_waits_for_it(self, api):
        fake = await api(SCRIPT)
        posts = [
            asyncio.create_task(fake.client.post("/execute", json={"code": "loop"}, headers=self.KEY)) for _ in range(2)
        ]
        await fake.busy()
        fake.kernels[0].release()
        answers = [json.loads((await post).content) for post in posts]
        assert answers[0] == answers[1]
        assert len(fake.kernels[0].requests) == 1

    async def test_another_request_with_the_same_key_is_a_422(self, api):
        client = (await api()).client
        await client.post("/execute", json={"code": "x"}, headers=self.KEY)
        response = await client.post("/execute", json={"code": "y"}, headers=self.KEY)
        assert (response.status_code, set(response.json())) == (422, {"message", "code", "remediation"})

    async def test_a_repeat_whose_result_is_gone_is_a_410_and_runs_nothing(self, api):
        fake = await api(max_executions=1)
        body = {"code": "x", "context_id": "c"}
        first = (await fake.client.post("/execute", json=body, headers=self.KEY)).json()
        await execute(fake.client, "other", context_id="c")
        response = await fake.client.post("/execute", json=body, headers=self.KEY)
        assert (response.status_code, response.json()["code"]) == (410, "ResultGone")
        assert first["execution_id"] in response.json()["message"]
        assert len(fake.kernels[0].requests) == 2

    async def test_a_key_stays_used_when_its_context_is_deleted(self, api):
        fake = await api()
        body = {"code": "x", "context_id": "c"}
        await fake.client.post("/execute", json=body, headers=self.KEY)
        await fake.client.delete("/contexts/c")
        assert (await fake.client.post("/execute", json=body, headers=self.KEY)).status_code == 410
        assert len(fake.kernels) == 1

    async def test_a_request_that_was_refused_leaves_its_key_free(self, api):
        fake = await api(SCRIPT, queue_size=1)
        loop = {"code": "loop", "context_id": "c"}
        for _ in range(2):
            await fake.client.post("/execute", json=loop, headers={"Prefer": "respond-async"})
            await fake.busy()
        body = {"code": "x", "context_id": "c"}
        assert (await fake.client.post("/execute", json=body, headers=self.KEY)).status_code == 429
        await fake.client.post("/contexts/c/restart")
        assert (await fake.client.post("/execute", json=body, headers=self.KEY)).json()["status"] == "ok"


class TestResource:
    async def test_a_client_that_does_not_wait_gets_a_202_and_a_place_to_look(self, api):
        fake = await api(SCRIPT)
        response = await fake.client.post(
            "/execute", json={"code": "loop", "context_id": "c"}, headers={"Prefer": "respond-async"}
        )
        assert response.status_code == 202
        assert response.headers["preference-applied"] == "respond-async"
        location = response.headers["location"]
        assert location == f"/executions/{response.json()['execution_id']}"
        await fake.printed(location, "ready")
        state = (await fake.client.get(location)).json()
        assert (state["status"], state["logs"]["stdout"]) == ("running", ["ready"])
        fake.kernels[0].release()
        await fake.execution(location).wait()
        assert (await fake.client.get(location)).json()["status"] == "ok"

    async def test_a_finished_execution_can_be_asked_for_and_is_what_the_post_answered(self, api):
        client = (await api(SCRIPT)).client
        body = await execute(client, "30.0")
        assert (await client.get(f"/executions/{body['execution_id']}")).json() == body

    async def test_an_execution_in_the_queue_says_so(self, api):
        client = (await api(SCRIPT)).client
        prefer = {"Prefer": "respond-async"}
        await client.post("/execute", json={"code": "stubborn", "context_id": "c"}, headers=prefer)
        answer = (await client.post("/execute", json={"code": "x", "context_id": "c"}, headers=prefer)).json()
        assert answer["status"] == "queued"
        assert set(answer) == REQUIRED

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", ""), ("GET", "/events"), ("POST", "/interrupt"), ("POST", "/input")],
    )
    async def test_an_unknown_execution_is_a_404_with_a_message(self, api, method: str, path: str):
        body = {"value": "x"} if path == "/input" else None
        response = await (await api()).client.request(method, f"/executions/nope{path}", json=body)
        assert response.status_code == 404
        assert set(response.json()) == {"message", "code", "remediation"}
        assert "nope" in response.json()["message"]

    async def test_an_interrupt_stops_it_and_keeps_the_state(self, api):
        fake = await api(SCRIPT)
        prefer = {"Prefer": "respond-async"}
        first = (await fake.client.post("/execute", json={"code": "loop", "context_id": "c"}, headers=prefer)).json()
        place = f"/executions/{first['execution_id']}"
        await fake.printed(place, "ready")
        response = await fake.client.post(f"{place}/interrupt")
        assert response.status_code == 200
        assert set(response.json()) == {"execution_id", "status"}
        assert (await execute(fake.client, context_id="c"))["context_state"] == "preserved"
        assert (await fake.client.get(place)).json()["status"] == "interrupted"

    async def test_input_that_nobody_asked_for_is_a_409(self, api):
        client = (await api()).client
        body = await execute(client)
        response = await client.post(f"/executions/{body['execution_id']}/input", json={"value": "x"})
        assert (response.status_code, set(response.json())) == (409, {"message", "code", "remediation"})

    async def test_a_reader_that_can_answer_input_does(self, api):
        fake = await api(SCRIPT)
        prefer = {"Prefer": "respond-async"}
        first = (await fake.client.post("/execute", json={"code": "ask", "context_id": "c"}, headers=prefer)).json()
        place = f"/executions/{first['execution_id']}"
        await event(fake.execution(place), InputRequest)
        assert (await fake.client.post(f"{place}/input", json={"value": "Ada"})).status_code == 204
        await execute(fake.client, context_id="c")
        assert (await fake.client.get(place)).json()["logs"]["stdout"] == ["Ada"]

    async def test_a_bad_answer_to_input_is_a_400(self, api):
        client = (await api()).client
        body = await execute(client)
        for bad in ({}, {"value": 1}, {"value": None}):
            assert set(wrong(await client.post(f"/executions/{body['execution_id']}/input", json=bad))) == {"value"}
