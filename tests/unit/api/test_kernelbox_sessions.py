"""The KernelBox dialect: retries, sessions, clients at the same time, settings, and its place beside other dialects."""

from __future__ import annotations

import asyncio
import os
import re

import httpx
import pytest

from engine.api.dialects import settings_of
from engine.api.kernelbox import routes as kernelbox
from engine.settings import load_settings
from tests.unit.api.test_kernelbox import KERNEL, SCRIPT, is_refused, run
from tests.unit.api.test_streaming import Client

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(api) -> httpx.AsyncClient:
    return (await api(SCRIPT)).client


class TestAtOnce:
    """What several clients ask at the same time."""

    async def test_two_that_delete_all_kernels_both_succeed(self, client):
        for name in "abc":
            assert (await client.post("/kernels", json={"name": name})).status_code == 201
        answers = await asyncio.gather(*(client.delete("/kernels") for _ in range(3)))
        assert {answer.status_code for answer in answers} == {200}
        destroyed = [each for answer in answers for each in answer.json()["destroyed"]]
        assert sorted(destroyed) == ["a", "b", "c"]
        assert (await client.get("/kernels")).json() == {"kernels": []}

    async def test_nobodys_code_comes_before_the_startup_code(self, api):
        fake = await api(SCRIPT, kernelbox_startup_code="84")
        await asyncio.gather(run(fake.client, "bare"), run(fake.client, "long"))
        (kernel,) = fake.kernels
        codes = [request[0]["code"] for request in kernel.requests]
        assert (codes[0], len(codes)) == ("84", 3)


class TestRetry:
    async def test_replacements_are_tried_in_turn(self, client):
        await client.post("/kernels", json={"name": "k"})
        body = {"code": "z + 1", "replacement_codes": ["fail", "84"], "max_attempts": 5}
        told = (await client.post("/kernels/k/execute/retry", json=body)).json()
        assert (told["status"], told["return_value"]) == ("success", "84")
        assert [(each["attempt"], each["code"], each["status"]) for each in told["attempts"]] == [
            (1, "z + 1", "error"),
            (2, "fail", "error"),
            (3, "84", "success"),
        ]
        assert set(told["attempts"][0]) == {"attempt", "code", "status", "output", "stderr", "error"}
        assert told["attempts"][0]["error"]["ename"] == "NameError"
        assert (await client.get("/kernels/k")).json()["kernel"]["attempt_count"] == 3

    async def test_without_a_replacement_the_last_code_is_tried_again_up_to_the_limit(self, client):
        await client.post("/kernels", json={"name": "k"})
        told = (await client.post("/kernels/k/execute/retry", json={"code": "fail", "max_attempts": 2})).json()
        assert told["status"] == "max_attempts_exceeded"
        assert [each["code"] for each in told["attempts"]] == ["fail", "fail"]
        assert (told["error"]["ename"], told["output"]) == ("ZeroDivisionError", "before\n")
        told = (await client.post("/kernels/k/execute/retry", json={"code": "fail"})).json()
        assert len(told["attempts"]) == 5

    async def test_the_documented_session_route_takes_what_to_run_on_an_error(self, client):
        body = {"code": "z + 1", "on_error_code": "84", "max_attempts": 3}
        response = await client.post("/sessions/new/execute_with_retry", json=body)
        assert response.status_code == 200
        assert response.json()["status"] == "success"
        assert [each["code"] for each in response.json()["attempts"]] == ["z + 1", "84"]
        body["on_error_code"] = "fail"
        told = (await client.post("/sessions/new/execute_with_retry", json=body)).json()
        assert [each["code"] for each in told["attempts"]] == ["z + 1", "fail", "fail"]

    async def test_a_timeout_is_tried_again_too(self, client):
        body = {"code": "hold", "timeout": 0.1, "on_error_code": "84"}
        told = (await client.post("/sessions/t/execute_with_retry", json=body)).json()
        assert [each["status"] for each in told["attempts"]] == ["timeout", "success"]

    async def test_a_kernel_that_is_deleted_meanwhile_is_not_made_again(self, api):
        fake = await api(SCRIPT)
        await fake.client.post("/kernels", json={"name": "k"})
        body = {"code": "hold", "max_attempts": 3, "on_error_code": "84"}
        retrying = asyncio.create_task(fake.client.post("/kernels/k/execute/retry", json=body))
        await fake.busy()
        await fake.client.delete("/kernels/k")
        response = await retrying
        assert (response.status_code, response.json()) == (404, {"detail": "Unknown kernel: k"})
        assert (len(fake.engine.contexts), len(fake.kernels)) == (0, 1)

    async def test_retries_end_with_their_client(self, api):
        fake = await api(SCRIPT)
        await fake.client.post("/kernels", json={"name": "k"})
        body = {"code": "hold", "max_attempts": 3, "on_error_code": "84"}
        client = Client(fake.client._transport.app, "/kernels/k/execute/retry", body)
        await fake.busy()
        client.leave()
        async with asyncio.timeout(60):
            await client.task
        assert (await run(fake.client, "84", "k"))["status"] == "success"
        assert [request[0]["code"] for request in fake.kernels[0].requests] == ["hold", "84"]

    async def test_code_that_comes_slowly_does_not_make_a_deleted_kernel_again(self, api):
        fake = await api(SCRIPT)
        await fake.client.post("/kernels", json={"name": "k"})
        has_begun, is_gone = asyncio.Event(), asyncio.Event()

        async def slow_body():
            yield b'{"code": '
            has_begun.set()
            await is_gone.wait()
            yield b'"84"}'

        sending = asyncio.create_task(fake.client.post("/kernels/k/execute", content=slow_body()))
        await has_begun.wait()
        await fake.client.delete("/kernels/k")
        is_gone.set()
        assert (await sending).status_code == 404
        assert len(fake.engine.contexts) == 0

    @pytest.mark.parametrize("value", [0, kernelbox.MAX_ATTEMPTS + 1, "many"])
    async def test_a_wrong_number_of_attempts_is_refused(self, client, value: object):
        await client.post("/sessions/demo")
        for url in ("/sessions/demo/execute_with_retry", "/kernels/demo/execute/retry"):
            is_refused(await client.post(url, json={"code": "1", "max_attempts": value}), "body", "max_attempts")


class TestSessions:
    @pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"tags": {"a": "b"}}'])
    async def test_a_session_is_made_once_and_found_again(self, client, body: bytes):
        first = await client.post("/sessions/demo", content=body)
        assert (first.status_code, set(first.json())) == (200, KERNEL)
        assert (first.json()["name"], first.json()["session_name"]) == ("demo", "demo")
        again = await client.post("/sessions/demo", json={"tags": {"other": "tag"}})
        assert again.json()["kernel_id"] == first.json()["kernel_id"]
        assert again.json()["tags"] == first.json()["tags"]

    async def test_a_session_is_made_by_its_first_code(self, client):
        await run(client, "84", "new")
        assert (await client.get("/kernels/new")).json()["kernel"]["session_name"] == "new"

    async def test_a_wrong_body_is_refused(self, client):
        is_refused(await client.post("/sessions/demo", json={"tags": 3}), "body", "tags")

    async def test_any_name_will_do(self, client):
        await run(client, "84", "my%20session")
        kernel = (await client.get("/kernels/my%20session")).json()["kernel"]
        assert kernel["name"] == "my session"
        assert re.fullmatch("[0-9a-f]{32}", kernel["kernel_id"])
        assert (await client.post("/sessions/my%20session")).json()["kernel_id"] == kernel["kernel_id"]

    async def test_a_session_that_many_ask_for_at_once_is_made_once(self, api):
        fake = await api(SCRIPT)
        await asyncio.gather(*(run(fake.client, "84", name) for name in ["demo", "a%20b"] * 4))
        assert len(fake.kernels) == 2


class TestOtherDialects:
    async def test_sessions_are_contexts_and_contexts_kernels(self, client):
        await client.post("/sessions/demo", json={"tags": {"task": "eda"}})
        context = (await client.get("/contexts/demo")).json()
        assert (context["language"], context["name"], context["tags"]) == ("python", "demo", {"task": "eda"})
        assert (await client.get("/api/kernels/demo")).json()["name"] == "python3"
        await client.post("/contexts", json={"context_id": "ours"})
        assert (await client.post("/kernels/ours/execute", json={"code": "84"})).json()["return_value"] == "84"
        told = (await client.post("/execute", json={"code": "84", "context_id": "demo"})).json()
        assert told["items"][0]["text"] == "84"

    async def test_a_context_of_two_languages_is_one_kernel(self, client):
        for language in ("typescript", "python"):
            await client.post("/contexts", json={"context_id": "both", "language": language})
        assert len((await client.get("/kernels")).json()["kernels"]) == 1
        assert (await run(client, "84", "both"))["status"] == "success"
        await client.delete("/kernels/both")
        assert (await client.get("/contexts")).json()["items"] == []


class TestSettings:
    async def test_a_token_is_asked_for_in_its_words(self, api):
        client = (await api(SCRIPT, token="t0ken")).client
        response = await client.get("/kernels")
        assert (response.status_code, set(response.json())) == (401, {"detail"})
        assert (await client.get("/kernels", headers={"Authorization": "Bearer t0ken"})).status_code == 200

    async def test_a_large_body_is_refused_in_its_words(self, api):
        client = (await api(SCRIPT, max_request_bytes=1024)).client
        response = await client.post("/sessions/demo/execute", json={"code": "x" * 2000})
        assert (response.status_code, set(response.json())) == (413, {"detail"})

    async def test_start_up_code_runs_in_new_kernels(self, api):
        client = (await api(SCRIPT, kernelbox_startup_code="84")).client
        assert (await run(client, "84"))["execution_count"] == 2
        assert (await run(client, "84"))["execution_count"] == 3

    async def test_a_default_timeout_is_its_own(self, api):
        client = (await api(SCRIPT, kernelbox_timeout=0.1)).client
        assert (await run(client, "hold"))["status"] == "timeout"

    def test_the_variables_of_kernelbox_are_understood(self, monkeypatch: pytest.MonkeyPatch):
        for name, value in (
            ("EXECUTION_TIMEOUT", "7.5"),
            ("OUTPUT_CHAR_LIMIT", "99"),
            ("MAX_RETRIES", "3"),
            ("STARTUP_CODE", "import math"),
            ("KERNEL_TYPE", "python3"),
            ("KERNEL_IDLE_TIMEOUT", "60"),
        ):
            monkeypatch.setenv(f"KERNELBOX_{name}", value)
        aliases = settings_of(os.environ)
        settings = load_settings(aliases=aliases)
        assert settings.kernelbox_timeout == 7.5
        assert settings.kernelbox_output_chars == 99
        assert settings.kernelbox_attempts == 3
        assert settings.kernelbox_startup_code == "import math"
        assert settings.kernelbox_kernel == "python3"
        assert settings.context_idle_timeout == 60
        assert load_settings(aliases=aliases, kernelbox_timeout=1).kernelbox_timeout == 1
