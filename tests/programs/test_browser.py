"""The documentation pages in a real browser, without internet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.harness.server import Server
from tests.programs.chromium import ARGUMENTS, CHROMIUM, DEADLINE, needs_chromium, sync_api

pytestmark = needs_chromium


class Visit:
    """A page, and everything that it asked for and complained about."""

    def __init__(self, page: sync_api.Page) -> None:
        self.page = page
        self.hosts: set[str] = set()
        self.complaints: list[str] = []
        page.set_default_timeout(DEADLINE)
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._listen)

    def _listen(self, message: sync_api.ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)


@pytest.fixture(scope="module")
def browser(open_server: Server) -> Iterator[sync_api.Browser]:
    """Names of other hosts do not resolve in it."""
    rules = f"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE {urlsplit(open_server.url).hostname}"
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, rules])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: sync_api.Browser) -> Iterator[Visit]:
    page = browser.new_page()
    yield Visit(page)
    page.close()


def operations(open_server: Server) -> int:
    paths = httpx.get(f"{open_server.url}/openapi.json", trust_env=False, timeout=60).json()["paths"]
    return sum(len(methods) for methods in paths.values())


def test_docs_shows_every_operation_and_asks_no_other_host(open_server: Server, visit: Visit) -> None:
    visit.page.goto(f"{open_server.url}/docs")
    visit.page.wait_for_selector(".opblock")
    sync_api.expect(visit.page.locator(".opblock")).to_have_count(operations(open_server), timeout=DEADLINE)
    assert visit.page.locator(".info .title").inner_text().startswith("polyrepl")
    assert visit.hosts - {""} == {urlsplit(open_server.url).netloc}
    assert visit.complaints == []


def test_code_can_be_tried_out_in_docs(open_server: Server, visit: Visit) -> None:
    visit.page.goto(f"{open_server.url}/docs")
    block = visit.page.locator(".opblock-post", has=visit.page.locator('[data-path="/execute"]'))
    block.locator(".opblock-summary-control").click()
    block.locator(".try-out__btn").click()
    block.locator("textarea.body-param__text").fill(json.dumps({"code": "print('from the browser')\n6 * 7"}))
    block.locator("button.execute").click()
    answer = block.locator(".live-responses-table")
    sync_api.expect(answer.locator(".response-col_status").last).to_contain_text("200", timeout=DEADLINE)
    shown = answer.inner_text()
    assert "from the browser" in shown
    assert '"42"' in shown
    assert visit.hosts - {""} == {urlsplit(open_server.url).netloc}
    assert visit.complaints == []


def test_redoc_shows_the_operations_and_asks_no_other_host(open_server: Server, visit: Visit) -> None:
    visit.page.goto(f"{open_server.url}/redoc")
    path = visit.page.get_by_text("/contexts/{context_id}/restart", exact=True)
    sync_api.expect(path.first).to_be_attached(timeout=DEADLINE)
    assert "polyrepl" in visit.page.locator("h1").first.inner_text()
    assert "Run code and return its result, or stream its events" in visit.page.inner_text("body")
    assert visit.hosts - {""} == {urlsplit(open_server.url).netloc}
    assert visit.complaints == []
