"""The fixtures that the Kernel Gateway's own tests ask for, with `polyrepl serve` in the place of a Kernel Gateway.

A plugin of pytest for the process that `test_kernel_gateway_suite.py` starts. What a test configures becomes the KG_* variable of the
same name, and a server with these variables is started when the test first asks for something."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tornado.escape import url_escape
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.httputil import url_concat
from tornado.websocket import WebSocketClientConnection, websocket_connect
from traitlets.config import Config

from tests.harness.server import Server
from tests.harness.waiting import DEADLINE

TOKEN = "token-of-the-suite"
SETTINGS = {"surfaces": "gateway", "pool_languages": "python"}
"""A Kernel Gateway serves nothing else, and these tests run Python alone."""
KEPT = 4
"""Servers that wait for a later test with the same variables."""
Fetch = Callable[..., Awaitable[HTTPResponse]]
WebSocketFetch = Callable[..., Awaitable[WebSocketClientConnection]]


class Servers:
    """Servers by their variables. Tests take turns with them."""

    def __init__(self) -> None:
        self._running: dict[frozenset[tuple[str, str]], Server] = {}
        self._closing = ThreadPoolExecutor()

    def get(self, variables: dict[str, str]) -> Server:
        key = frozenset(variables.items())
        server = self._running.pop(key, None) or self._start(variables)
        self._running[key] = server
        while len(self._running) > KEPT:
            self.close(next(iter(self._running.values())))
        return server

    def _start(self, variables: dict[str, str]) -> Server:
        server = Server(settings=SETTINGS, env=variables)
        try:
            assert server.url
        except BaseException:
            server.close()
            raise
        return server

    def close(self, *servers: Server) -> None:
        self._running = {key: each for key, each in self._running.items() if each not in servers}
        for server in servers:
            self._closing.submit(server.close)

    def close_all(self) -> None:
        self.close(*self._running.values())
        self._closing.shutdown()


class Gateway:
    """The server that a test means, which changes when the test changes its settings."""

    def __init__(self, servers: Servers, config: Config, argv: list[str], base_url: str) -> None:
        self.settings: dict[str, Any] = {}
        self._servers = servers
        self._done: list[tuple[Server, HTTPResponse]] = []
        traits = {name: value for values in config.values() for name, value in values.items()}
        for option in argv:
            name, _, value = option.partition("=")
            traits[name.partition(".")[2]] = value
        # A Kernel Gateway lists nothing unless it is told to.
        self._traits = {"auth_token": TOKEN, "list_kernels": False, "base_url": base_url, **traits}

    @property
    def server(self) -> Server:
        changed = {name.removeprefix("kg_"): value for name, value in self.settings.items()}
        traits = {**self._traits, **changed}
        return self._servers.get({f"KG_{name.upper()}": str(value) for name, value in traits.items()})

    def request(self, *parts: str, headers: Any = None, params: Any = None, **options: Any) -> HTTPRequest:
        path = "/".join(url_escape(part, plus=False) for part in parts)
        url = url_concat(f"{self.server.url.rstrip('/')}/{path}", params)
        headers = {"Authorization": f"token {self._traits['auth_token']}"} | (headers or {})
        return HTTPRequest(url, headers=headers, connect_timeout=DEADLINE, request_timeout=DEADLINE, **options)

    def fetch(self, *parts: str, **options: Any) -> Awaitable[HTTPResponse]:
        server = self.server
        fetched = AsyncHTTPClient().fetch(self.request(*parts, **options))
        fetched.add_done_callback(
            lambda done: None if done.cancelled() or done.exception() else self._done.append((server, done.result()))
        )
        return fetched

    def tidy(self) -> None:
        """Leave the servers as they were: end the kernels; those of a notebook keep what was put into them."""
        for server, response in self._done:
            if "kernels" in response.effective_url or "sessions" in response.effective_url:
                self._end_kernel(server, response)
            elif response.request.method == "PUT":
                self._servers.close(server)

    def _end_kernel(self, server: Server, response: HTTPResponse) -> None:
        if response.code == 201:
            made = json.loads(response.body)
            url = f"{server.url.rstrip('/')}/api/kernels/{made.get('kernel', made)['id']}"
            headers = {"Authorization": f"token {self._traits['auth_token']}"}
            assert httpx.delete(url, headers=headers, timeout=DEADLINE, trust_env=False).status_code in (204, 404)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.close_all()


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def jp_argv() -> list[str]:
    return []


@pytest.fixture
def jp_base_url() -> str:
    return "/"


@pytest.fixture
def jp_http_port() -> int:
    return 0


@pytest.fixture
def jp_web_app(servers: Servers, jp_server_config: Config, jp_argv: list[str], jp_base_url: str) -> Iterator[Gateway]:
    gateway = Gateway(servers, jp_server_config, jp_argv, jp_base_url)
    yield gateway
    gateway.tidy()


@pytest.fixture
def jp_fetch(jp_web_app: Gateway) -> Fetch:
    return jp_web_app.fetch


@pytest.fixture
def jp_ws_fetch(jp_web_app: Gateway) -> WebSocketFetch:
    def fetch(*parts: str, headers: Any = None) -> Awaitable[WebSocketClientConnection]:
        request = jp_web_app.request(*parts, headers=headers)
        request.url = request.url.replace("http", "ws", 1)
        return websocket_connect(request)

    return fetch


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "timeout(seconds): an upper limit, which is the suite's for its own server")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function):
            item.fixturenames.append("runner")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the tests that are coroutines, all of them in one event loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    pyfuncitem.funcargs["runner"].run(pyfuncitem.obj(**arguments))
    return True
