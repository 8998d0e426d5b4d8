"""A state that was lost between two calls is told in every dialect, once."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from engine.kernels.provisioners.fake import Die, Say

pytestmark = pytest.mark.anyio
SCRIPT: dict[str, Any] = {"x": [Say("stream", {"name": "stdout", "text": "hello\n"})]}
LOSS = "[polyrepl: the earlier state is lost: its kernel died (killed by SIGKILL) at "


async def kernelbox(client: httpx.AsyncClient) -> str:
    told = (await client.post("/sessions/c/execute", json={"code": "x"})).json()
    assert "".join(each["text"] for each in told["outputs"] if each["name"] == "stderr") == told["stderr"]
    return str(told["stderr"])


async def code_interpreter(client: httpx.AsyncClient) -> str:
    return str((await client.post("/api/v1/code-interpreter/sessions/c/execute", json={"code": "x"})).json()["stderr"])


async def e2b(client: httpx.AsyncClient) -> str:
    told = await client.post("/e2b/execute", json={"code": "x", "context_id": "c"})
    lines = [json.loads(line) for line in told.text.splitlines()]
    assert lines[-1]["type"] == "end_of_execution"
    return "".join(line["text"] for line in lines if line["type"] == "stderr")


async def script(client: httpx.AsyncClient) -> str:
    told = await client.post("/execute/async", json={"code": "x", "context_id": "c"})
    events = [json.loads(line.removeprefix("data: ")) for line in told.text.splitlines() if line]
    assert events[-1]["type"] == 2
    return "".join(event["data"] for event in events if event["type"] == 1)


@pytest.mark.parametrize("stderr", [kernelbox, code_interpreter, e2b, script], ids=lambda each: each.__name__)
async def test_a_loss_between_calls_is_a_line_on_stderr_of_the_next(
    api, stderr: Callable[[httpx.AsyncClient], Awaitable[str]]
):
    fake = await api(SCRIPT)
    await fake.client.post("/execute", json={"code": "x", "context_id": "c"})
    assert await stderr(fake.client) == ""
    fake.kernels[0]._on_death(-9)
    await fake.engine.contexts.get("c")[0].kernel.exited
    told = await stderr(fake.client)
    assert told.startswith(LOSS)
    assert (told.count("\n"), told[-1]) == (1, "\n")
    assert await stderr(fake.client) == ""


async def test_a_cell_that_loses_the_state_says_so_on_stderr(api):
    fake = await api({**SCRIPT, "die": [Die()]})
    told = (await fake.client.post("/sessions/c/execute", json={"code": "die"})).json()["stderr"]
    assert told == "[polyrepl: the state of this context is lost; the next code runs on a fresh kernel]\n"
    assert await kernelbox(fake.client) == ""


async def test_start_up_code_does_not_swallow_the_loss_of_a_session(api):
    fake = await api(SCRIPT, kernelbox_startup_code="y", max_contexts=1)
    assert await kernelbox(fake.client) == ""
    await fake.client.post("/execute", json={"code": "x", "context_id": "other"})
    assert "it was evicted to make room for another" in await kernelbox(fake.client)


async def test_a_copy_of_a_lost_state_is_a_409_that_says_what_to_do(api):
    fake = await api(SCRIPT)
    await fake.client.post("/execute", json={"code": "x", "context_id": "c"})
    fake.kernels[0]._on_death(-9)
    await fake.engine.contexts.get("c")[0].kernel.exited
    for action in ("fork", "checkpoints"):
        response = await fake.client.post(f"/contexts/c/{action}", json={})
        assert (response.status_code, response.json()["code"]) == (409, "StateLost")
        assert "killed by SIGKILL" in response.json()["message"]
        assert "restart it" in response.json()["remediation"]
