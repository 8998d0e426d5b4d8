"""Check a running server from outside, with the standard library alone, on any Python that the project supports.

python tests/smoke.py http://127.0.0.1:8000    # a server that runs already; POLYREPL_TOKEN is its token, if it has one
python tests/smoke.py                          # start `polyrepl serve` of this interpreter's environment, and end it

It runs both languages, a plot, a table, a timeout, a fork, a checkpoint, and what differs between versions of Python. One line a check;
the exit status is the number of checks that failed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

DEADLINE = 120.0  # seconds, for one request and for the server's start
PNG = b"\x89PNG\r\n\x1a\n"
FRACTION = 0.5  # of a second: the timeout that the endless cells get
Json = dict[str, Any]

POOL = """
import multiprocessing
def square(n):
    return n * n
with multiprocessing.Pool(2) as pool:
    total = sum(pool.map(square, range(10)))
total"""
EXECUTOR = """
from concurrent.futures import ProcessPoolExecutor
def cube(n):
    return n ** 3
with ProcessPoolExecutor(2) as executor:
    total = sum(executor.map(cube, range(5)))
total"""
ANNOTATIONS = """
import dataclasses, typing
@dataclasses.dataclass
class Node:
    value: int
    children: 'list[Node]' = dataclasses.field(default_factory=list)
hints = typing.get_type_hints(Node)
print(hints['value'] is int, hints['children'] == list[Node])
Node(1)"""
FINALLY = """
def late():
    try:
        return 1
    finally:
        return 2
late()"""
ASYNC = """
import asyncio, sys
process = await asyncio.create_subprocess_exec(sys.executable, '-c', 'print(6 * 7)', stdout=-1)
(await process.communicate())[0].decode().strip()"""


class Server:
    """The HTTP API at one address."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if token := os.environ.get("POLYREPL_TOKEN"):
            self._headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, body: Json | None = None) -> Json:
        """Raises AssertionError for a status from 400 on."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, self._headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no business on this way
        try:
            with opener.open(request, timeout=DEADLINE) as response:
                return dict(json.loads(response.read() or b"{}"))
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None


class Context:
    """One context of the server, deleted at the end of the block."""

    def __init__(self, server: Server, context_id: str | None = None) -> None:
        self.server = server
        self.id = context_id or f"smoke-{uuid.uuid4()}"

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(AssertionError):
            self.server.request("DELETE", f"/contexts/{self.id}")

    def run(self, code: str, *, status: str = "ok", **fields: Any) -> Json:
        result = self.server.request("POST", "/execute", {"context_id": self.id, "code": code, **fields})
        assert result["status"] == status, json.dumps(result, indent=1)
        return result

    def value(self, code: str, **fields: Any) -> str | None:
        """The text of the cell's value."""
        result = self.run(code, **fields)
        return next((item.get("text") for item in result["items"] if item["is_primary"]), None)


def check(actual: object, expected: object) -> None:
    assert actual == expected, f"expected {expected!r}, got {actual!r}"


def python_runs_and_keeps_its_state(context: Context) -> None:
    check(context.run("print('hello')\nx = 6")["logs"]["stdout"], ["hello"])
    check(context.value("x * 7"), "42")


def typescript_runs_and_keeps_its_state(context: Context) -> None:
    context.run("const x: number = 6; console.log('hello')", language="typescript")
    check(context.value("x * 7", language="typescript"), "42")


def an_error_has_a_name_and_a_traceback(context: Context) -> None:
    error = context.run("1 / 0", status="error")["error"]
    check(error["name"], "ZeroDivisionError")
    assert "----> 1 1 / 0" in error["traceback"], error["traceback"]
    check(context.run("null.x", language="typescript", status="error")["error"]["name"], "TypeError")


def a_plot_is_a_png(context: Context) -> None:
    items = context.run("import matplotlib.pyplot as plt\nplt.plot([1, 4, 9])\nplt.show()")["items"]
    images = [base64.b64decode(item["png"]) for item in items if "png" in item]
    assert len(images) == 1, f"{len(images)} images"
    assert images[0].startswith(PNG), images[0][:20]


def a_table_is_html(context: Context) -> None:
    items = context.run("import pandas as pd\npd.DataFrame({'a': [1, 2]})")["items"]
    assert "<table" in items[0]["html"], items


def a_timeout_keeps_the_state(context: Context) -> None:
    for language, setup, endless in (
        ("python", "kept = 1", "while True: pass"),
        ("python", "kept = 1", "import time; time.sleep(3600)"),
        ("python", "kept = 1", "import asyncio; await asyncio.sleep(3600)"),
        ("typescript", "let kept = 1", "while (true) {}"),
    ):
        context.run(setup, language=language)
        result = context.run(endless, language=language, timeout_ms=FRACTION * 1000, status="timeout")
        check(result["context_state"], "preserved")
        check(context.value("kept", language=language), "1")


def a_fork_goes_on_from_the_state(context: Context) -> None:
    context.run("numbers = iter(range(10)); next(numbers)")
    copy = context.server.request("POST", f"/contexts/{context.id}/fork", {})["id"]
    with Context(context.server, copy) as fork:
        check(
            [fork.value("next(numbers)"), fork.value("next(numbers)"), context.value("next(numbers)")], ["1", "2", "1"]
        )


def a_checkpoint_is_restored(context: Context) -> None:
    checkpoint = context.run("state = 'before'", checkpoint=True)["checkpoint"]
    context.run("state = 'after'")
    context.server.request("POST", f"/contexts/{context.id}/restore", {"checkpoint": checkpoint})
    assert context.run("'state' in globals()")["items"][0]["text"] == "False"


def worker_processes_run_functions_of_a_cell(context: Context) -> None:
    limit = DEADLINE * 500  # milliseconds: workers that cannot find the function are started again without end
    check(context.value(POOL, timeout_ms=limit), "285")
    check(context.value(EXECUTOR, timeout_ms=limit), "100")


def a_cell_starts_programs(context: Context) -> None:
    check(context.value(ASYNC), "'42'")
    check(context.run("!echo 42")["logs"]["stdout"], ["42"])


def annotations_of_a_cell_are_evaluated(context: Context) -> None:
    result = context.run(ANNOTATIONS)
    check(result["logs"]["stdout"], ["True True"])
    check(result["items"][0]["text"], "Node(value=1, children=[])")


def a_future_import_stays_in_the_session(context: Context) -> None:
    context.run("from __future__ import annotations\ndef f(x: Missing): pass")
    check(context.value("f.__annotations__"), "{'x': 'Missing'}")


def a_return_in_finally_warns_at_most_once(context: Context) -> None:
    result = context.run(FINALLY)
    check(result["items"][0]["text"], "2")
    warnings = [line for line in result["logs"]["stderr"] if "SyntaxWarning" in line]
    has_warning = context.value("import sys; sys.version_info >= (3, 14)") == "True"
    check(len(warnings), int(has_warning))


CHECKS: tuple[Callable[[Context], None], ...] = (
    python_runs_and_keeps_its_state,
    typescript_runs_and_keeps_its_state,
    an_error_has_a_name_and_a_traceback,
    a_plot_is_a_png,
    a_table_is_html,
    a_timeout_keeps_the_state,
    a_fork_goes_on_from_the_state,
    a_checkpoint_is_restored,
    worker_processes_run_functions_of_a_cell,
    a_cell_starts_programs,
    annotations_of_a_cell_are_evaluated,
    a_future_import_stays_in_the_session,
    a_return_in_finally_warns_at_most_once,
)


def run_checks(url: str) -> int:
    """How many of the checks fail. Each has a context of its own."""
    server, failed = Server(url), 0
    with Context(server) as context:
        version = context.run("import sys; print(sys.version.split()[0])")["logs"]["stdout"][0]
    for checked in CHECKS:
        name = checked.__name__.replace("_", " ")
        try:
            with Context(server) as context:
                checked(context)
        except (AssertionError, LookupError, OSError) as error:
            failed += 1
            print(f"FAILED  {name}: {error}")
        else:
            print(f"ok      {name}")
    print(f"Python {version}: {len(CHECKS) - failed} passed, {failed} failed")
    return failed


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The address of a server of this interpreter's environment."""
    command = [str(Path(sys.executable).parent / "polyrepl"), "serve", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    log: list[str] = []
    address: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in process.stderr or ():
            log.append(line)
            if found := re.search(r"serving.*(http://[\w.:\[\]]+)", line):
                address.put(found[1])
        address.put(None)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        url = address.get(timeout=DEADLINE)
        if url is None:
            raise SystemExit("the server did not start:\n" + "".join(log))
        yield url
    finally:
        process.terminate()
        process.wait(DEADLINE)
        reader.join()


def main(arguments: list[str]) -> int:
    """Raises SystemExit where no server starts."""
    if len(arguments) > 1:
        return run_checks(arguments[1])
    with served() as url:
        return run_checks(url)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
