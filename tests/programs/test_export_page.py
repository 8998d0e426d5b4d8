"""The page of an export in a real browser: what outputs contain does not run, and reaches nothing. A naive page shows that it would."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.contexts.notebooks import FORMATS, Cell, Origin, writer
from engine.models import Item, ItemAdded, Stdout
from tests.programs.chromium import ARGUMENTS, CHROMIUM, DEADLINE, needs_chromium, sync_api

pytestmark = needs_chromium

LEAKS = {
    "script": "<script>fetch('{url}')</script>",
    "handler": "<img src=x onerror=\"new Image().src = '{url}'\">",
    "image": "<img src='{url}'>",
    "style": "<style>body {{ background: url('{url}') }}</style>",
    "import": "<style>@import '{url}';</style>",
    "font": "<style>@font-face {{ font-family: f; src: url('{url}') }} b {{ font-family: f }}</style><b>x</b>",
    "stylesheet": "<link rel=stylesheet href='{url}'>",
    "preload": "<link rel=preload as=image href='{url}'>",
    "frame": "<iframe src='{url}'></iframe>",
    "refresh": "<meta http-equiv=refresh content='0;url={url}'>",
    "video": "<video src='{url}' autoplay muted></video>",
    "svg": "<svg><image href='{url}'/></svg>",
    "form": "<form action='{url}'><button id=go>x</button></form>",
    "link": "<a id=go href='{url}'>x</a>",
    "top link": "<a id=go target=_top href='{url}'>x</a>",
    "popup": "<a id=go target=_blank href='{url}'>x</a>",
}


class Log:
    """A server that notes what it is asked for."""

    def __init__(self) -> None:
        paths = self.paths = set[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                paths.add(self.path.partition("?")[0])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *arguments: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(scope="module")
def log() -> Iterator[Log]:
    log = Log()
    thread = threading.Thread(target=log.server.serve_forever)
    thread.start()
    yield log
    log.server.shutdown()
    thread.join()
    log.server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def exported(outputs: list[str]) -> str:
    """A page with a cell for each output, as HTML, as SVG and as text."""
    out = writer(FORMATS["html"], Origin("c", ("python",)))
    cells = []
    for number, html in enumerate(outputs, 1):
        svg = f'<svg xmlns="http://www.w3.org/2000/svg"><foreignObject>{html}</foreignObject></svg>'
        items = [
            Item(is_primary=False, html=html),
            Item(is_primary=False, svg=svg),
            Item(is_primary=False, markdown=html),
        ]
        events = [Stdout(text=html), *(ItemAdded(index=index, item=item) for index, item in enumerate(items))]
        cells.append(out.cell(Cell(f"i{number}", "python", html, "ok", number, events, "", "", [], None, {})))
    return b"".join([out.begin(), *cells, out.end()]).decode()


def naive(outputs: list[str]) -> str:
    """What a page without protection does with them: same-origin frames, which scripts may run in."""
    return "".join(f'<iframe srcdoc="{escape(html)}"></iframe>' for html in outputs)


def visit(browser: sync_api.Browser, path: Path, log: Log, *, wanted: int) -> set[str]:
    """Open a page, click at what can be clicked, and return what the server was asked for: when it is as much as wanted, or late."""
    log.paths.clear()
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(DEADLINE)
    page.goto(path.as_uri(), wait_until="load")
    for frame in page.frames[1:]:
        if frame.locator("#go").count():
            frame.locator("#go").click(no_wait_after=True)
    patience = 100 if wanted else 10
    while len(log.paths) < (wanted or 1) and patience:
        page.wait_for_timeout(100)  # the browser's events go on
        patience -= 1
    context.close()
    return set(log.paths)


def test_nothing_in_an_exported_page_reaches_a_server(browser: sync_api.Browser, log: Log, tmp_path: Path) -> None:
    outputs = [leak.format(url=f"{log.url}/{number}") for number, leak in enumerate(LEAKS.values())]
    path = tmp_path / "page.html"
    path.write_text(naive(outputs))
    fired = visit(browser, path, log, wanted=len(LEAKS))
    names = list(LEAKS)
    assert {names[int(each[1:])] for each in fired} == set(LEAKS)
    path.write_text(exported(outputs))
    assert visit(browser, path, log, wanted=0) == set()


def test_an_output_cannot_touch_the_page(browser: sync_api.Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(exported(["<script>parent.document.title = 'taken'; alert(1)</script><p>shown</p>"]))
    page = browser.new_page()
    page.set_default_timeout(DEADLINE)
    page.goto(path.as_uri())
    assert page.title() == "c"
    assert page.frames[1].inner_text("p") == "shown"
    page.close()
