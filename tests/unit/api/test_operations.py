"""What operators and browsers ask: health, readiness, metrics, and documentation that needs no internet."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from engine import __version__
from engine.kernels.provisioners.fake import Die, Hold, Say
from engine.log import configure

pytestmark = pytest.mark.anyio

READY = Say("stream", {"name": "stdout", "text": "ready\n"})
SCRIPT = {"stubborn": [READY, Hold(ignore_interrupts=True)]}


class TestHealth:
    async def test_healthz_is_the_contracts_body(self, api):
        response = await (await api()).client.get("/healthz")
        assert (response.status_code, response.json()) == (200, {"status": "ok"})

    async def test_health_tells_the_service_and_its_version(self, api):
        response = await (await api()).client.get("/health")
        assert response.json() == {"status": "ok", "service": "polyrepl", "version": __version__}

    async def test_a_server_is_ready_while_it_takes_work(self, api):
        response = await (await api()).client.get("/readyz")
        assert response.status_code == 200
        assert response.json()["status"] == "ok"
        checks = response.json()["checks"]
        assert checks.pop("zygote") == "off"  # scripted kernels are not forked
        assert set(checks.values()) == {"ok"}

    async def test_a_full_server_lives_and_is_not_ready(self, api):
        fake = await api(SCRIPT, max_contexts=1)
        await fake.client.post("/execute", json={"code": "stubborn"}, headers={"Prefer": "respond-async"})
        response = await fake.client.get("/readyz")
        assert response.status_code == 503
        assert response.json()["status"] == "unavailable"
        assert response.json()["checks"]["contexts"] != "ok"
        assert (await fake.client.get("/healthz")).status_code == 200

    async def test_a_server_whose_contexts_are_idle_is_ready(self, api):
        client = (await api(max_contexts=1)).client
        await client.post("/contexts", json={})
        assert (await client.get("/readyz")).status_code == 200

    async def test_a_server_that_shuts_down_is_not_ready(self, api):
        fake = await api()
        await fake.engine.aclose()
        response = await fake.client.get("/readyz")
        assert response.status_code == 503
        assert response.json()["checks"]["engine"] != "ok"

    async def test_the_root_says_where_to_go(self, api):
        client = (await api()).client
        links = (await client.get("/")).json()["links"]
        for link in links.values():
            assert (await client.get(link if isinstance(link, str) else link["href"])).status_code == 200
        assert links["swagger"]["href"] == "/docs"


class TestMetrics:
    async def test_the_metrics_parse_and_count_what_happened(self, api):
        client = (await api()).client
        for _ in range(3):
            await client.post("/execute", json={"code": "x", "context_id": "c"})
        await client.delete("/contexts/c")
        response = await client.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = {family.name: family for family in text_string_to_metric_families(response.text)}
        assert all(family.documentation for family in families.values())

        def value(name: str, **labels: str) -> float:
            return next(
                sample.value
                for family in families.values()
                for sample in family.samples
                if sample.name == name and labels.items() <= sample.labels.items()
            )

        assert value("polyrepl_executions_total", language="python", status="ok") == 3
        assert value("polyrepl_execution_seconds_count", language="python") == 3
        assert value("polyrepl_kernel_start_seconds_count", language="python") == 1
        assert value("polyrepl_contexts", language="python") == 0
        assert value("polyrepl_contexts_ended_total", language="python") == 1

    async def test_a_kernel_that_we_end_is_no_death(self, api):
        client = (await api()).client
        await client.post("/execute", json={"code": "x", "context_id": "c"})
        await client.delete("/contexts/c")
        text = (await client.get("/metrics")).text
        assert not re.search(r"^polyrepl_kernel_deaths_total\{.*\} [1-9]", text, re.MULTILINE)


class Page(HTMLParser):
    """What a page loads: the values of src and href, and its inline scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline = ""
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "spec-url")]
        self._in_script = tag == "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.inline += data.strip()


class TestPages:
    @pytest.mark.parametrize("path", ["/docs", "/redoc"])
    async def test_a_page_loads_only_what_this_server_has(self, api, path: str):
        client = (await api()).client
        response = await client.get(path)
        assert response.headers["content-type"].startswith("text/html")
        page = Page(response.text)
        assert len(page.loads) >= 2
        assert page.inline == ""
        for link in page.loads:
            if link.startswith("data:"):
                continue
            assert not re.match(r"(\w+:)?//", link), link
            loaded = await client.get("/" + link)
            assert loaded.status_code == 200, link
            assert len(loaded.content) > 100

    @pytest.mark.parametrize("path", ["/docs", "/redoc"])
    async def test_the_browser_is_told_to_load_nothing_from_elsewhere(self, api, path: str):
        policy = (await (await api()).client.get(path)).headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "http" not in policy
        assert "*" not in policy
        assert "frame-ancestors 'none'" in policy

    @pytest.mark.parametrize(
        ("name", "media_type"),
        [
            ("swagger-ui-bundle.js", "text/javascript"),
            ("swagger-init.js", "text/javascript"),
            ("redoc.standalone.js", "text/javascript"),
            ("swagger-ui.css", "text/css"),
        ],
    )
    async def test_an_asset_has_its_media_type(self, api, name: str, media_type: str):
        response = await (await api()).client.get(f"/docs/{name}")
        assert response.headers["content-type"].startswith(media_type)

    async def test_a_stylesheet_loads_nothing_from_elsewhere(self, api):
        text = (await (await api()).client.get("/docs/swagger-ui.css")).text
        assert not re.search(r"@import|url\(\s*[\"']?(https?:)?//", text)

    @pytest.mark.parametrize("name", ["LICENSES.md", "..%2f..%2fcore.py", "%2e%2e/errors.py", "x"])
    async def test_nothing_else_is_served_from_there(self, api, name: str):
        assert (await (await api()).client.get(f"/docs/{name}")).status_code == 404


async def test_an_error_of_ours_is_a_500_that_tells_nothing_of_it(api, monkeypatch: pytest.MonkeyPatch):
    fake = await api()

    def broken() -> bytes:
        msg = "secret detail"
        raise RuntimeError(msg)

    monkeypatch.setattr(fake.engine.metrics, "render", broken)
    response = await fake.client.get("/metrics")
    assert (response.status_code, response.json()) == (500, {"message": "Internal error", "code": "InternalError"})


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything that is logged, down to debug lines."""
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    configure("debug", "json")
    yield stderr
    structlog.reset_defaults()


async def test_logs_tell_no_code_no_output_no_variables_and_no_token(api, log: io.StringIO):
    error = {"ename": "E", "evalue": "SECRET-error", "traceback": ["SECRET-traceback"]}
    output = Say("stream", {"name": "stdout", "text": "SECRET-output"})
    fake = await api(
        {"SECRET-code": [output, Say("error", error)], "SECRET-death": [output, Die()]}, token="SECRET-token"
    )
    key = {"X-API-Key": "SECRET-token"}
    for code in ("SECRET-code", "SECRET-death"):
        body = {"code": code, "env_vars": {"A": "SECRET-value"}, "stdin": ["SECRET-line"], "context_id": "c"}
        response = await fake.client.post("/execute", json=body, headers=key)
        assert response.json()["logs"]["stdout"] == ["SECRET-output"]
    await fake.client.post("/execute", json={**body, "timeout_ms": -1}, headers=key)
    await fake.client.get("/contexts?token=SECRET-token")
    await fake.client.get("/contexts?token=SECRET-tokem")
    await fake.client.delete("/contexts/c?token=SECRET-token")
    assert "context_created" in log.getvalue()
    assert "kernel_died" in log.getvalue()
    assert "SECRET" not in log.getvalue()
