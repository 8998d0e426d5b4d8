"""The TypeScript client in a page of a browser that comes from another origin."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator

import pytest

from tests.harness.fixtures import TOKEN
from tests.harness.server import Server
from tests.harness.typescript_client import ROOT, surface
from tests.programs.chromium import ARGUMENTS, CHROMIUM, DEADLINE, needs_chromium, sync_api

pytestmark = needs_chromium


class Pages(http.server.SimpleHTTPRequestHandler):
    """The repository as web pages."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pages, directory=ROOT)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def page_server(pages: str) -> Iterator[Server]:
    with Server(settings={"token": TOKEN, "allowed_origins": pages}) as server:
        yield server


def test_all_of_it_works_in_a_page_of_another_origin(page_server: Server, pages: str) -> None:
    module = surface("/clients/typescript/lib/index.js")
    call = f"run({{url: '{page_server.url}', token: '{TOKEN}'}}, 'page')"
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.set_default_timeout(DEADLINE)
        page.goto(f"{pages}/tests/real/client_typescript/")
        page.evaluate(
            "(code) => { const s = document.createElement('script'); s.type = 'module'; s.textContent = code; document.head.append(s); }",
            f"{module}\n{call}.then((said) => (window.said = said), (error) => (window.said = String(error.stack)));",
        )
        page.wait_for_function("window.said !== undefined")
        assert page.evaluate("window.said") == "all of it works"
        browser.close()
