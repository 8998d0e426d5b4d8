"""The KernelBox dialect: every route, status, field and edge, over scripted kernels."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from engine.api.kernelbox.results import MARKER
from engine.kernels.provisioners.fake import Die, Hold, Say

pytestmark = pytest.mark.anyio


def out(text: str, name: str = "stdout") -> Say:
    return Say("stream", {"name": name, "text": text})


def result(text: str, **more: str) -> Say:
    return Say("execute_result", {"data": {"text/plain": text, **more}, "metadata": {}, "execution_count": 1})


def failure(name: str = "ZeroDivisionError", value: str = "division by zero") -> Say:
    return Say("error", {"ename": name, "evalue": value, "traceback": ["\x1b[31mTraceback\x1b[0m", f"{name}: {value}"]})


SCRIPT = {
    "84": [result("84")],
    "fail": [out("before\n"), failure()],
    "z + 1": [failure("NameError", "name 'z' is not defined")],
    "rich": [
        out("one\n"),
        out("warn\n", "stderr"),
        Say("display_data", {"data": {"text/plain": "<Figure>", "image/png": "iVBOR"}, "metadata": {"a": {"b": 1}}}),
        Say("display_data", {"data": {"x/y": {"k": 1}}, "metadata": {}}),
        result("7", **{"text/html": "<b>7</b>"}),
        out("two\n"),
    ],
    "long": [out("x" * 50), result("y" * 50)],
    "bare": [Say("error", {"ename": "E", "evalue": "v", "traceback": []})],
    "hold": [out("held\n"), Hold()],
    "die": [Die()],
    "update": [
        Say("display_data", {"data": {"text/plain": "1"}, "metadata": {}, "transient": {"display_id": "d"}}),
        Say("update_display_data", {"data": {"text/plain": "2"}, "metadata": {}, "transient": {"display_id": "d"}}),
    ],
    "clear": [
        Say("display_data", {"data": {"text/plain": "1"}, "metadata": {}}),
        Say("clear_output", {"wait": False}),
        out("x"),
    ],
    "%%bash\necho hi": [out("hi\n")],
}
KERNEL = {
    "kernel_id", "connection_file", "name", "created_at", "last_used_at", "status", "session_name", "attempt_count",
    "tags", "age_seconds",
}  # fmt: skip
RESULT = {
    "status", "output", "stderr", "error", "return_value", "execution_count", "duration_ms", "outputs", "attempts",
    "truncated",
}  # fmt: skip


@pytest.fixture
async def client(api) -> httpx.AsyncClient:
    return (await api(SCRIPT)).client


async def run(client: httpx.AsyncClient, code: str, session: str = "demo", **fields: Any) -> dict[str, Any]:
    response = await client.post(f"/sessions/{session}/execute", json={"code": code, **fields})
    assert response.status_code == 200, response.text
    assert set(response.json()) == RESULT
    return response.json()


def is_detail(response: httpx.Response, status: int, text: str) -> None:
    assert (response.status_code, response.json()) == (status, {"detail": text})


def is_refused(response: httpx.Response, *location: str | int) -> dict[str, Any]:
    """As FastAPI refuses a body."""
    assert response.status_code == 422, response.text
    (problem, *_) = response.json()["detail"]
    assert {"type", "loc", "msg", "input"} <= set(problem)
    assert problem["loc"] == list(location)
    return problem


class TestService:
    async def test_health_is_told(self, client):
        body = (await client.get("/health")).json()
        assert body["status"] == "ok"
        assert set(body) == {"status", "service", "version"}

    async def test_the_root_tells_the_service_and_links(self, api):
        client = (await api(surfaces=["kernelbox"])).client
        body = (await client.get("/")).json()
        assert body["service"] == "kernelbox"
        assert {name: link["href"] for name, link in body["links"].items()} == {
            "swagger": "/docs",
            "redoc": "/redoc",
            "openapi": "/openapi.json",
        }
        assert all(link["description"] for link in body["links"].values())

    async def test_what_is_not_there_is_told_as_fastapi_does(self, client):
        is_detail(await client.get("/kernels/a/b/c"), 404, "Not Found")
        is_detail(await client.get("/sessions"), 404, "Not Found")
        for method, path in (("PUT", "/kernels"), ("DELETE", "/sessions/demo"), ("GET", "/sessions/demo/execute")):
            response = await client.request(method, path)
            is_detail(response, 405, "Method Not Allowed")
            assert response.headers["allow"]

    async def test_the_surface_can_be_switched_off(self, api):
        client = (await api(surfaces=["native"])).client
        assert (await client.get("/kernels")).json()["message"] == "Not Found"


class TestKernels:
    async def test_a_kernel_is_made(self, client):
        response = await client.post("/kernels", json={})
        assert response.status_code == 201
        kernel = response.json()
        assert set(kernel) == KERNEL
        assert re.fullmatch("[0-9a-f]{32}", kernel["kernel_id"])
        assert (kernel["name"], kernel["session_name"], kernel["tags"], kernel["attempt_count"]) == (None, None, {}, 0)
        assert kernel["status"] == "running"
        assert 0 <= kernel["age_seconds"] < 60
        assert kernel["created_at"].endswith("+00:00")

    async def test_a_kernel_has_a_name_tags_and_a_session(self, client):
        body = {"name": "my-kernel", "session_name": "s", "tags": {"task": "eda"}}
        kernel = (await client.post("/kernels", json=body)).json()
        assert {name: kernel[name] for name in body} == body
        for identifier in ("my-kernel", kernel["kernel_id"]):
            assert (await client.get(f"/kernels/{identifier}")).json()["kernel"]["tags"] == {"task": "eda"}

    @pytest.mark.parametrize(
        ("field", "body"),
        [
            ("name", {"name": "x" * 20_000}),
            ("session_name", {"session_name": "x" * 20_000}),
            ("tags", {"tags": {"a": "x" * 10_000, "b" * 10_000: ""}}),
            ("tags", {"tags": {str(number): "" for number in range(65)}}),
        ],
    )
    async def test_names_and_tags_are_small_and_a_refusal_names_the_field(self, client, field: str, body: Any):
        response = await client.post("/kernels", json=body)
        (problem,) = response.json()["detail"]
        assert (response.status_code, problem["loc"]) == (422, ["body", field])
        assert "may have" in problem["msg"]
        assert (await client.get("/kernels")).json() == {"kernels": []}

    async def test_the_tags_of_a_session_are_small(self, client):
        response = await client.post("/sessions/s", json={"tags": {"a": "x" * 20_000}})
        assert (response.status_code, response.json()["detail"][0]["loc"]) == (422, ["body", "tags"])

    @pytest.mark.parametrize("name", ["my-kernel", "my kernel", "ä/ö"])
    async def test_a_name_is_taken_once(self, client, name: str):
        assert (await client.post("/kernels", json={"name": name})).status_code == 201
        is_detail(await client.post("/kernels", json={"name": name}), 409, f"Kernel name already exists: {name}")

    async def test_a_name_is_free_again_once_its_kernel_is_gone(self, client):
        for _ in range(2):
            assert (await client.post("/kernels", json={"name": "again"})).status_code == 201
            assert (await client.delete("/kernels/again")).json() == {"destroyed": True}

    @pytest.mark.parametrize(
        ("body", "location"),
        [
            (b"", ("body",)),
            (b"{", ("body", 1)),
            (b"[]", ("body",)),
            (b'{"name": 3}', ("body", "name")),
            (b'{"tags": {"a": 1}}', ("body", "tags", "a")),
            (b'{"tags": []}', ("body", "tags")),
        ],
    )
    async def test_a_wrong_body_is_refused_as_fastapi_does(self, client, body: bytes, location: tuple[str | int, ...]):
        is_refused(await client.post("/kernels", content=body), *location)

    async def test_kernels_are_listed_oldest_first(self, client):
        assert (await client.get("/kernels")).json() == {"kernels": []}
        for name in ("a", "b"):
            await client.post("/kernels", json={"name": name})
        for query in ("", "?refresh=true", "?refresh=0"):
            kernels = (await client.get(f"/kernels{query}")).json()["kernels"]
            assert [kernel["name"] for kernel in kernels] == ["a", "b"]
        is_refused(await client.get("/kernels?refresh=perhaps"), "query", "refresh")

    async def test_one_kernel_is_told_with_whether_it_lives(self, api):
        fake = await api(SCRIPT)
        await fake.client.post("/kernels", json={"name": "a"})
        body = (await fake.client.get("/kernels/a")).json()
        assert (set(body), body["alive"]) == ({"alive", "kernel"}, True)
        await fake.client.post("/kernels/a/execute", json={"code": "die"})
        body = (await fake.client.get("/kernels/a")).json()
        assert (body["alive"], body["kernel"]["status"]) == (False, "dead")
        assert (await fake.client.post("/kernels/a/execute", json={"code": "84"})).json()["return_value"] == "84"
        assert (await fake.client.get("/kernels/a")).json()["alive"] is True

    @pytest.mark.parametrize(
        ("method", "rest"),
        [("GET", ""), ("DELETE", ""), ("POST", "/restart"), ("POST", "/execute"), ("POST", "/execute/retry")],
    )
    async def test_an_unknown_kernel_is_named(self, client, method: str, rest: str):
        response = await client.request(method, f"/kernels/nope{rest}", json={"code": "1"})
        is_detail(response, 404, "Unknown kernel: nope")

    async def test_a_restarted_kernel_is_fresh(self, api):
        fake = await api(SCRIPT)
        await fake.client.post("/kernels", json={"name": "a"})
        response = await fake.client.post("/kernels/a/restart")
        assert (response.status_code, set(response.json()), response.json()["status"]) == (200, KERNEL, "running")
        assert len(fake.kernels) == 2

    async def test_all_kernels_made_here_are_destroyed_and_no_others(self, client):
        made = (await client.post("/kernels", json={})).json()["kernel_id"]
        await client.post("/sessions/demo")
        await client.post("/contexts", json={"context_id": "theirs"})
        assert (await client.delete("/kernels")).json() == {"destroyed": [made, "demo"]}
        assert [kernel["kernel_id"] for kernel in (await client.get("/kernels")).json()["kernels"]] == ["theirs"]
        assert (await client.delete("/kernels/theirs")).json() == {"destroyed": True}

    async def test_a_kernel_that_cannot_be_started_says_why(self, api):
        client = (await api({"start fails": []})).client
        for url in ("/kernels", "/sessions/demo", "/sessions/demo/execute"):
            response = await client.post(url, json={"code": "1"})
            assert response.status_code == 500
            assert "could not be started" in response.json()["detail"]
        assert (await client.get("/kernels")).json() == {"kernels": []}

    async def test_a_full_server_says_when_to_come_back(self, api):
        fake = await api(SCRIPT, max_contexts=1)
        await fake.engine.execute("hold", context_id="busy")
        response = await fake.client.post("/kernels", json={})
        assert (response.status_code, set(response.json())) == (429, {"detail"})
        assert response.headers["retry-after"]


class TestExecute:
    async def test_the_documented_result(self, client):
        told = await run(client, "84")
        assert isinstance(told.pop("duration_ms"), int)
        assert told == {
            "status": "success",
            "output": "",
            "stderr": "",
            "error": None,
            "return_value": "84",
            "execution_count": 1,
            "outputs": [
                {
                    "kind": "execute_result",
                    "text": "84",
                    "name": None,
                    "data": {"text/plain": "84"},
                    "metadata": {},
                }
            ],
            "attempts": [],
            "truncated": False,
        }

    async def test_a_failure_is_a_result_with_its_error(self, client):
        told = await run(client, "fail")
        error = {
            "ename": "ZeroDivisionError",
            "evalue": "division by zero",
            "traceback": ["Traceback", "ZeroDivisionError: division by zero"],
        }
        assert (told["status"], told["error"], told["output"]) == ("error", error, "before\n")
        last = told["outputs"][-1]
        assert (last["kind"], last["text"], last["data"]) == ("error", "ZeroDivisionError: division by zero", error)

    async def test_an_error_without_a_traceback_has_none(self, client):
        assert (await run(client, "bare"))["error"] == {"ename": "E", "evalue": "v", "traceback": []}

    async def test_outputs_are_told_in_order_with_all_they_have(self, client):
        told = await run(client, "rich")
        assert (told["output"], told["stderr"], told["return_value"]) == ("one\ntwo\n", "warn\n", "7")
        assert [(each["kind"], each["name"], each["text"]) for each in told["outputs"]] == [
            ("stream", "stdout", "one\n"),
            ("stream", "stderr", "warn\n"),
            ("display_data", None, "<Figure>"),
            ("display_data", None, None),
            ("execute_result", None, "7"),
            ("stream", "stdout", "two\n"),
        ]
        assert told["outputs"][2]["data"] == {"text/plain": "<Figure>", "image/png": "iVBOR"}
        assert told["outputs"][2]["metadata"] == {"a": {"b": 1}}
        assert told["outputs"][3]["data"] == {"x/y": {"k": 1}}
        assert told["outputs"][4]["data"] == {"text/plain": "7", "text/html": "<b>7</b>"}

    async def test_an_update_replaces_and_a_clear_removes(self, client):
        assert [each["text"] for each in (await run(client, "update"))["outputs"]] == ["2"]
        assert [each["text"] for each in (await run(client, "clear"))["outputs"]] == ["x"]

    async def test_long_texts_are_cut_inside_the_limit_and_marked(self, api):
        client = (await api(SCRIPT, kernelbox_output_chars=40)).client
        told = await run(client, "long")
        assert told["truncated"] is True
        assert told["output"] == "x" * (40 - len(MARKER)) + MARKER
        assert told["outputs"][0]["text"] == told["output"]
        assert told["outputs"][1]["text"] == "y" * (40 - len(MARKER)) + MARKER
        assert told["return_value"] == "y" * 50

    async def test_of_very_many_outputs_only_pieces_of_text_are_not_told_one_by_one(self, api):
        lines = [out(f"{number}\n", name) for number in range(100) for name in ("stdout", "stderr")]
        show = Say("display_data", {"data": {"text/plain": "<Figure>", "image/png": "iVBOR"}, "metadata": {}})
        script = {"early": [show, *lines], "value": [result("7"), show, *lines], "both": [show, *lines, result("7")]}
        client = (await api(script, max_events=100)).client
        for code, kinds, value in (
            ("early", ["display_data"], None),
            ("value", ["execute_result", "display_data"], "7"),
            ("both", ["display_data", "execute_result"], "7"),
        ):
            told = await run(client, code)
            text = "".join(f"{number}\n" for number in range(100))
            assert (told["output"], told["stderr"], told["return_value"]) == (text, text, value)
            items = [each for each in told["outputs"] if each["kind"] != "stream"]
            assert ([each["kind"] for each in items], told["truncated"]) == (kinds, True)
            assert [each["data"].get("image/png") for each in items if each["kind"] == "display_data"] == ["iVBOR"]
            assert told["outputs"][0] == items[0]
            assert len(told["outputs"]) < 110

    async def test_no_limit_cuts_nothing(self, api):
        told = await run((await api(SCRIPT, kernelbox_output_chars=0)).client, "long")
        assert (told["truncated"], told["output"]) == (False, "x" * 50)

    async def test_a_timeout_interrupts_and_says_so(self, client):
        told = await run(client, "hold", timeout=0.1)
        assert (told["status"], told["output"]) == ("timeout", "held\n")
        assert told["error"]["ename"] == "TimeoutError"
        assert "state is kept" in told["error"]["evalue"]
        assert (await run(client, "84"))["status"] == "success"

    async def test_a_kernel_that_dies_is_an_error(self, client):
        told = await run(client, "die")
        assert (told["status"], told["error"]["ename"]) == ("error", "KernelDied")

    async def test_bash_is_run_as_ipython_does(self, client):
        assert (await run(client, "echo hi", language="bash"))["output"] == "hi\n"

    @pytest.mark.parametrize(
        ("body", "location"),
        [
            ({}, ("body", "code")),
            ({"code": 3}, ("body", "code")),
            ({"code": "1", "language": "cobol"}, ("body", "language")),
            ({"code": "1", "timeout": 0.05}, ("body", "timeout")),
            ({"code": "1", "timeout": "soon"}, ("body", "timeout")),
            ({"code": "1", "timeout": 1e9}, ("body", "timeout")),
        ],
    )
    @pytest.mark.parametrize("url", ["/sessions/demo/execute", "/kernels/demo/execute"])
    async def test_a_wrong_field_is_named(self, client, url: str, body: dict[str, Any], location: tuple[str, ...]):
        await client.post("/sessions/demo")
        is_refused(await client.post(url, json=body), *location)

    async def test_two_calls_of_one_session_run_one_after_the_other(self, api):
        fake = await api(SCRIPT)
        first = asyncio.create_task(run(fake.client, "hold", timeout=0.3))
        second = asyncio.create_task(run(fake.client, "84"))
        assert (await first)["status"] == "timeout"
        assert (await second)["status"] == "success"
        assert len(fake.kernels) == 1

    async def test_the_queue_has_a_limit(self, api):
        fake = await api(SCRIPT, queue_size=1)
        await run(fake.client, "84")
        for _ in range(2):
            await fake.engine.execute("hold", context_id="demo")
            await asyncio.sleep(0)
        response = await fake.client.post("/sessions/demo/execute", json={"code": "84"})
        assert (response.status_code, set(response.json())) == (429, {"detail"})
