"""Who may ask a Kernel Gateway what, in which words it refuses, and the settings of one."""

from __future__ import annotations

import os
from unittest.mock import Mock

import pytest
from pydantic import ValidationError

from engine.api.dialects import settings_of
from engine.api.gateway import routes as gateway
from engine.server.server import run_server
from engine.settings import Settings, load_settings
from tests.unit.api.test_gateway import is_refusal

pytestmark = pytest.mark.anyio
TOKEN = "t0ken"


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
        paths = {path.replace("{name}", "{kernel_name}") for path in gateway.TABLE}
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
        for path in ("/api/kernels", "/metrics"):
            is_refusal(await client.get(path), 401, "Unauthorized", "")
        for path in ("/tree", "/login", "/", "/contexts"):
            is_refusal(await client.get(path), 404, "Not Found", "")

    async def test_what_the_gateway_has_no_path_for_needs_no_token_to_be_not_found(self, api):
        client = (await api(token=TOKEN)).client
        for path in ("/api/nope", "/api/contents", "/api/kernels/x/nope", "/kernelspecs/a"):
            is_refusal(await client.get(path), 404, "Not Found", "")
        for method, path in (
            ("GET", "/api/kernels/x"),
            ("PUT", "/api"),
            ("GET", "/api/sessions/x"),
            ("GET", "/kernelspecs/a/b"),
        ):
            is_refusal(await client.request(method, path), 401, "Unauthorized", "")
        for path in ("/nope", "/contexts/x/nope", "/kernels/a/b/c", "/api/v1/nope", "/e2b/nope"):
            assert (await client.get(path)).status_code == 401

    async def test_unknown_paths_and_methods_are_refused_in_this_dialects_words(self, api):
        client = (await api()).client
        for path in ("contents", "terminals", "me", "kernels/a/b/c"):
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

    async def test_the_pages_to_sign_in_say_to_use_the_token(self, api):
        client = (await api(token=TOKEN)).client
        for method, path in (("GET", "/login"), ("POST", "/login"), ("GET", "/tree"), ("GET", "/lab")):
            refused = await client.request(method, path)
            assert refused.status_code == 401
            assert "?token=" in refused.json()["message"]
            let_in = await client.request(method, path, params={"token": TOKEN})
            assert (let_in.status_code, "Use the token" in let_in.text) == (200, True)

    async def test_a_server_without_a_token_says_that_none_is_needed(self, api):
        client = (await api()).client
        for method, path in (
            ("GET", "/login"),
            ("POST", "/login"),
            ("GET", "/tree?"),
            ("HEAD", "/tree"),
            ("GET", "/lab"),
        ):
            response = await client.request(method, path)
            assert response.status_code == 200
            assert method == "HEAD" or "needs no token" in response.text

    async def test_the_status_counts_kernels_and_connections(self, api):
        client = (await api()).client
        before = (await client.get("/api/status")).json()
        assert (before["kernels"], before["connections"]) == (0, 0)
        assert before["started"] == before["last_activity"]
        kernel = (await client.post("/api/kernels")).json()["id"]
        during = (await client.get("/api/status")).json()
        assert (during["kernels"], during["started"]) == (1, before["started"])
        assert during["last_activity"] > before["last_activity"]
        await client.delete(f"/api/kernels/{kernel}")
        after = (await client.get("/api/status")).json()
        assert (after["kernels"], after["last_activity"] >= during["last_activity"]) == (0, True)

    async def test_the_status_needs_a_token(self, api):
        is_refusal(await (await api(token=TOKEN)).client.get("/api/status"), 401, "Unauthorized", "")

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
        paths = [link if isinstance(link, str) else link["href"] for link in links.values()]
        assert [(await client.get(path)).status_code for path in paths] == [200] * len(links)
        assert (await client.get("/x/y/openapi.json")).json()["servers"] == [{"url": "/x/y"}]
        for path in ("/", "/api", "/x", "/x/ya", "/x/yapi", "/contexts"):
            assert (await client.get(path)).status_code == 404

    async def test_a_surface_that_is_switched_off_is_not_there(self, api):
        client = (await api(surfaces=["gateway"])).client
        for path in ("/", "/tree", "/lab", "/login", "/contexts", "/languages"):
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
    settings = load_settings(aliases=settings_of(os.environ))
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
    assert load_settings(aliases=settings_of(os.environ)).port == 1234


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"seed_notebook": "/nowhere/seed.ipynb"}, "the seed notebook cannot be read"),
        ({"default_kernel_name": "nope"}, "default_kernel_name"),
        ({"force_kernel_name": "nope"}, "force_kernel_name"),
    ],
)
def test_a_server_that_could_start_no_kernel_does_not_start(settings: dict, reason: str, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.server.server.configure", lambda *_: None)
    told = Mock()
    monkeypatch.setattr("engine.server.server.get_logger", lambda: told)
    assert run_server(Settings(run_dir=tmp_path / "run", **settings)) == 1
    (logged,) = told.error.call_args_list
    assert logged.args == ("not_served",)
    assert reason in logged.kwargs["reason"]


def test_more_prespawned_kernels_than_there_may_be_are_refused(monkeypatch):
    monkeypatch.setenv("KG_PRESPAWN_COUNT", "3")
    monkeypatch.setenv("KG_MAX_KERNELS", "2")
    with pytest.raises(ValidationError, match="KG_PRESPAWN_COUNT"):
        load_settings(aliases=settings_of(os.environ))


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
