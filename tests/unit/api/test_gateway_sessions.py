"""Sessions of the Kernel Gateway's API: documents and their kernels, and what becomes of them."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.unit.api.test_gateway import is_refusal, new_kernel

pytestmark = pytest.mark.anyio


class TestSessions:
    async def test_a_session_is_a_name_for_a_kernel(self, api):
        client = (await api()).client
        response = await client.post("/api/sessions", json={"path": "a/b.ipynb", "type": "notebook"})
        assert response.status_code == 201
        session = response.json()
        assert response.headers["location"] == f"/api/sessions/{session['id']}"
        assert (session["path"], session["name"], session["notebook"]["path"]) == ("a/b.ipynb", "b.ipynb", "a/b.ipynb")
        assert (await client.get(f"/api/kernels/{session['kernel']['id']}")).status_code == 200
        assert [each["id"] for each in (await client.get("/api/sessions")).json()] == [session["id"]]

    @pytest.mark.parametrize("field", ["path", "name", "type"])
    async def test_what_is_kept_of_a_session_is_small(self, api, field: str):
        client = (await api()).client
        body = {"path": "a", "type": "notebook", field: "x" * 4097}
        response = await client.post("/api/sessions", json=body)
        assert (response.status_code, response.json()["message"]) == (
            400,
            f"{field} has 4097 characters, and may have 4096",
        )
        session = (await client.post("/api/sessions", json={"path": "a", "type": "notebook"})).json()
        changed = await client.patch(f"/api/sessions/{session['id']}", json={field: "x" * 4097})
        assert changed.status_code == 400
        assert len((await client.get("/api/kernels")).json()) == 1

    async def test_the_same_path_is_the_same_session(self, api):
        client = (await api()).client
        body = {"path": "a", "type": "notebook", "kernel": {"name": "python3"}}
        first, second = [(await client.post("/api/sessions", json=body)) for _ in range(2)]
        assert (second.status_code, second.json()["id"]) == (201, first.json()["id"])

    async def test_the_same_path_asked_for_twice_at_once_is_one_session_with_one_kernel(self, api):
        client = (await api()).client
        body = {"path": "a", "type": "notebook", "kernel": {"name": "python3"}}
        answers = await asyncio.gather(*(client.post("/api/sessions", json=body) for _ in range(3)))
        assert {answer.status_code for answer in answers} == {201}
        (session,) = (await client.get("/api/sessions")).json()
        assert {answer.json()["id"] for answer in answers} == {session["id"]}
        assert [each["id"] for each in (await client.get("/api/kernels")).json()] == [session["kernel"]["id"]]

    async def test_a_kernel_for_a_session_that_is_ended_meanwhile_does_not_stay(self, api):
        client = (await api()).client
        session = (await client.post("/api/sessions", json={"path": "a", "type": "notebook"})).json()
        path = f"/api/sessions/{session['id']}"
        changed, deleted = await asyncio.gather(
            client.patch(path, json={"kernel": {"name": "typescript"}}), client.delete(path)
        )
        assert (changed.status_code, deleted.status_code) == (410, 204)
        assert (await client.get("/api/kernels")).json() == []

    async def test_the_oldest_shape_of_a_session_is_understood(self, api):
        client = (await api()).client
        session = (await client.post("/api/sessions", json={"notebook": {"path": "a"}})).json()
        assert (session["type"], session["path"]) == ("notebook", "a")

    async def test_a_session_can_be_given_a_kernel_that_is_there(self, api):
        client = (await api()).client
        kernel = await new_kernel(client)
        body = {"path": "a", "type": "console", "kernel": {"id": kernel["id"]}}
        assert (await client.post("/api/sessions", json=body)).json()["kernel"]["id"] == kernel["id"]
        body = {"path": "b", "type": "console", "kernel": {"id": "gone", "name": "typescript"}}
        session = (await client.post("/api/sessions", json=body)).json()
        assert (session["kernel"]["id"] != "gone", session["kernel"]["name"]) == (True, "typescript")
        response = await client.patch(f"/api/sessions/{session['id']}", json={"kernel": {"id": "gone"}})
        is_refusal(response, 404, "Not Found", "Kernel does not exist: gone")

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({"type": "notebook"}, "Missing field in JSON data: path"),
            ({"path": "a"}, "Missing field in JSON data: type"),
            ({"path": 3, "type": "notebook"}, "path must be a string"),
            ({"path": "a", "type": "notebook", "kernel": 3}, "kernel must be an object"),
            ({"path": "a", "type": "notebook", "kernel": {"name": 3}}, "name must be a string"),
            ({"path": "a", "type": "notebook", "name": 3}, "name must be a string"),
            (None, "No JSON data provided"),
            ([], "Invalid JSON in body of request"),
        ],
    )
    async def test_what_is_wrong_with_a_session_is_named_and_starts_nothing(self, api, body, message: str):
        fake = await api()
        content = b"" if body is None else json.dumps(body)
        is_refusal(await fake.client.post("/api/sessions", content=content), 400, "Bad Request", message)
        assert not fake.kernels

    async def test_an_unknown_kernel_of_a_session_is_a_501(self, api):
        body = {"path": "a", "type": "notebook", "kernel": {"name": "nope"}}
        client = (await api()).client
        session = (await client.post("/api/sessions", json={**body, "kernel": {}})).json()
        for response in (
            await client.post("/api/sessions", json={**body, "path": "b"}),
            await client.patch(f"/api/sessions/{session['id']}", json=body),
        ):
            assert (response.status_code, response.json()["short_message"]) == (501, "nope not found")
            assert "'nope'" in response.json()["message"]

    async def test_a_session_can_be_renamed_and_moved_to_another_kernel(self, api):
        client = (await api()).client
        session = (await client.post("/api/sessions", json={"path": "a", "type": "notebook"})).json()
        path = f"/api/sessions/{session['id']}"
        changed = (await client.patch(path, json={"path": "b", "name": "n", "kernel": {"name": "typescript"}})).json()
        assert (changed["path"], changed["name"], changed["kernel"]["name"]) == ("b", "n", "typescript")
        assert (await client.get(path)).json() == changed
        changed = (await client.patch(path, json={"notebook": {"path": "c"}})).json()
        assert changed["notebook"] == {"path": "c", "name": "n"}

    async def test_a_kernel_that_a_session_leaves_ends_unless_another_one_has_it(self, api):
        client = (await api()).client
        first = (await client.post("/api/sessions", json={"path": "a", "type": "notebook"})).json()
        body = {"path": "b", "type": "console", "kernel": {"id": first["kernel"]["id"]}}
        second = (await client.post("/api/sessions", json=body)).json()
        for session, left in ((first, 200), (second, 404)):
            changed = await client.patch(f"/api/sessions/{session['id']}", json={"kernel": {"name": "python3"}})
            assert changed.json()["kernel"]["id"] != first["kernel"]["id"]
            assert (await client.get(f"/api/kernels/{first['kernel']['id']}")).status_code == left
        assert len((await client.get("/api/sessions")).json()) == len((await client.get("/api/kernels")).json()) == 2

    @pytest.mark.parametrize(
        ("content", "status", "message"),
        [
            (b"", 400, "No JSON data provided"),
            (b"{", 400, "Invalid JSON in body of request"),
            (b'{"path": 3}', 400, "path must be a string"),
            (b'{"kernel": 3}', 400, "kernel must be an object"),
            (b'{"kernel": {"id": "gone"}}', 404, "Kernel does not exist: gone"),
        ],
    )
    async def test_a_wrong_change_of_a_session_changes_nothing(self, api, content: bytes, status: int, message: str):
        client = (await api()).client
        session = (await client.post("/api/sessions", json={"path": "a", "type": "notebook"})).json()
        path = f"/api/sessions/{session['id']}"
        response = await client.patch(path, content=content)
        assert (response.status_code, response.json()["message"]) == (status, message)
        assert (await client.get(path)).json() == session

    async def test_a_deleted_session_takes_its_kernel_along(self, api):
        client = (await api()).client
        session = (await client.post("/api/sessions", json={"path": "a", "type": "notebook"})).json()
        assert (await client.delete(f"/api/sessions/{session['id']}")).status_code == 204
        for method in ("GET", "PATCH"):
            is_refusal(await client.request(method, f"/api/sessions/{session['id']}"), 404, "Not Found")
        is_refusal(await client.delete(f"/api/sessions/{session['id']}"), 410, "Gone", "Kernel deleted before session")
        assert (await client.get(f"/api/kernels/{session['kernel']['id']}")).status_code == 404

    @pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
    async def test_a_session_whose_kernel_is_gone_says_so(self, api, method: str):
        client = (await api()).client
        body = {"path": "a", "type": "notebook"}
        session = (await client.post("/api/sessions", json=body)).json()
        await client.delete(f"/contexts/{session['kernel']['id']}")
        for _ in range(2):
            response = await client.request(method, f"/api/sessions/{session['id']}")
            is_refusal(response, 410, "Gone", "Kernel deleted before session")
        assert (await client.get("/api/sessions")).json() == []
        assert (await client.post("/api/sessions", json=body)).json()["id"] != session["id"]

    async def test_an_unknown_session_is_not_found(self, api):
        client = (await api()).client
        for method in ("GET", "PATCH"):
            response = await client.request(method, "/api/sessions/nope", json={"path": "b"})
            is_refusal(response, 404, "Not Found", "Session not found: nope")
        is_refusal(await client.delete("/api/sessions/nope"), 410, "Gone", "Kernel deleted before session")

    async def test_a_session_stays_with_its_language_when_another_of_the_same_id_ends(self, api):
        client = (await api()).client
        sessions = {}
        for language in ("python", "typescript"):
            await client.post("/contexts", json={"context_id": "demo", "language": language})
            body = {"path": language, "type": "console", "kernel": {"id": f"demo~{language}"}}
            sessions[language] = (await client.post("/api/sessions", json=body)).json()["id"]
        await client.delete("/contexts/demo?language=python")
        is_refusal(await client.get(f"/api/sessions/{sessions['python']}"), 410, "Gone")
        kernel = (await client.get(f"/api/sessions/{sessions['typescript']}")).json()["kernel"]
        assert (kernel["id"], kernel["name"]) == ("demo", "typescript")


class TestKernelsAtOnce:
    async def test_of_those_that_ask_for_the_same_id_one_gets_it(self, api):
        client = (await api()).client
        body = {"kernel_id": "3b0c1f6e-5f2d-4a0e-9d4e-2b2a4f5c6d7e"}
        answers = await asyncio.gather(*(client.post("/api/kernels", json=body) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409]

    async def test_those_that_come_together_do_not_pass_the_limit(self, api):
        client = (await api(max_kernels=1)).client
        answers = await asyncio.gather(*(client.post("/api/kernels") for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [201, 403, 403]
