"""The REST side of the Kernel Gateway's API: every route, status and error body, over scripted kernels."""

from __future__ import annotations

import json
import uuid

import pytest
from pydantic import ValidationError

from engine.api import gateway
from engine.provisioners.fake import Hold, Say
from engine.settings import Settings

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

    async def test_the_same_path_is_the_same_session(self, api):
        client = (await api()).client
        body = {"path": "a", "type": "notebook", "kernel": {"name": "python3"}}
        first, second = [(await client.post("/api/sessions", json=body)) for _ in range(2)]
        assert (second.status_code, second.json()["id"]) == (201, first.json()["id"])

    async def test_the_oldest_shape_of_a_session_is_understood(self, api):
        client = (await api()).client
        session = (await client.post("/api/sessions", json={"notebook": {"path": "a"}})).json()
        assert (session["type"], session["path"]) == ("notebook", "a")

    async def test_a_session_can_be_given_a_kernel_that_is_there(self, api):
        client = (await api()).client
        kernel = await new_kernel(client)
        body = {"path": "a", "type": "console", "kernel": {"id": kernel["id"]}}
        assert (await client.post("/api/sessions", json=body)).json()["kernel"]["id"] == kernel["id"]
        body = {"path": "b", "type": "console", "kernel": {"id": "gone"}}
        is_refusal(await client.post("/api/sessions", json=body), 404, "Not Found", "Kernel does not exist: gone")

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
        for method in ("GET", "PATCH", "DELETE"):
            is_refusal(await client.request(method, f"/api/sessions/{session['id']}"), 404, "Not Found")
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
        for method in ("GET", "PATCH", "DELETE"):
            response = await client.request(method, "/api/sessions/nope", json={"path": "b"})
            is_refusal(response, 404, "Not Found", "Session not found: nope")

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


class TestAccess:
    @pytest.mark.parametrize("scheme", ["token", "Bearer"])
    async def test_a_token_is_needed_and_taken_in_any_form(self, api, scheme: str):
        client = (await api(token=TOKEN)).client
        is_refusal(await client.get("/api/kernels"), 401, "Unauthorized", "")
        assert (await client.get("/api/kernels", headers={"Authorization": f"{scheme} {TOKEN}"})).status_code == 200
        assert (await client.get(f"/api/kernels?token={TOKEN}")).status_code == 200
        is_refusal(await client.get("/api/kernels?token=x"), 401, "Unauthorized", "")

    async def test_the_description_needs_no_token(self, api):
        client = (await api(token=TOKEN)).client
        assert (await client.get("/api/swagger.json")).json()["swagger"] == "2.0"
        assert (await client.get("/api/swagger.yaml")).status_code == 200

    async def test_every_route_is_described(self, api):
        described = (await (await api()).client.get("/api/swagger.json")).json()["paths"]
        paths = {path.replace("{name}", "{kernel_name}") for _, path, _ in gateway.TABLE}
        assert set(described) == {
            path for path in paths if "swagger" not in path and not path.startswith("/kernelspecs/")
        }

    async def test_another_origin_finds_nothing(self, api):
        headers = {"Origin": "https://elsewhere.example"}
        is_refusal(await (await api()).client.get("/api/kernels", headers=headers), 404, "Not Found")
        client = (await api(allowed_origins=["*"])).client
        assert (await client.get("/api/kernels", headers=headers)).status_code == 200

    @pytest.mark.parametrize(
        ("settings", "status"),
        [
            ({}, 200),
            ({"list_kernels": False}, 403),
            ({"list_kernels": True}, 200),
            ({"surfaces": ["gateway"]}, 200),
            ({"surfaces": ["gateway"], "list_kernels": False}, 403),
        ],
    )
    async def test_listing_is_for_those_whom_the_setting_lets(self, api, settings: dict, status: int):
        client = (await api(**settings)).client
        for path in ("/api/kernels", "/api/sessions"):
            response = await client.get(path)
            assert response.status_code == status
            if status == 403:
                is_refusal(response, 403, "Forbidden", "Forbidden")

    async def test_where_nothing_else_is_served_the_refusals_are_the_gateways_everywhere(self, api):
        client = (await api(surfaces=["gateway"], token=TOKEN)).client
        for path in ("/api/kernels", "/api/nope", "/tree", "/"):
            is_refusal(await client.get(path), 401, "Unauthorized", "")

    async def test_unknown_paths_and_methods_are_refused_in_this_dialects_words(self, api):
        client = (await api()).client
        for path in ("contents", "terminals", "me", "status", "kernels/a/b/c"):
            is_refusal(await client.get(f"/api/{path}"), 404, "Not Found", "")
        for method, path, allowed in (
            ("PUT", "/api/kernels", {"GET", "HEAD", "POST", "OPTIONS"}),
            ("POST", "/api/kernels/x", {"GET", "HEAD", "DELETE", "OPTIONS"}),
            ("GET", "/api/kernels/x/interrupt", {"POST", "OPTIONS"}),
            ("POST", "/api/sessions/x", {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}),
        ):
            response = await client.request(method, path)
            is_refusal(response, 405, "Method Not Allowed", "")
            assert set(response.headers["allow"].split(", ")) == allowed

    async def test_options_are_answered_without_a_token_and_from_any_origin(self, api):
        client = (await api(token=TOKEN)).client
        for path in ("/api", "/api/kernels", "/api/kernels/x/channels", "/api/sessions/x", "/kernelspecs/a/b"):
            response = await client.options(path, headers={"Origin": "https://elsewhere.example"})
            assert (response.status_code, response.content) == (200, b"")
            assert "access-control-allow-origin" not in response.headers
        assert (await client.options("/contexts")).status_code == 401

    async def test_the_headers_of_the_setting_are_on_every_answer_of_the_gateway(self, api):
        told = {
            "Access-Control-Allow-Origin": "https://a.example", "Access-Control-Allow-Methods": "GET,PATCH",
            "Access-Control-Allow-Headers": "X-One", "Access-Control-Allow-Credentials": "true",
            "Access-Control-Expose-Headers": "X-Two", "Access-Control-Max-Age": "77",
        }  # fmt: skip
        client = (await api(allowed_origins=["https://a.example"], gateway_headers=told)).client
        asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "PATCH"}
        for response, status in (
            (await client.get("/api"), 200),
            (await client.get("/api/kernels/nope", headers=asked), 404),
            (await client.options("/api/kernels", headers=asked), 200),
            (await client.options("/api/kernels"), 200),
        ):
            assert response.status_code == status
            assert told.items() <= {name.title(): value for name, value in response.headers.items()}.items()
        assert "access-control-max-age" not in (await client.get("/contexts")).headers

    async def test_a_preflight_of_an_allowed_origin_may_use_every_method(self, api):
        client = (
            await api(allowed_origins=["https://a.example"], gateway_headers={"Access-Control-Max-Age": "5"})
        ).client
        asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "PATCH"}
        response = await client.options("/api/sessions/x", headers=asked)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "https://a.example"
        assert response.headers["access-control-max-age"] == "5"

    async def test_everything_is_served_under_the_base_url_only(self, api):
        client = (await api(base_url="/x/y/")).client
        response = await client.post("/x/y/api/kernels")
        kernel = response.json()["id"]
        assert response.headers["location"] == f"/x/y/api/kernels/{kernel}"
        assert (await client.get(response.headers["location"])).json()["id"] == kernel
        spec = (await client.get("/x/y/api/kernelspecs/python3")).json()
        assert (await client.get(spec["resources"]["logo-64x64"])).status_code == 200
        links = (await client.get("/x/y", headers={"Accept": "application/json"})).json()["links"]
        assert [(await client.get(link)).status_code for link in links.values()] == [200] * len(links)
        assert (await client.get("/x/y/openapi.json")).json()["servers"] == [{"url": "/x/y"}]
        for path in ("/", "/api", "/x", "/x/ya", "/x/yapi", "/contexts"):
            assert (await client.get(path)).status_code == 404

    async def test_a_surface_that_is_switched_off_is_not_there(self, api):
        client = (await api(surfaces=["gateway"])).client
        for path in ("/", "/tree", "/contexts", "/languages"):
            is_refusal(await client.get(path), 404, "Not Found", "")
        assert (await client.get("/healthz")).status_code == 200
        client = (await api(surfaces=["native"])).client
        assert (await client.get("/api/kernels")).json() == {"message": "Not Found", "code": "NotFound"}


def test_the_variables_of_a_kernel_gateway_are_understood(monkeypatch, tmp_path):
    certificate = tmp_path / "certificate.pem"
    certificate.touch()
    values = {
        "KG_IP": "0.0.0.0", "KG_PORT": "9999", "KG_AUTH_TOKEN": "secret", "KG_ALLOW_ORIGIN": "*", "KG_LIST_KERNELS": "True",
        "KG_MAX_KERNELS": "7", "KG_PRESPAWN_COUNT": "5", "KG_DEFAULT_KERNEL_NAME": "typescript", "KG_FORCE_KERNEL_NAME": "",
        "KG_ENV_WHITELIST": "A,B", "KG_ENV_PROCESS_WHITELIST": "C", "KG_SEED_URI": "file:///tmp/seed.ipynb",
        "KG_WS_PING_INTERVAL_SECS": "9", "KG_BASE_URL": "/u/", "KG_PORT_RETRIES": "3", "KG_TRUST_XHEADERS": "True",
        "KG_ALLOW_HEADERS": "X-A", "KG_MAX_AGE": "60", "KG_CERTFILE": str(certificate), "KG_KEYFILE": str(certificate),
        "KG_CLIENT_CA": str(certificate),
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert (settings.host, settings.port, settings.secret) == ("0.0.0.0", 9999, "secret")
    assert (settings.allowed_origins, settings.list_kernels, settings.max_kernels) == (["*"], True, 7)
    assert (settings.pool_min, settings.pool_max) == (5, 5)
    assert (settings.default_kernel_name, settings.force_kernel_name) == ("typescript", None)
    assert (settings.env_whitelist, settings.kernel_env_allow) == (["A", "B"], ["C"])
    assert (settings.seed_notebook, settings.websocket_ping_interval) == ("file:///tmp/seed.ipynb", 9)
    assert (settings.base_url, settings.port_retries, settings.trust_proxy_headers) == ("/u", 3, True)
    assert {settings.tls_cert, settings.tls_key, settings.tls_client_ca} == {certificate}
    assert settings.gateway_headers == {
        "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "X-A", "Access-Control-Max-Age": "60",
    }  # fmt: skip
    monkeypatch.setenv("POLYREPL_PORT", "1234")
    assert Settings().port == 1234


def test_more_prespawned_kernels_than_there_may_be_are_refused(monkeypatch):
    monkeypatch.setenv("KG_PRESPAWN_COUNT", "3")
    monkeypatch.setenv("KG_MAX_KERNELS", "2")
    with pytest.raises(ValidationError, match="KG_PRESPAWN_COUNT"):
        Settings()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"base_url": "/a b"}, "base_url"),
        ({"base_url": "/a//b"}, "base_url"),
        ({"tls_key": "/x"}, "tls_cert"),
        ({"tls_cert": "/nowhere/c.pem"}, "no such file: /nowhere/c.pem"),
        ({"port_retries": -1}, "port_retries"),
        ({"gateway_headers": "x"}, "gateway_headers"),
        ({"websocket_timeout": 0}, "websocket_timeout"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(values: dict, named: str):
    with pytest.raises(ValidationError, match=named):
        Settings(**values)
