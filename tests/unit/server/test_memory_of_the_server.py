"""Memory of the server: a peak goes back to the system, and an answer for which there is none is refused, not a crash."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from engine.core import Engine

pytestmark = pytest.mark.anyio

LARGE = 40_000_000

_SETUP = f"""
import asyncio, resource
from engine.models import Logs, Result, encode
from engine.api.http.results import encode_result
from engine.server.allocator import Trimmer

def kilobytes(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))

text = "h" * {LARGE}
result = Result(execution_id="e", context_id="c", language="python", status="ok", items=[], logs=Logs([], []))
"""
_LIMIT = """
limit = kilobytes("VmSize") * 1024 + 10_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
"""


def said(code: str) -> str:
    """What a process of its own prints, which ends in order."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.strip()


def test_json_for_which_there_is_no_memory_is_an_error_and_no_crash():
    attempts = """
for attempt in (lambda: encode(text), lambda: encode([text]), lambda: encode_result(result, text, '', size=len(text))):
    try:
        attempt()
    except MemoryError:
        print("refused")
"""
    assert said(_SETUP + _LIMIT + attempts).split() == ["refused"] * 3


def test_json_is_complete_where_there_is_memory():
    code = "print(len(encode(text)), len(encode_result(result, text, '', size=len(text))))"
    assert all(int(size) > LARGE for size in said(_SETUP + code).split())


def test_what_a_peak_took_is_given_back_by_the_next_look():
    """In parts of every size, between others that stay."""
    code = """
trimmer, before = Trimmer(), kilobytes("VmRSS")
kept = []
for _ in range(20):
    parts = [[b"x" * size for _ in range(20_000_000 // 10 // size)] for size in (700, 100_000, 250_000, 2_000_000)]
    kept += [parts, bytes(1000)]
peak = kilobytes("VmRSS")
asyncio.run(trimmer.look(1))
kept = kept[1::2]
asyncio.run(trimmer.look(2))
print(peak - before > 100_000, kilobytes("VmRSS") - before < 20_000)
"""
    assert said(_SETUP + code) == "True True"


async def test_an_answer_for_which_there_is_no_memory_is_refused_with_the_reason(
    api: Any, monkeypatch: pytest.MonkeyPatch
):
    fake = await api()

    async def refuse(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(Engine, "execute", refuse)
    response = await fake.client.post("/execute", json={"code": "x"})
    assert (response.status_code, response.json()["message"]) == (507, "The server has no memory for this answer")
    monkeypatch.undo()
    assert (await fake.client.post("/execute", json={"code": "x"})).status_code == 200
