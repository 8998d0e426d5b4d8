"""One server, one browser and one listener for all tests of the kit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.server import Server
from tests.programs.web_kit.pages import Listener, browsing, listening, opened


@pytest.fixture(scope="session")
def kit_server() -> Iterator[Server]:
    with Server(settings={}) as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with browsing() as found:
        yield found


@pytest.fixture(scope="session")
def listener() -> Iterator[Listener]:
    with listening() as found:
        yield found


@pytest.fixture
def page(browser: Any, listener: Listener, kit_server: Server) -> Iterator[Any]:
    listener.heard.clear()
    with opened(browser, listener, kit_server.url) as found:
        yield found


@pytest.fixture(scope="session")
def api(kit_server: Server) -> Iterator[Client]:
    client = kit_server.client()
    yield client
    client.close()
