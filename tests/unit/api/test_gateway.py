"""The REST side of the Kernel Gateway's API: every route, status and error body, over scripted kernels."""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest

from engine.api.gateway.seed import Seed
from engine.kernels.provisioners.fake import Hold, Say

pytestmark = pytest.mark.anyio
TOKEN = "t0ken"


def is_refusal(response, status: int, reason: str, message: str | None = None) -> None:
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"reason", "message"}
    assert body["reason"] == reason
    if message is not None:
        assert body["message"] == message


async def new_kernel(client, **body) -> dict:
    response = await client.post("/api/kernels", json=body)
    assert response.status_code == 201, response.text
    return response.json()


class TestKernels:
    async def test_the_version_is_told(self, api):
        response = await (await api()).client.get("/api")
        assert (response.status_code, list(response.json())) == (200, ["version"])

    @pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"name": null, "env": null}', b'{"path": "x"}'])
    async def test_a_kernel_is_started_whatever_is_left_out(self, api, body: bytes):
        client = (await api()).client
        response = await client.post("/api/kernels", content=body)
        assert response.status_code == 201
        model = response.json()
        assert response.headers["location"] == f"/api/kernels/{model['id']}"
        assert set(model) == {"id", "name", "last_activity", "execution_state", "connections"}
        assert (model["name"], model["execution_state"], model["connections"]) == ("python3", "idle", 0)
        assert model["last_activity"].endswith("Z")
        assert str(uuid.UUID(model["id"])) == model["id"]
        assert (await client.get(f"/api/kernels/{model['id']}")).json()["id"] == model["id"]

    @pytest.mark.parametrize("name", ["python", "python3", "polyrepl-python"])
    async def test_every_name_of_a_kernel_leads_to_it(self, api, name: str):
        assert (await new_kernel((await api()).client, name=name))["name"] == "python3"

    async def test_an_id_can_be_asked_for_once(self, api):
        client = (await api()).client
        wanted = str(uuid.uuid4())
        assert (await new_kernel(client, kernel_id=wanted))["id"] == wanted
        is_refusal(await client.post("/api/kernels", json={"kernel_id": wanted}), 409, "Conflict")
        is_refusal(await client.post("/api/kernels", json={"kernel_id": "mine"}), 400, "Bad Request")

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"{", "Invalid JSON in body of request"),
            (b"[1]", "Invalid JSON in body of request"),
            (b"3", "Invalid JSON in body of request"),
            (b'{"env": 3}', "env must be an object"),
            (b'{"env": {"KERNEL_A": 1}}', "env.KERNEL_A must be a string"),
            (b'{"name": 3}', "name must be a string"),
            (b'{"kernel_id": 3}', "kernel_id must be a uuid"),
        ],
    )
    async def test_a_wrong_body_is_refused_with_the_reason(self, api, body: bytes, message: str):
        is_refusal(await (await api()).client.post("/api/kernels", content=body), 400, "Bad Request", message)

    async def test_an_unknown_kernel_is_named_without_a_traceback(self, api):
        response = await (await api()).client.post("/api/kernels", json={"name": "nope"})
        is_refusal(response, 400, "Bad Request")
        assert "'nope'" in response.json()["message"]
        assert "Traceback" not in response.text

    async def test_at_the_limit_of_kernels_none_is_started(self, api):
        client = (await api(max_kernels=1)).client
        await new_kernel(client)
        is_refusal(await client.post("/api/kernels"), 403, "Forbidden", "Resource Limit")

    async def test_when_all_contexts_are_busy_none_is_started(self, api):
        fake = await api({"hold": [Hold()]}, max_contexts=1)
        await fake.engine.execute("hold", context_id="a")
        is_refusal(await fake.client.post("/api/kernels"), 403, "Forbidden", "Resource Limit")

    async def test_a_kernel_that_cannot_be_started_is_an_error_with_a_reason(self, api):
        client = (await api({"start fails": []})).client
        response = await client.post("/api/kernels")
        is_refusal(response, 500, "Internal Server Error")
        assert "could not be started" in response.json()["message"]

    async def test_a_deleted_kernel_is_gone_everywhere(self, api):
        client = (await api()).client
        kernel = await new_kernel(client)
        assert (await client.delete(f"/api/kernels/{kernel['id']}")).status_code == 204
        for method, rest in (
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/interrupt"),
            ("POST", "/restart"),
            ("GET", "/channels"),
        ):
            response = await client.request(method, f"/api/kernels/{kernel['id']}{rest}")
            is_refusal(response, 404, "Not Found", f"Kernel does not exist: {kernel['id']}")
        assert (await client.get(f"/contexts/{kernel['id']}")).status_code == 404

    async def test_kernels_and_contexts_are_the_same(self, api):
        client = (await api()).client
        kernel = await new_kernel(client)
        assert (await client.get(f"/contexts/{kernel['id']}")).json()["language"] == "python"
        await client.post("/contexts", json={"context_id": "demo"})
        assert (await client.get("/api/kernels/demo")).json()["name"] == "python3"
        assert {each["id"] for each in (await client.get("/api/kernels")).json()} == {kernel["id"], "demo"}

    async def test_a_second_language_of_an_id_has_a_kernel_id_of_its_own(self, api):
        client = (await api()).client
        for language in ("python", "typescript"):
            await client.post("/contexts", json={"context_id": "demo", "language": language})
        models = {each["id"]: each["name"] for each in (await client.get("/api/kernels")).json()}
        assert models == {"demo": "python3", "demo~typescript": "typescript"}
        assert (await client.delete("/api/kernels/demo~typescript")).status_code == 204
        assert (await client.get("/api/kernels/demo")).status_code == 200

    async def test_an_interrupt_and_a_restart_reach_the_kernel(self, api):
        fake = await api({"hold": [Hold()]})
        kernel = await new_kernel(fake.client)
        execution = await fake.engine.execute("hold", context_id=kernel["id"])
        async for _ in execution.follow():
            if (await fake.client.get(f"/api/kernels/{kernel['id']}")).json()["execution_state"] == "busy":
                break
        assert (await fake.client.post(f"/api/kernels/{kernel['id']}/interrupt")).status_code == 204
        await execution.wait()
        assert execution.status == "interrupted"
        response = await fake.client.post(f"/api/kernels/{kernel['id']}/restart")
        assert (response.status_code, response.json()["id"]) == (200, kernel["id"])
        assert len(fake.kernels) == 2

    async def test_channels_without_an_upgrade_are_refused(self, api):
        client = (await api()).client
        kernel = await new_kernel(client)
        response = await client.get(f"/api/kernels/{kernel['id']}/channels")
        is_refusal(response, 400, "Bad Request", 'Can "Upgrade" only to "WebSocket".')

    async def test_a_setting_names_the_default_and_the_only_kernel(self, api):
        client = (await api(default_kernel_name="typescript")).client
        assert (await new_kernel(client))["name"] == "typescript"
        assert (await client.get("/api/kernelspecs")).json()["default"] == "typescript"
        client = (await api(force_kernel_name="typescript")).client
        assert (await new_kernel(client, name="python3"))["name"] == "typescript"

    async def test_only_listed_variables_of_a_request_reach_the_kernel(self, api):
        fake = await api(env_whitelist=["MINE"])
        env = {"MINE": "1", "KERNEL_USERNAME": "ada", "OTHER": 2, "KERNEL_GATEWAY": "0"}
        kernel = await new_kernel(fake.client, env=env)
        (context,) = fake.engine.contexts.get(kernel["id"])
        assert context.workspace.env == {"MINE": "1", "KERNEL_USERNAME": "ada"}

    async def test_the_seed_notebook_runs_in_every_new_kernel(self, api, tmp_path):
        seed = tmp_path / "seed.ipynb"
        cells = [
            {"cell_type": "code", "source": ["a = 1\n", "b = 2"]},
            {"cell_type": "markdown", "source": "text"},
            {"cell_type": "code", "source": "c"},
        ]
        seed.write_text(json.dumps({"cells": cells}))
        fake = await api(seed_notebook=f"file://{seed}")
        await new_kernel(fake.client)
        assert [content["code"] for content, _ in fake.kernels[0].requests] == ["a = 1\nb = 2", "c"]

    async def test_a_seed_that_fails_ends_the_kernel_and_says_why(self, api, tmp_path):
        seed = tmp_path / "seed.ipynb"
        seed.write_text(json.dumps({"cells": [{"cell_type": "code", "source": "bad"}]}))
        error = Say("error", {"ename": "OddError", "evalue": "no", "traceback": []})
        fake = await api({"bad": [error]}, seed_notebook=str(seed))
        response = await fake.client.post("/api/kernels")
        is_refusal(response, 500, "Internal Server Error")
        assert "OddError: no" in response.json()["message"]
        assert len(fake.engine.contexts) == 0

    async def test_a_kernel_that_is_deleted_before_its_seed_is_not_made_again(self, api, monkeypatch):
        is_read, is_gone = asyncio.Event(), asyncio.Event()

        async def cells(seed: Seed) -> list[str]:
            is_read.set()
            await is_gone.wait()
            return ["a"]

        monkeypatch.setattr(Seed, "cells", cells)
        fake = await api()
        starting = asyncio.create_task(fake.client.post("/api/kernels"))
        await is_read.wait()
        (kernel,) = (await fake.client.get("/api/kernels")).json()
        assert (await fake.client.delete(f"/api/kernels/{kernel['id']}")).status_code == 204
        is_gone.set()
        assert (await starting).status_code == 404
        assert (len(fake.engine.contexts), len(fake.kernels)) == (0, 1)


class TestKernelspecs:
    async def test_kernelspecs_are_told_as_jupyter_tells_them(self, api):
        client = (await api()).client
        body = (await client.get("/api/kernelspecs")).json()
        assert body["default"] == "python3"
        model = body["kernelspecs"]["python3"]
        assert set(model) == {"name", "spec", "resources"}
        assert {"argv", "env", "display_name", "language", "interrupt_mode", "metadata"} <= set(model["spec"])
        assert (await client.get("/api/kernelspecs/python3")).json() == model
        assert model["resources"]["logo-64x64"] == "/kernelspecs/python3/logo-64x64.png"
        for place in model["resources"].values():
            assert (await client.get(place)).headers["content-type"].startswith("image/")
        assert (await client.get("/kernelspecs/python3/kernel.json")).json()["argv"] == model["spec"]["argv"]

    async def test_an_unknown_kernelspec_or_file_is_not_found(self, api):
        client = (await api()).client
        is_refusal(await client.get("/api/kernelspecs/nope"), 404, "Not Found", "Kernel spec nope not found")
        is_refusal(await client.get("/kernelspecs/nope/logo-64x64.png"), 404, "Not Found", "Kernel spec nope not found")
        for path in ("logo-none.png", "..%2Fx", "launch.py"):
            is_refusal(await client.get(f"/kernelspecs/python3/{path}"), 404, "Not Found", "")
