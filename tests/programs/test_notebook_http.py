"""Notebooks as APIs beside the real Kernel Gateway: the same answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.harness.notebooks import notebook
from tests.harness.server import Server
from tests.harness.waiting import DEADLINE, wait_until

PYTHON = [
    "import json, os, time\nfrom IPython.display import HTML\ncalls = []",
    "# GET /hello/:person\nrequest = json.loads(REQUEST)",
    "# GET /hello/:person\nprint('hello', request['path']['person'])",
    "# GET /hello/world\nprint('nobody in particular')",
    "# GET /args\nprint(json.dumps(json.loads(REQUEST)['args']))",
    "# POST /body\nprint(json.dumps(json.loads(REQUEST)['body']))",
    "# PUT /headers\nprint({k: v for k, v in json.loads(REQUEST)['headers'].items() if k.startswith('X-') or k == 'Content-Type'})",
    "# POST /made\nprint(json.dumps({'id': 7}))",
    "# ResponseInfo POST /made\nprint(json.dumps({'headers': {'Content-Type': 'application/json', 'X-A': 'b'}, 'status': 201}))",
    "# GET /result\n1 + 1",
    "# GET /rich\nHTML('<b>bold</b>')",
    "# GET /quiet\nx = 1",
    "# GET /both\nprint('out')\nprint('err', file=__import__('sys').stderr)\n2",
    "# DELETE /fail\n1 / 0",
    "# GET /calls\ncalls.append(1)\nprint(len(calls))",
]
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/hello/Ada", {}),
    ("GET", "/hello/a%2Fb%20%22c%22", {}),
    ("GET", "/hello/world", {}),
    ("GET", "/hello/", {}),
    ("GET", "/hello/a/b", {}),
    ("GET", "/args?a=1&a=2&b=&c=%20x%27", {}),
    ("POST", "/body", {"json": {"k": [1, "é'\"\\", None]}}),
    ("POST", "/body", {"data": {"a": ["1", "2"], "b": "x y"}}),
    ("POST", "/body", {"data": {"f": "v"}, "files": {"up": ("n.txt", b"data")}}),
    ("POST", "/body", {"content": "plain é"}),
    ("POST", "/body", {}),
    ("POST", "/body", {"content": "{bad", "headers": {"content-type": "application/json"}}),
    ("PUT", "/headers", {"headers": [("x-one", "1"), ("X-One", "2"), ("x-two-three", "4")], "json": 1}),
    ("POST", "/made", {}),
    ("GET", "/made", {}),
    ("GET", "/result", {}),
    ("GET", "/rich", {}),
    ("GET", "/quiet", {}),
    ("GET", "/both", {}),
    ("DELETE", "/fail", {}),
    ("GET", "/fail", {}),
    ("HEAD", "/quiet", {}),
    ("OPTIONS", "/quiet", {}),
    ("GET", "/calls", {}),
    ("GET", "/nope", {}),
    ("GET", "/", {}),
    ("GET", "/api/kernels", {}),
    ("GET", "/_api/spec/swagger.json", {}),
    ("GET", "/_api/source", {}),
    ("GET", "/public/a.txt", {}),
]  # fmt: skip


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """The real Kernel Gateway and ours, told the same in the same variables."""
    home = tmp_path_factory.mktemp("notebooks")
    (home / "a.txt").write_text("public")
    variables = {
        "KG_API": "kernel_gateway.notebook_http",
        "KG_SEED_URI": str(notebook(home / "api.ipynb", *PYTHON)),
        "KG_ALLOW_NOTEBOOK_DOWNLOAD": "True",
        "KG_STATIC_PATH": str(home),
    }
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    real = subprocess.Popen(
        [sys.executable, "-m", "kernel_gateway", f"--port={port}"],
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with Server(env=variables, settings={"pool_max": "0"}) as server:
            options: dict[str, Any] = {"timeout": DEADLINE, "trust_env": False}
            theirs = httpx.Client(base_url=f"http://127.0.0.1:{port}", **options)
            with theirs, httpx.Client(base_url=server.url, **options) as ours:
                wait_until(lambda: answers(theirs), what="the Kernel Gateway answers")
                yield theirs, ours
    finally:
        real.terminate()
        real.wait(DEADLINE)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/_api/spec/swagger.json").status_code == 200
    except httpx.TransportError:
        return False


def told(response: httpx.Response) -> tuple[int, Any, str | None]:
    """Status, body and what a ResponseInfo adds; JSON by its values."""
    kind = response.headers.get("content-type", "")
    body = response.json() if kind.startswith("application/json") and response.content else response.text
    return response.status_code, body, response.headers.get("x-a")


@pytest.mark.parametrize(("method", "path", "options"), REQUESTS, ids=lambda value: str(value)[:20])
def test_ours_answers_as_the_real_one(
    both: tuple[httpx.Client, httpx.Client], method: str, path: str, options: dict[str, Any]
) -> None:
    theirs, ours = (client.request(method, path, **options) for client in both)
    assert told(ours) == told(theirs)
