"""Leap0's Python client, from the package index, bound to our address: its code interpreter's calls on our native API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.fixtures import TOKEN
from tests.harness.server import Server

# It makes its addresses from a sandbox's name and its own domain; where the transport sends to is all that is changed.
PROGRAM = """
import json, sys, typing, typing_extensions
typing.TypedDict = typing_extensions.TypedDict  # before Python 3.12 the client does not load without
from leap0._sync._transport import Transport
from leap0._sync.code_interpreter import CodeInterpreterClient
from leap0.models.errors import Leap0Error

class Ours(Transport):
    def _target_url(self, target):
        return sys.argv[1] + target.partition("://")[2][target.partition("://")[2].index("/"):]

transport = Ours(api_key=sys.argv[2], base_url=sys.argv[1])
interpreter = CodeInterpreterClient(transport, sandbox_domain="sandboxes.example")
seen = {"health": interpreter.health("box")}
context = interpreter.create_context("box", language="python")
seen["context"] = [context.language, interpreter.get_context("box", context.id).id == context.id]
seen["listed"] = context.id in [each.id for each in interpreter.list_contexts("box")]
interpreter.execute("box", code="x = 20\\nprint('printed')", context_id=context.id)
result = interpreter.execute("box", code="print(x); x + 1", context_id=context.id)
seen["result"] = [result.main_text, result.logs.stdout, result.logs.stderr, result.error, result.execution_count]
plot = interpreter.execute("box", code="import matplotlib.pyplot as plt\\nplt.plot([1, 2]); plt.show()", context_id=context.id)
seen["png"] = plot.items[0].png_bytes()[:4].hex()
failed = interpreter.execute("box", code="1 / 0", context_id=context.id)
seen["error"] = [failed.error.name, failed.error.value, "ZeroDivisionError" in failed.error.traceback]
late = interpreter.execute("box", code="while True: pass", context_id=context.id, timeout_ms=300)
seen["timeout"] = late.error.name
seen["after"] = interpreter.execute("box", code="x", context_id=context.id).main_text
env = interpreter.execute("box", code="import os; os.environ['A']", env_vars={"A": "b"})
seen["env"] = [env.main_text, env.context_id != context.id]
seen["typescript"] = interpreter.execute("box", code="const n: number = 41; n + 1", language="typescript").main_text
events = list(interpreter.execute_stream("box", code="import sys\\nprint('out')\\nprint('err', file=sys.stderr)"))
seen["stream"] = [[str(event.type.value), event.data, event.code] for event in events]
interpreter.delete_context("box", context.id)
try:
    interpreter.get_context("box", context.id)
except Leap0Error as error:
    seen["gone"] = [type(error).__name__, error.status_code]
try:
    interpreter.execute("box", code="1", language="cobol")
except Leap0Error as error:
    seen["refused"] = error.status_code
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program saw. The client and what it needs lie apart: they would move packages of the other tests."""
    packages = tmp_path_factory.mktemp("leap0")
    install = [
        sys.executable,
        "-m",
        "uv",
        "--quiet",
        "pip",
        "install",
        "--python",
        sys.executable,
        "--target",
        str(packages),
    ]
    subprocess.run([*install, "leap0==0.8.0"], check=True, capture_output=True, timeout=100)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, server.url, TOKEN],
        cwd=Path(packages),
        env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_contexts_are_made_listed_and_deleted(seen: dict[str, Any]) -> None:
    assert (seen["health"], seen["context"], seen["listed"]) == (True, ["python", True], True)
    assert seen["gone"] == ["Leap0NotFoundError", 404]


def test_code_runs_with_state_logs_and_images(seen: dict[str, Any]) -> None:
    assert seen["result"] == ["21", ["20"], [], None, 2]
    assert seen["png"] == "89504e47"
    assert seen["typescript"] == "42"
    assert seen["env"] == ["'b'", True]


def test_errors_and_timeouts_are_results_and_the_state_stays(seen: dict[str, Any]) -> None:
    assert seen["error"] == ["ZeroDivisionError", "division by zero", True]
    assert (seen["timeout"], seen["after"]) == ("TimeoutError", "20")
    assert seen["refused"] == 400


def test_a_stream_has_output_and_exit(seen: dict[str, Any]) -> None:
    assert seen["stream"] == [["stdout", "out\n", None], ["stderr", "err\n", None], ["exit", "", 0]]
