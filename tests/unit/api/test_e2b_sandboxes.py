"""The E2B dialect's sandboxes over scripted kernels: made, found, killed and gone; and what is not served of E2B's other services."""

from __future__ import annotations

import asyncio
import json

import pytest

from engine.kernels.provisioners.fake import Hold
from tests.harness.waiting import until
from tests.unit.api.test_e2b import SANDBOX, TOKEN, lines, run

pytestmark = pytest.mark.anyio


async def test_a_sandbox_is_made_with_its_variables_and_killed_with_its_contexts(api):
    fake = await api(token=TOKEN)
    client, auth = fake.client, {"X-API-KEY": TOKEN}
    body = {"templateID": "code-interpreter-v1", "timeout": 300, "envVars": {"A": "b"}}
    response = await client.post("/e2b/v2/sandboxes", json=body, headers=auth)
    assert response.status_code == 201
    made = response.json()
    assert (made["envdAccessToken"], made["trafficAccessToken"]) == (TOKEN, TOKEN)
    headers = {"X-Access-Token": made["envdAccessToken"], "E2b-Sandbox-Id": made["sandboxID"]}
    other = (await client.post("/e2b/contexts", json={}, headers=headers)).json()
    workspaces = [context.workspace for context in fake.engine.contexts]
    assert [workspace.env["A"] for workspace in workspaces] == ["b", "b"]
    path = f"/e2b/v2/sandboxes/{made['sandboxID']}/connect"
    assert (await client.post(path, json={}, headers=auth)).json() == made
    path = f"/e2b/sandboxes/{made['sandboxID']}"
    assert (await client.delete(path, headers=auth)).status_code == 204
    response = await client.delete(path, headers=auth)
    assert response.status_code == 404
    assert set(response.json()) == {"code", "message"}
    response = await client.post("/e2b/execute", json={"code": "1", "context_id": other["id"]}, headers=auth)
    assert response.status_code == 404


async def test_a_sandbox_keeps_its_variables_when_its_default_context_is_gone(api):
    fake = await api()
    made = (await fake.client.post("/e2b/sandboxes", json={"envVars": {"A": "b"}})).json()["sandboxID"]
    headers = {"E2b-Sandbox-Id": made}
    await fake.client.post("/e2b/contexts", json={}, headers=headers)
    assert (await fake.client.delete(f"/e2b/contexts/{made}:python", headers=headers)).status_code == 200
    for language in ("python", "js", "ts"):
        lines(await fake.client.post("/e2b/execute", json={"code": "1", "language": language}, headers=headers))
    assert [context.workspace.env for context in fake.engine.contexts] == [{"A": "b"}] * 4


async def test_a_sandbox_that_is_gone_is_said_to_be_gone_and_never_begins_anew(api):
    client = (await api()).client
    made = (await client.post("/e2b/sandboxes", json={})).json()["sandboxID"]
    headers = {"E2b-Sandbox-Id": made}
    assert (await client.get("/e2b/health", headers=headers)).status_code == 200
    assert (await client.delete(f"/e2b/sandboxes/{made}")).status_code == 204
    for response in (
        await client.get("/e2b/health", headers=headers),
        await client.get("/health", headers=headers),
        await client.get("/e2b/contexts", headers=headers),
        await client.post("/e2b/contexts", json={}, headers=headers),
        await client.post("/e2b/execute", json={"code": "1"}, headers=headers),
        await client.get("/e2b/health", headers={"E2b-Sandbox-Id": "0123456789abcdef0123"}),
    ):
        assert response.status_code == 502
        assert response.json()["message"].startswith("The sandbox was not found")
    assert (await client.get("/contexts")).json()["items"] == []


async def test_a_sandbox_goes_on_when_its_user_removes_all_its_contexts(api):
    client = (await api()).client
    made = (await client.post("/e2b/sandboxes", json={})).json()["sandboxID"]
    headers = {"E2b-Sandbox-Id": made}
    assert (await client.delete(f"/e2b/contexts/{made}:python", headers=headers)).status_code == 200
    found = lines(await client.post("/e2b/execute", json={"code": "1"}, headers=headers))
    assert found[0]["execution_count"] == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "sandboxes/x/timeout"),
        ("GET", "sandboxes/x"),
        ("GET", "v2/sandboxes"),
        ("POST", "v3/templates"),
        ("PUT", "volumes/x/y"),
    ],
)
async def test_what_is_not_served_of_that_api_says_what_is(api, method: str, path: str):
    response = await (await api()).client.request(method, f"/e2b/{path}")
    assert (response.status_code, response.json()["code"]) == (501, 501)
    assert response.json()["message"].startswith(f"{method} /e2b/{path} is not served here: of E2B there are run_code")


async def test_files_and_commands_are_refused_as_their_service_has_errors(api):
    client = (await api()).client
    for path in ("files?path=x", "filesystem.Filesystem/ListDir", "process.Process/List"):
        response = await client.post(f"/e2b/{path}", headers=SANDBOX)
        assert (response.status_code, response.json()["code"]) == (501, "unimplemented")
    headers = {**SANDBOX, "Content-Type": "application/connect+json"}
    response = await client.post("/e2b/process.Process/Start", headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/connect+json")
    assert (response.content[0], int.from_bytes(response.content[1:5], "big")) == (2, len(response.content) - 5)
    assert json.loads(response.content[5:])["error"]["code"] == "unimplemented"


async def test_a_sandbox_sees_no_contexts_of_others(api):
    client = (await api()).client
    made = (await client.post("/e2b/contexts", json={}, headers={"E2b-Sandbox-Id": "one"})).json()
    await client.post("/e2b/execute", json={"code": "1", "language": "js"}, headers={"E2b-Sandbox-Id": "one"})
    listed = (await client.get("/e2b/contexts", headers={"E2b-Sandbox-Id": "two"})).json()
    assert [each["id"] for each in listed] == ["two:python", "two:javascript"]
    assert made in (await client.get("/e2b/contexts", headers={"E2b-Sandbox-Id": "one"})).json()


async def test_a_wrong_variable_is_refused_in_the_shape_of_that_api(api):
    response = await (await api()).client.post("/e2b/sandboxes", json={"envVars": {"1": "x"}})
    assert response.status_code == 400
    assert response.json()["code"] == 400
    assert response.json()["message"].startswith("envVars.1: ")
    response = await (await api()).client.post("/e2b/sandboxes", json={"envVars": 3})
    assert response.json()["detail"][0]["loc"] == ["body", "envVars"]


async def test_a_server_that_is_full_says_so(api):
    fake = await api({"hold": [Hold()]}, max_contexts=1)
    running = asyncio.create_task(run(fake.client, "hold"))
    await until(lambda: fake.kernels and fake.kernels[-1].requests)
    response = await fake.client.post("/e2b/sandboxes", json={})
    assert (response.status_code, response.json()["code"]) == (429, 429)
    fake.kernels[-1].release()
    await running
