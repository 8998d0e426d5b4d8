"""The guard: who may call, from where, under which name, with how much."""

from __future__ import annotations

import httpx
import pytest

from engine.api.native.routes import OPERATIONS
from tests.harness.in_process import serve

pytestmark = pytest.mark.anyio

TOKEN = "s3cret-Token"
OPEN = ["/healthz", "/health", "/readyz", "/openapi.json", "/docs", "/redoc", "/docs/swagger-ui.css"]
GUARDED = sorted({operation.path for operation in OPERATIONS} - set(OPEN))


def is_problem(response: httpx.Response, status: int) -> None:
    assert response.status_code == status, response.text
    assert set(response.json()) == {"message", "code", "remediation"}


class TestToken:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Authorization": f"Bearer {TOKEN}"},
            {"Authorization": f"token {TOKEN}"},
            {"Authorization": f"bearer  {TOKEN}"},
            {"X-API-Key": TOKEN},
            {"X-Access-Token": TOKEN},
            {"X-API-Key": "wrong", "X-Access-Token": TOKEN},
        ],
        ids=str,
    )
    async def test_a_token_is_taken_in_every_header_that_clients_use(self, api, headers: dict[str, str]):
        client = (await api(token=TOKEN)).client
        assert (await client.get("/contexts", headers=headers)).status_code == 200

    async def test_a_token_is_taken_in_the_query(self, api):
        client = (await api(token=TOKEN)).client
        assert (await client.get("/contexts", params={"token": TOKEN})).status_code == 200
        assert (await client.get("/contexts", params={"a": "b", "token": TOKEN})).status_code == 200

    @pytest.mark.parametrize("token", ["p+a/s=s &%", "pässwörd", "日本"])
    async def test_a_token_may_hold_any_character(self, api, token: str):
        client = (await api(token=token)).client
        assert (await client.get("/contexts", params={"token": token})).status_code == 200
        for name, value in (("X-API-Key", token), ("Authorization", f"Bearer {token}")):
            assert (await client.get("/contexts", headers=[(name, value.encode())])).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": ""},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer "},
            {"Authorization": "Bearer wrong"},
            {"Authorization": TOKEN},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": f"Bearer {TOKEN}x"},
            {"Authorization": f"Bearer {TOKEN.lower()}"},
            {"X-API-Key": ""},
            {"X-API-Key": f"Bearer {TOKEN}"},
            {"Cookie": f"token={TOKEN}"},
        ],
        ids=str,
    )
    async def test_without_the_right_token_nothing_is_told(self, api, headers: dict[str, str]):
        client = (await api(token=TOKEN)).client
        response = await client.get("/contexts", headers=headers)
        is_problem(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in response.text

    @pytest.mark.parametrize(
        "query", ["token=", "token=wrong", "Token=" + TOKEN, "token", "token=%ff", "xtoken=" + TOKEN]
    )
    async def test_a_wrong_token_in_the_query_is_refused(self, api, query: str):
        is_problem(await (await api(token=TOKEN)).client.get(f"/contexts?{query}"), 401)

    async def test_bytes_that_are_no_token_are_refused(self, api):
        client = (await api(token=TOKEN)).client
        is_problem(await client.get("/contexts", headers=[(b"x-api-key", b"\xff\xfe")]), 401)

    async def test_probes_and_pages_need_no_token(self, api):
        client = (await api(token=TOKEN)).client
        assert {path: (await client.get(path)).status_code for path in OPEN} == dict.fromkeys(OPEN, 200)

    async def test_everything_else_needs_one(self, api):
        client = (await api(token=TOKEN)).client
        for path in [*GUARDED, "/nope", "/docsx", "/healthz/", "/HEALTHZ"]:
            for method in ("GET", "POST", "DELETE"):
                is_problem(await client.request(method, path), 401)

    async def test_a_refused_request_runs_nothing(self, api):
        fake = await api(token=TOKEN)
        await fake.client.post("/execute", json={"code": "x"})
        assert not fake.kernels
        assert not len(fake.engine.contexts)

    async def test_without_a_token_in_the_settings_none_is_needed(self, api):
        assert (await (await api()).client.get("/contexts")).status_code == 200
        assert (await (await api(token="")).client.get("/contexts")).status_code == 200


class TestHost:
    @pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "[::1]", "LOCALHOST"])
    async def test_a_loopback_name_is_taken(self, api, host: str):
        assert (await (await api()).client.get("/healthz", headers={"Host": host})).status_code == 200

    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil", "", "[::2]", "["]
    )
    async def test_another_name_is_refused_as_it_may_be_a_rebound_one(self, api, host: str):
        client = (await api()).client
        for path in ("/contexts", "/healthz", "/docs"):
            is_problem(await client.get(path, headers={"Host": host}), 403)

    async def test_a_name_in_the_settings_is_taken(self, api):
        client = (await api(allowed_hosts=["my.host"])).client
        assert (await client.get("/contexts", headers={"Host": "my.host:80"})).status_code == 200
        is_problem(await client.get("/contexts", headers={"Host": "other.host"}), 403)

    async def test_a_star_takes_every_name(self, api):
        client = (await api(allowed_hosts=["*"])).client
        assert (await client.get("/contexts", headers={"Host": "any.host"})).status_code == 200

    async def test_with_a_token_every_name_may_lead_here_unless_names_are_listed(self, api):
        key = {"X-API-Key": TOKEN, "Host": "container-7"}
        assert (await (await api(token=TOKEN)).client.get("/contexts", headers=key)).status_code == 200
        client = (await api(token=TOKEN, allowed_hosts=["my.host"])).client
        is_problem(await client.get("/contexts", headers=key), 403)


class _Log:
    """Notes the origins that are named."""

    def __init__(self, named: list[str]) -> None:
        self._named = named

    def warning(self, event: str, **values) -> None:
        if event == "origin_refused":
            self._named.append(values["origin"])


class TestOrigin:
    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "http://localhost:9999", "http://[", "", "localhost:8000", "\x00"]
    )
    async def test_a_page_of_another_origin_is_refused(self, api, origin: str):
        headers = {"Origin": origin, "X-API-Key": TOKEN}
        for token in (None, TOKEN):
            client = (await api(token=token)).client
            is_problem(await client.post("/execute", json={"code": "x"}, headers=headers), 403)

    async def test_a_page_of_our_own_origin_is_taken(self, api):
        client = (await api()).client
        response = await client.get("/contexts", headers={"Origin": "http://localhost:8000"})
        assert response.status_code == 200

    async def test_there_is_no_cors_by_default(self, api):
        client = (await api()).client
        response = await client.options(
            "/execute", headers={"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        )
        assert response.status_code >= 400
        assert not [name for name in response.headers if name.startswith("access-control-")]

    async def test_an_origin_in_the_settings_can_call_and_read_from_its_page(self, api):
        client = (await api(allowed_origins=["https://app.example"], token=TOKEN)).client
        origin = {"Origin": "https://app.example"}
        preflight = await client.options(
            "/execute",
            headers={
                **origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type,last-event-id,idempotency-key,prefer",
            },
        )
        assert preflight.status_code in (200, 204)
        assert preflight.headers["access-control-allow-origin"] in ("https://app.example", "*")
        for name in ("authorization", "content-type", "last-event-id", "idempotency-key", "prefer"):
            assert name in preflight.headers["access-control-allow-headers"].lower()
        answer = await client.post("/execute", json={"code": "x"}, headers={**origin, "X-API-Key": TOKEN})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] in ("https://app.example", "*")
        refused = await client.post("/execute", json={"code": "x"}, headers={"Origin": "https://other.example"})
        assert refused.status_code == 403
        asked = {"Origin": "https://other.example", "Access-Control-Request-Method": "POST"}
        preflight = await client.options("/execute", headers=asked)
        assert preflight.status_code == 403
        assert not [name for name in preflight.headers if name.startswith("access-control-")]

    @pytest.mark.parametrize("settings", [{}, {"allowed_origins": ["https://app.example"]}])
    @pytest.mark.parametrize("origin", ["https://evil.example", "null"])
    async def test_a_page_that_is_refused_can_read_why(self, api, settings: dict, origin: str):
        client = (await api(**settings)).client
        for path, status in (("/contexts", 403), ("/api/kernels", 404), ("/e2b/contexts", 403), ("/kernels", 403)):
            response = await client.get(path, headers={"Origin": origin})
            assert response.status_code == status
            assert response.headers["access-control-allow-origin"] == origin
            assert "origin" in response.headers["vary"].lower()
            assert "allowed_origins" in response.text

    async def test_an_origin_that_is_refused_is_named_in_the_log_once(self, api, monkeypatch):
        client = (await api(allowed_origins=["https://app.example"])).client
        asked = {"Access-Control-Request-Method": "POST"}
        named = []
        monkeypatch.setattr("engine.api.middleware.refusals.get_logger", lambda: _Log(named))
        for _ in range(3):
            await client.options("/execute", headers={"Origin": "https://one.example", **asked})
            await client.get("/api/kernels", headers={"Origin": "https://one.example"})
            await client.options("/api/kernels", headers={"Origin": "https://two.example", **asked})
            await client.get("/contexts", headers={"Origin": "https://app.example"})
        for number in range(300):
            await client.get("/contexts", headers={"Origin": f"https://{number}.example"})
        await client.get("/contexts", headers={"Origin": "https://" + "x" * 1000})
        assert named[:2] == ["https://one.example", "https://two.example"]
        assert len(named) == len(set(named)) == 100
        assert not {"https://app.example", "https://" + "x" * 1000} & set(named)

    @pytest.mark.parametrize("setting", ["null", "*"])
    async def test_pages_without_an_origin_are_taken_when_the_settings_say_so(self, api, setting: str):
        client = (await api(allowed_origins=[setting])).client
        response = await client.get("/contexts", headers={"Origin": "null"})
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, setting)

    async def test_an_origin_may_be_written_as_people_write_it(self, api):
        client = (await api(allowed_origins=["https://App.example/"])).client
        assert (await client.get("/contexts", headers={"Origin": "https://app.example"})).status_code == 200

    @pytest.mark.parametrize("base_url", ["", "/x"])
    async def test_every_answer_to_an_allowed_page_can_be_read(self, api, monkeypatch, base_url: str):
        fake = await api(allowed_origins=["https://app.example"], max_request_bytes=1024, base_url=base_url)
        monkeypatch.setattr(type(fake.engine), "check_language", None)  # an error that nobody expects
        origin = {"Origin": "https://app.example"}
        for method, path, body, status in (
            ("GET", "/nope", b"", 404),
            ("PUT", "/execute", b"", 405),
            ("POST", "/execute", b"{", 400),
            ("POST", "/execute", b"x" * 2000, 413),
            ("POST", "/execute", b'{"code": "1"}', 500),
        ):
            response = await fake.client.request(method, base_url + path, content=body, headers=origin)
            assert response.status_code == status
            assert response.headers["access-control-allow-origin"] == "https://app.example"

    async def test_an_errors_body_can_be_read_from_an_allowed_page(self, api):
        client = (await api(allowed_origins=["https://app.example"], token=TOKEN)).client
        response = await client.get("/contexts", headers={"Origin": "https://app.example"})
        assert response.status_code == 401
        assert response.headers["access-control-allow-origin"] in ("https://app.example", "*")


class TestSize:
    LIMIT = 2048

    @pytest.mark.parametrize("path", ["/execute", "/execute/async", "/contexts", "/executions/x/input"])
    async def test_a_body_that_announces_too_much_is_refused_unread(self, api, path: str):
        client = (await api(max_request_bytes=self.LIMIT)).client
        is_problem(await client.post(path, content=b"x" * (self.LIMIT + 1)), 413)

    async def test_a_body_that_announces_nothing_is_refused_when_it_grows_too_large(self, api):
        client = (await api(max_request_bytes=self.LIMIT)).client
        sent = 0

        async def endless():
            nonlocal sent
            for _ in range(10_000):
                sent += 1
                yield b"x" * 100

        is_problem(await client.post("/execute", content=endless()), 413)

    async def test_a_body_as_large_as_the_limit_is_taken(self, api):
        client = (await api(max_request_bytes=self.LIMIT)).client
        body = b'{"code": ""}'
        body = body[:-2] + b"x" * (self.LIMIT - len(body)) + body[-2:]
        assert len(body) == self.LIMIT
        assert (await client.post("/execute", content=body)).status_code == 200

    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_large_body_over_a_real_connection_is_a_413_or_a_closed_one(self, make_fake, chunked: bool):
        fake = make_fake(max_request_bytes=self.LIMIT)
        with serve(fake.engine) as live:
            content = (b"x" * 1000 for _ in range(10)) if chunked else b"x" * 10_000
            is_problem(httpx.post(live.url + "/execute", content=content, timeout=60), 413)
            assert httpx.get(live.url + "/healthz", timeout=60).status_code == 200
