"""A page that shows results with the kit, and a server that writes down everything that reaches it."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator
from typing import Any

from tests.programs.chromium import ARGUMENTS, CHROMIUM, DEADLINE, sync_api

PAGE = b"""<!doctype html><html lang=en style="color-scheme: light dark"><meta charset=utf-8><title>chat</title>
<link rel=icon href=data:,><body><main id=main></main>"""
SHOW = """([result, attributes]) => {
  const output = document.createElement('polyrepl-output');
  for (const [name, value] of Object.entries(attributes)) output.setAttribute(name, value);
  document.querySelector('#main').replaceChildren(output);
  output.result = result;
}"""
FORMS = "() => [...document.querySelector('polyrepl-output').shadowRoot.querySelectorAll('.item')].map((item) => item.dataset.form)"
TEXT = "() => document.querySelector('polyrepl-output').shadowRoot.querySelector('.output').innerText"


class Listener:
    """Counts who calls: `heard` has the path of each request, and `udp` or `tcp` for what is no HTTP."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                is_page = self.path.startswith("/page")
                if not is_page:
                    listener.heard.append(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(PAGE if is_page else b"ok")

            def do_POST(self) -> None:
                self.do_GET()

            def do_OPTIONS(self) -> None:
                self.do_GET()

        self._web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._web.server_port}"
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self.udp_port: int = self._udp.getsockname()[1]
        self._threads = [threading.Thread(target=each) for each in (self._web.serve_forever, self._read_datagrams)]
        for thread in self._threads:
            thread.start()

    def _read_datagrams(self) -> None:
        while self._udp.recvfrom(2000)[0] != b"end":
            self.heard.append("udp")

    def close(self) -> None:
        self._web.shutdown()
        self._web.server_close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"end", ("127.0.0.1", self.udp_port))
        for thread in self._threads:
            thread.join()
        self._udp.close()


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    listener = Listener()
    try:
        yield listener
    finally:
        listener.close()


@contextlib.contextmanager
def browsing() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(browser: Any, listener: Listener, server_url: str, **options: Any) -> Iterator[Any]:
    """A page with the kit. It is tall, as a browser does not paint what is out of sight."""
    page = browser.new_page(viewport={"width": 800, "height": 2000}, **options)
    page.set_default_timeout(DEADLINE)
    page.goto(f"{listener.url}/page")
    page.evaluate("(url) => import(url)", f"{server_url}/_web/output.js")
    try:
        yield page
    finally:
        page.close()


def show(page: Any, result: dict[str, Any], **attributes: str) -> None:
    page.evaluate(SHOW, [result, {name.replace("_", "-"): value for name, value in attributes.items()}])


def wait_shown(page: Any, slot: int = 0) -> None:
    """Wait until the frame has shown what it got in this place."""
    script = "(slot) => Number(document.querySelector('polyrepl-output').shadowRoot.querySelector('.frame')?.dataset.shown ?? -1) >= slot"
    page.wait_for_function(script, arg=slot)
