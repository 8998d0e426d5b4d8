"""The E2B dialect: contexts, and the ways to address it."""

from __future__ import annotations

import asyncio

import pytest

from engine.kernels.channels.fake import FakeChannels
from tests.harness.waiting import until
from tests.unit.api.test_e2b import SANDBOX, SCRIPT, TOKEN, lines, run

pytestmark = pytest.mark.anyio


class TestContexts:
    async def test_health_is_ok(self, api):
        response = await (await api()).client.get("/e2b/health")
        assert (response.status_code, response.json()) == (200, "OK")

    async def test_the_default_contexts_are_listed_before_they_are_needed(self, api):
        fake = await api()
        listed = (await fake.client.get("/e2b/contexts", headers=SANDBOX)).json()
        assert [each["language"] for each in listed] == ["python", "javascript"]
        assert not fake.kernels
        for each in listed:  # and they can be named
            assert (await fake.client.post(f"/e2b/contexts/{each['id']}/restart", headers=SANDBOX)).json() is None
            body = {"code": "1", "context_id": each["id"]}
            assert lines(await fake.client.post("/e2b/execute", json=body, headers=SANDBOX))[1]["text"] == "1"
        assert len(fake.kernels) == 2
        again = (await fake.client.get("/e2b/contexts", headers=SANDBOX)).json()
        assert [each["id"] for each in again] == [each["id"] for each in listed]

    async def test_a_language_has_one_default_context_whatever_it_is_called(self, api):
        fake = await api()
        names = ("js", "javascript", "ts", "typescript", "node", "python", "py")
        counts = [(await run(fake.client, "1", language=name))[0]["execution_count"] for name in names]
        assert counts == [1, 2, 1, 2, 3, 1, 2]
        listed = (await fake.client.get("/e2b/contexts")).json()
        assert [each["language"] for each in listed] == ["python", "javascript", "typescript"]
        assert len(fake.kernels) == 3
        for each, next_count in zip(listed, (3, 4, 3), strict=True):
            assert (await run(fake.client, "1", context_id=each["id"]))[0]["execution_count"] == next_count

    async def test_the_default_contexts_share_a_directory_that_lives_as_long_as_one_of_them(self, api):
        fake = await api()
        for language in ("js", "ts", "python"):
            await run(fake.client, "1", language=language)
        listed = (await fake.client.get("/e2b/contexts")).json()
        assert len({each["cwd"] for each in listed}) == 1
        (root,) = {context.workspace.root for context in fake.engine.contexts}
        for each in listed:
            assert root.exists()
            assert (await fake.client.delete(f"/e2b/contexts/{each['id']}")).json() is None
        assert not root.exists()

    async def test_sandboxes_have_default_contexts_of_their_own(self, api):
        client = (await api()).client
        for name in ("one", "two"):
            headers = {"E2b-Sandbox-Id": name}
            found = lines(await client.post("/e2b/execute", json={"code": "1"}, headers=headers))
            assert found[0]["execution_count"] == 1
        native = [each["id"] for each in (await client.get("/contexts")).json()["items"]]
        assert native == ["one", "two"]
        listed = (await client.get("/e2b/contexts", headers={"E2b-Sandbox-Id": "one"})).json()
        assert [each["id"].split(":")[0] for each in listed] == ["one", "one"]

    async def test_no_other_sandbox_lists_a_context_whose_kernel_still_starts(self, api):
        opened = asyncio.Event()

        class Slow(FakeChannels):
            async def open(self) -> None:
                await opened.wait()
                await super().open()

        fake = await api(channels=Slow)
        making = asyncio.create_task(fake.client.post("/e2b/contexts", json={}, headers={"E2b-Sandbox-Id": "one"}))
        await until(lambda: fake.kernels)
        listed = [await fake.client.get("/e2b/contexts", headers={"E2b-Sandbox-Id": name}) for name in ("one", "two")]
        opened.set()
        made = (await making).json()
        assert [made in each.json() for each in listed] == [True, False]

    async def test_a_context_is_made_used_restarted_and_removed(self, api):
        client = (await api()).client
        response = await client.post("/e2b/contexts", json={})
        assert response.status_code == 200
        made = response.json()
        assert set(made) == {"id", "language", "cwd"}
        assert made["language"] == "python"
        assert (await client.get("/e2b/contexts")).json()[-1] == made
        await run(client, "1", context_id=made["id"])
        assert (await run(client, "1", context_id=made["id"]))[0]["execution_count"] == 2
        response = await client.post(f"/e2b/contexts/{made['id']}/restart")
        assert (response.status_code, response.json()) == (200, None)
        assert (await run(client, "1", context_id=made["id"]))[0]["execution_count"] == 1
        response = await client.delete(f"/e2b/contexts/{made['id']}")
        assert (response.status_code, response.json()) == (200, None)
        response = await client.post("/e2b/execute", json={"code": "1", "context_id": made["id"]})
        assert response.status_code == 404

    @pytest.mark.parametrize(
        ("asked", "told"),
        [
            ("js", "javascript"),
            ("javascript", "javascript"),
            ("ts", "typescript"),
            ("python", "python"),
            ("py", "python"),
        ],
    )
    async def test_a_context_keeps_the_name_of_its_language(self, api, asked: str, told: str):
        client = (await api()).client
        made = (await client.post("/e2b/contexts", json={"language": asked})).json()
        assert made["language"] == told
        assert (await client.get("/e2b/contexts")).json()[-1]["language"] == told

    async def test_a_working_directory_is_taken_where_it_exists(self, api, tmp_path):
        client = (await api()).client
        made = (await client.post("/e2b/contexts", json={"cwd": str(tmp_path)})).json()
        assert made["cwd"] == str(tmp_path)
        response = await client.post("/e2b/contexts", json={"cwd": "/no/such"})
        assert response.status_code == 422
        assert response.json()["detail"][0]["loc"] == ["body", "cwd"]

    async def test_a_body_is_required(self, api):
        response = await (await api()).client.post("/e2b/contexts")
        assert response.status_code == 422

    async def test_contexts_of_other_apis_are_seen_and_used(self, api):
        client = (await api()).client
        for language in ("python", "typescript"):
            await client.post("/contexts", json={"context_id": "demo", "language": language})
        listed = (await client.get("/e2b/contexts")).json()[2:]
        assert [(each["id"], each["language"]) for each in listed] == [
            ("demo", "python"),
            ("demo:typescript", "typescript"),
        ]
        assert (await run(client, "1", context_id="demo:typescript"))[0]["execution_count"] == 1
        made = (await client.post("/e2b/contexts", json={})).json()
        assert (await client.get(f"/contexts/{made['id']}")).json()["language"] == "python"
        assert (await client.get(f"/api/kernels/{made['id']}")).status_code == 200

    async def test_a_default_context_can_be_removed_and_begins_anew(self, api):
        client = (await api()).client
        await run(client, "1")
        address = (await client.get("/e2b/contexts")).json()[0]["id"]
        assert (await client.delete(f"/e2b/contexts/{address}")).status_code == 200
        assert (await run(client, "1"))[0]["execution_count"] == 1


class TestAddress:
    async def test_at_the_root_the_header_says_whose_request_it_is(self, api):
        client = (await api(SCRIPT)).client
        found = lines(await client.post("/execute", json={"code": "print"}, headers=SANDBOX))
        assert found[-1] == {"type": "end_of_execution"}
        assert isinstance((await client.get("/contexts", headers=SANDBOX)).json(), list)
        assert (await client.get("/health", headers=SANDBOX)).json() == "OK"
        assert (await client.post("/contexts", json={}, headers=SANDBOX)).status_code == 200
        assert (await client.get("/contexts/x", headers=SANDBOX)).status_code == 405
        assert (await client.post("/execute", json={"code": "print"})).json()["status"] == "ok"
        assert "items" in (await client.get("/contexts")).json()

    async def test_a_surface_that_is_switched_off_is_not_there(self, api):
        client = (await api(surfaces=["native"])).client
        assert (await client.get("/e2b/health")).status_code == 404
        assert "items" in (await client.get("/contexts", headers=SANDBOX)).json()
        client = (await api(surfaces=["e2b"])).client
        assert (await client.get("/e2b/contexts")).status_code == 200
        assert (await client.get("/contexts")).status_code == 404

    @pytest.mark.parametrize("header", ["X-Access-Token", "E2B-Traffic-Access-Token", "X-API-Key", "Authorization"])
    async def test_the_token_is_taken_from_the_headers_that_the_sdks_send(self, api, header: str):
        client = (await api(token=TOKEN)).client
        value = f"Bearer {TOKEN}" if header == "Authorization" else TOKEN
        assert (await client.get("/e2b/contexts", headers={header: value})).status_code == 200
        response = await client.get("/e2b/contexts", headers={header: value + "x"})
        assert response.status_code == 401
        assert "token" in response.text
        assert (await client.get("/e2b/health")).json() == "OK"
