"""Every route of every dialect, with and without the token. The routes come from the application, so that a new one is covered."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from engine.api.e2b import routes as e2b
from engine.api.e2b import sandboxes
from engine.api.notebook.notebook import METHODS
from engine.server.app import create_app
from tests.harness.notebooks import notebook

pytestmark = pytest.mark.anyio

TOKEN = "s3cret-Token"
PUBLIC = {
    "/healthz",
    "/health",
    "/readyz",
    "/openapi.json",
    "/docs",
    "/redoc",
    "/docs/{name}",
    "/api/swagger.json",
    "/api/swagger.yaml",
    "/e2b/health",
    "/_output/frame.html",
    "/_web/{path:path}",
}
"""All that is told without a token."""

WRONG_PLACES = {
    "none": {},
    "wrong": {"Authorization": "Bearer wrong"},
    "almost": {"Authorization": f"Bearer {TOKEN}x"},
    "the beginning": {"Authorization": f"Bearer {TOKEN[:-1]}"},
    "another scheme": {"Authorization": f"Basic {TOKEN}"},
    "no scheme": {"Authorization": TOKEN},
    "a cookie": {"Cookie": f"token={TOKEN}"},
    "another header": {"X-Token": TOKEN, "Token": TOKEN, "Proxy-Authorization": f"Bearer {TOKEN}"},
    "the referer": {"Referer": f"http://localhost/?token={TOKEN}"},
}
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


def paths(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each method and path."""
    for route in routes:
        if isinstance(route, Route):
            methods = route.methods or {"GET", "POST", "DELETE"}
            yield from ((method, prefix + route.path) for method in methods)
        elif isinstance(route, WebSocketRoute):
            yield "GET", prefix + route.path
        elif isinstance(route, Mount):
            assert prefix + route.path == "/e2b"
            for table in (e2b.TABLE, sandboxes.TABLE):
                yield from ((method, route.path + path) for path, methods in table.items() for method in methods)


def filled(path: str) -> str:
    """A path that the route takes."""
    return "/".join("x" if part.startswith("{") else part for part in path.split("/"))


async def test_every_route_wants_the_token(api):
    fake = await api(token=TOKEN)
    routes = sorted(set(paths(create_app(fake.engine).routes)))
    assert len(routes) > 90
    wrong = []
    for method, path in routes:
        if path in PUBLIC or (
            method == "OPTIONS" and path.startswith(("/api", "/kernelspecs"))
        ):  # what a browser asks first
            continue
        for kind, headers in WRONG_PLACES.items():
            response = await fake.client.request(method, filled(path), headers=headers)
            if response.status_code != 401 or TOKEN in response.text:
                wrong.append((method, path, kind, response.status_code))
    assert wrong == []


async def test_every_route_takes_it(api):
    fake = await api(token=TOKEN)
    wrong = []
    for method, path in sorted(set(paths(create_app(fake.engine).routes))):
        if method != "GET":  # they may do something
            continue
        response = await fake.client.request(method, filled(path), headers=RIGHT)
        if response.status_code in (401, 403):
            wrong.append((method, path, response.status_code))
    assert wrong == []


async def test_public_routes_are_those_that_are_listed(api):
    fake = await api(token=TOKEN)
    known = {path for _, path in paths(create_app(fake.engine).routes)}
    assert known >= PUBLIC
    for path in sorted(PUBLIC):
        response = await fake.client.get(path.replace("{name}", "swagger-ui.css").replace("{path:path}", "output.js"))
        assert response.status_code == 200, path
        assert str(fake.engine.settings.run_dir) not in response.text


@pytest.mark.parametrize(
    "path",
    [
        "/contexts/",
        "//contexts",
        "/healthz/../contexts",
        "/docs/../contexts",
        "/docs/%2e%2e/contexts",
        "/healthz%2f..%2fcontexts",
        "/HEALTHZ",
        "/healthz;/contexts",
        "/e2b/health/../contexts",
        "/contexts%00",
        "/contexts?path=/healthz",
        "/none",
    ],
)
async def test_no_spelling_of_a_path_goes_past_the_guard(api, path: str):
    fake = await api(token=TOKEN)
    request = httpx.Request("GET", "http://localhost" + path)
    request.url = httpx.URL("http://localhost").copy_with(raw_path=path.encode())
    response = await fake.client.send(request)
    assert response.status_code in (401, 404), response.text
    assert '"items"' not in response.text


async def test_readiness_shows_its_checks_with_the_token_only(api):
    client = (await api(token=TOKEN)).client
    assert (await client.get("/readyz")).json()["checks"] == {}
    assert (await client.get("/readyz", headers=RIGHT)).json()["checks"]["engine"] == "ok"


async def test_the_endpoints_of_a_notebook_want_it_too(api, tmp_path):
    fake = await api(
        token=TOKEN, notebook=str(notebook(tmp_path / "api.ipynb", "# GET /hello\n1", "# GET /healthz\n2"))
    )
    for path in ("/hello", "/healthz", "/_api/spec/swagger.json", "/metrics", "/none"):
        for method in METHODS:
            for headers in WRONG_PLACES.values():
                response = await fake.client.request(method, path, headers=headers)
                assert response.status_code == 401, (method, path, response.text)
