"""The API of contexts and languages: exact statuses, and the shapes that README.md documents."""

from __future__ import annotations

import asyncio
import errno
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.kernels.provisioners.fake import Hold, Say
from engine.workspaces import RunDir
from tests.conftest import Api
from tests.harness.waiting import until

pytestmark = pytest.mark.anyio

READY = Say("stream", {"name": "stdout", "text": "ready\n"})
SCRIPT = {"loop": [READY, Hold()], "stubborn": [READY, Hold(ignore_interrupts=True)]}
FIELDS = {"id", "language", "cwd", "kernel", "state", "created_at", "last_activity", "queued", "execution_count"}
FIELDS |= {"isolation", "network", "limits"}
UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


async def held(fake: Api, code: str = "loop") -> str:
    """Start code that holds; returns the place of its execution."""
    body = {"code": code, "context_id": "c"}
    place = (await fake.client.post("/execute", json=body, headers={"Prefer": "respond-async"})).headers["location"]
    await fake.printed(place, "ready")
    return place


def is_problem(response: httpx.Response, status: int) -> None:
    assert response.status_code == status, response.text
    assert set(response.json()) - {"remediation"} == {"message", "code"}
    assert response.json()["message"]


class TestCreate:
    async def test_a_context_is_made_with_its_kernel_ready(self, api):
        fake = await api()
        response = await fake.client.post("/contexts", json={"language": "python"})
        assert response.status_code == 201
        body = response.json()
        assert set(body) == FIELDS
        assert re.fullmatch(UUID4, body["id"])
        assert (body["language"], body["state"], body["queued"], body["execution_count"]) == ("python", "idle", 0, 0)
        assert response.headers["location"] == f"/contexts/{body['id']}"
        assert Path(body["cwd"]).is_dir()
        assert datetime.fromisoformat(body["created_at"]).tzinfo is not None
        assert len(fake.kernels) == 1

    @pytest.mark.parametrize("content", [b"", b"  ", b"{}", b'{"language": null, "cwd": null, "context_id": null}'])
    async def test_every_field_may_be_left_out(self, api, content: bytes):
        response = await (await api()).client.post("/contexts", content=content)
        assert (response.status_code, response.json()["language"]) == (201, "python")

    async def test_a_context_may_be_given_an_id(self, api):
        client = (await api()).client
        body = (await client.post("/contexts", json={"context_id": "my:context", "language": "ts"})).json()
        assert (body["id"], body["language"]) == ("my:context", "typescript")
        executed = await client.post("/execute", json={"code": "x", "context_id": "my:context", "language": "js"})
        assert executed.json()["execution_count"] == 1

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"language": "cobol"}, "language"),
            ({"language": 1}, "language"),
            ({"cwd": "relative"}, "cwd"),
            ({"cwd": "/nonexistent"}, "cwd"),
            ({"cwd": 5}, "cwd"),
            ({"context_id": "a b"}, "context_id"),
            ([], "body"),
            ("x", "body"),
        ],
    )
    async def test_a_wrong_field_is_a_400_that_names_it(self, api, body: Any, field: str):
        response = await (await api()).client.post("/contexts", json=body)
        assert response.status_code == 400
        assert [wrong["field"] for wrong in response.json()["errors"]] == [field]

    async def test_a_kernel_that_does_not_start_is_a_500_with_a_message(self, api):
        is_problem(await (await api({"start fails": []})).client.post("/contexts", json={}), 500)

    async def test_too_many_busy_contexts_are_a_429(self, api):
        fake = await api(SCRIPT, max_contexts=1)
        client = fake.client
        await held(fake)
        response = await client.post("/contexts", json={})
        is_problem(response, 429)
        assert int(response.headers["retry-after"]) >= 1

    async def test_an_ending_server_answers_503(self, api):
        fake = await api()
        await fake.engine.aclose()
        is_problem(await fake.client.post("/contexts", json={}), 503)


class TestRead:
    async def test_all_contexts_are_listed_in_an_object_oldest_first(self, api):
        client = (await api()).client
        assert (await client.get("/contexts")).json() == {"items": []}
        for name in ("a", "b"):
            await client.post("/contexts", json={"context_id": name})
        body = (await client.get("/contexts")).json()
        assert set(body) == {"items"}
        assert [context["id"] for context in body["items"]] == ["a", "b"]
        assert all(set(context) == FIELDS for context in body["items"])

    async def test_one_context_is_what_its_making_answered(self, api):
        client = (await api()).client
        made = (await client.post("/contexts", json={"context_id": "a"})).json()
        assert (await client.get("/contexts/a")).json() == made

    async def test_of_several_languages_the_query_chooses(self, api):
        client = (await api()).client
        for language in ("python", "ts"):
            await client.post("/contexts", json={"context_id": "a", "language": language})
        assert (await client.get("/contexts/a")).json()["language"] == "python"
        assert (await client.get("/contexts/a?language=js")).json()["language"] == "typescript"
        is_problem(await client.get("/contexts/a?language=deno"), 404)

    @pytest.mark.parametrize("name", ["cobol", ""])
    async def test_an_unknown_language_in_the_query_is_a_400(self, api, name: str):
        client = (await api()).client
        await client.post("/contexts", json={"context_id": "a"})
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/restart"), ("POST", "/interrupt")):
            response = await client.request(method, f"/contexts/a{path}?language={name}")
            assert response.status_code == 400
            assert response.json()["errors"][0]["field"] == "language"

    @pytest.mark.parametrize(
        ("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/restart"), ("POST", "/interrupt")]
    )
    async def test_an_unknown_context_is_a_404_with_a_message(self, api, method: str, path: str):
        is_problem(await (await api()).client.request(method, f"/contexts/nope{path}"), 404)

    async def test_a_culled_context_is_a_404_that_tells_why(self, api):
        fake = await api(context_idle_timeout=0.05)
        await fake.client.post("/contexts", json={"context_id": "a"})
        await until(lambda: not len(fake.engine.contexts))
        response = await fake.client.get("/contexts/a")
        is_problem(response, 404)
        assert "without activity" in response.json()["message"]


class TestActions:
    async def test_deleting_a_context_whose_files_stay_is_a_202_and_they_go_later(
        self, api, monkeypatch: pytest.MonkeyPatch
    ):
        fake = await api()
        (cwd,) = [(await fake.client.post("/contexts", json={"context_id": "c"})).json()["cwd"]]
        with monkeypatch.context() as patched:
            patched.setattr("engine.workspaces.run_directory._REMOVAL_SECONDS", 0.05)
            patched.setattr("engine.workspaces.run_directory.remove_at", lambda *_, **__: "Device or resource busy")
            response = await fake.client.delete("/contexts/c")
        assert response.status_code == 202
        assert "tried again" in response.json()["message"]
        is_problem(await fake.client.get("/contexts/c"), 404)
        assert "polyrepl_files_left 1.0" in (await fake.client.get("/metrics")).text
        await fake.engine.run_dir.retry()
        assert not Path(cwd).exists()
        assert "polyrepl_files_left 0.0" in (await fake.client.get("/metrics")).text

    async def test_a_cell_without_room_for_its_kernel_is_a_507_that_says_why(
        self, api, monkeypatch: pytest.MonkeyPatch
    ):
        fake = await api()

        def full(*_: object) -> Path:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(RunDir, "new_kernel_dir", full)
        response = await fake.client.post("/execute", json={"code": "x"})
        assert response.status_code == 507
        error = response.json()["error"]
        assert (error["name"], response.json()["context_state"]) == ("StorageFull", "lost")
        assert "No space left on device" in error["value"]

    async def test_deleting_is_a_204_without_a_body_and_ends_it(self, api):
        fake = await api(SCRIPT)
        client = fake.client
        await held(fake, "stubborn")
        response = await client.delete("/contexts/c")
        assert (response.status_code, response.content) == (204, b"")
        response = await client.get("/contexts/c")
        is_problem(response, 404)
        assert "deleted" in response.json()["message"]
        is_problem(await client.delete("/contexts/c"), 404)

    async def test_a_call_that_waits_is_answered_when_its_context_is_deleted(self, api):
        fake = await api(SCRIPT)
        waiting = asyncio.create_task(fake.client.post("/execute", json={"code": "stubborn", "context_id": "c"}))
        await fake.busy()
        async with asyncio.timeout(10):
            await fake.client.delete("/contexts/c")
            response = await waiting
        assert response.status_code == 200
        assert (response.json()["status"], response.json()["error"]["name"]) == ("interrupted", "ContextEnded")

    async def test_deleting_one_language_leaves_the_other(self, api):
        client = (await api()).client
        for language in ("python", "ts"):
            await client.post("/contexts", json={"context_id": "a", "language": language})
        assert (await client.delete("/contexts/a?language=py")).status_code == 204
        assert (await client.get("/contexts/a")).json()["language"] == "typescript"

    async def test_a_restart_answers_with_the_context_on_a_fresh_kernel(self, api):
        fake = await api()
        await fake.client.post("/execute", json={"code": "x", "context_id": "c"})
        response = await fake.client.post("/contexts/c/restart")
        assert response.status_code == 200
        assert (response.json()["state"], response.json()["execution_count"]) == ("idle", 0)
        body = (await fake.client.post("/execute", json={"code": "x", "context_id": "c"})).json()
        assert (body["context_state"], body["execution_count"]) == ("restarted", 1)

    async def test_an_interrupt_names_what_it_stopped(self, api):
        fake = await api(SCRIPT)
        client = fake.client
        place = await held(fake)
        response = await client.post("/contexts/c/interrupt")
        assert response.json() == {"executions": [place.removeprefix("/executions/")]}
        await fake.execution(place).wait()
        assert (await client.get(place)).json()["status"] == "interrupted"
        assert (await client.post("/contexts/c/interrupt")).json() == {"executions": []}


class TestLanguages:
    async def test_the_languages_are_listed_with_aliases_versions_and_why_not(self, api):
        body = (await (await api()).client.get("/languages")).json()
        assert set(body) == {"items"}
        found = {language["name"]: language for language in body["items"]}
        assert found["python"]["aliases"] == ["py", "python3"]
        assert found["typescript"]["aliases"] == ["ts", "javascript", "js", "node"]
        for language in found.values():
            assert {"name", "aliases", "kernel", "available"} <= set(language)
            if language["available"]:
                assert language["display_name"]
                assert "reason" not in language
            else:
                assert language["reason"]
        for name in ("python", "typescript"):
            assert found[name]["available"]
            assert re.match(r"\d+\.\d+", found[name]["version"])

    async def test_a_language_that_cannot_run_says_why(self, api):
        body = (await (await api(python="/nonexistent/python")).client.get("/languages")).json()
        (python,) = [language for language in body["items"] if language["name"] == "python"]
        assert python["available"] is False
        assert "/nonexistent/python" in python["reason"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/contexts"),
        ("POST", "/contexts/a"),
        ("GET", "/contexts/a/restart"),
        ("GET", "/execute"),
        ("DELETE", "/executions/a"),
        ("POST", "/languages"),
        ("PATCH", "/"),
    ],
)
async def test_another_method_is_a_405_that_names_those_allowed(api, method: str, path: str):
    response = await (await api()).client.request(method, path)
    is_problem(response, 405)
    assert response.headers["allow"]
    assert method not in response.headers["allow"].split(", ")


async def test_the_allow_header_names_every_method_of_the_path(api):
    response = await (await api()).client.put("/contexts")
    assert {"GET", "POST"} <= set(response.headers["allow"].split(", "))
    response = await (await api()).client.put("/contexts/a")
    assert {"GET", "DELETE"} <= set(response.headers["allow"].split(", "))


@pytest.mark.parametrize("path", ["/nope", "/contexts/", "/contexts/a/nope", "/execute/", "/docs/../engine"])
async def test_an_unknown_path_is_a_404_with_a_message(api, path: str):
    is_problem(await (await api()).client.get(path), 404)
