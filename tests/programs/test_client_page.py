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


EVENTS = """
async ({ api, code }) => {
  const headers = { 'Content-Type': 'application/json', Prefer: 'respond-async' };
  const started = await fetch(`${api}/execute`, { method: 'POST', headers, body: JSON.stringify({ code }) });
  const { execution_id } = await started.json();
  const source = new EventSource(`${api}/executions/${execution_id}/events`);
  const heard = [];
  for (const type of ['started', 'stdout', 'failed', 'done']) source.addEventListener(type, () => heard.push(type));
  await new Promise((resolve) => {
    source.onerror = (event) => {
      heard.push(`${event.constructor.name} ${event.data}`);
      if (source.readyState === EventSource.CLOSED) resolve();
    };
  });
  return heard;
}
"""
REFUSED = "(api) => fetch(`${api}/contexts`).then(async (answer) => [answer.status, (await answer.json()).message])"


def test_an_event_source_hears_an_error_and_stops_at_the_end(pages: str) -> None:
    with Server(settings={"allowed_origins": pages}) as server, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.set_default_timeout(DEADLINE)
        page.goto(f"{pages}/tests/real/client_typescript/")
        heard = page.evaluate(EVENTS, {"api": server.url, "code": "print(1)\n1 / 0"})
        browser.close()
    # The end of the connection, and the 204 after the browser has asked again: events of the browser's own, without data.
    assert heard == ["started", "stdout", "failed", "done", "Event undefined", "Event undefined"]


def test_a_page_that_is_refused_reads_why(pages: str) -> None:
    with Server(settings={}) as server, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.set_default_timeout(DEADLINE)
        page.goto(f"{pages}/tests/real/client_typescript/")
        status, message = page.evaluate(REFUSED, server.url)
        browser.close()
    assert (status, "allowed_origins" in message) == (403, True)
