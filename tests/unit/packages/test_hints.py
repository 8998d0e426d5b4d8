"""Hints of errors: in the words of the API that ran the code, and none for errors that only look alike."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import httpx
import pytest

from engine.api.mcp.transport import McpState
from engine.kernels.provisioners.fake import Say
from tests.unit.api.test_mcp import ACCEPTED, opened

pytestmark = pytest.mark.anyio
Ask = Callable[[httpx.AsyncClient, str], Awaitable[str]]
IN_LOOP = "asyncio.run() cannot be called from a running event loop"
NO_INPUT = "input was called, but this frontend does not support input requests."


def fails(name: str, value: str) -> list[Say]:
    return [Say("error", {"ename": name, "evalue": value, "traceback": [f"{name}: {value}"]})]


SCRIPT = {
    "missing": fails("ModuleNotFoundError", "No module named 'bs4'"),
    "asks": fails("StdinNotImplementedError", NO_INPUT),
    "ended": fails("EOFError", "EOF when reading a line"),
    "pickle": fails("EOFError", "Ran out of input"),
    "run": fails("RuntimeError", IN_LOOP),
    "until": fails("RuntimeError", "This event loop is already running"),
    "nested": fails("RuntimeError", "Cannot run the event loop while another loop is running"),
    "closed": fails("RuntimeError", "Event loop is closed"),
    "said": fails("ValueError", IN_LOOP),
    "quoted": fails("RuntimeError", f"my own: {IN_LOOP}"),
    "damaged": [
        Say("error", {"ename": "E", "evalue": "v", "traceback": ["E: v", "Restart it."], "hint": "Restart it."}),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("missing", 'POST /contexts/c/packages {"language": "python", "packages": ["beautifulsoup4"]}'),
        ("asks", "`stdin`"),
        ("run", "await main()"),
        ("until", "await main()"),
        ("nested", "await main()"),
    ],
)
async def test_the_native_api_says_what_to_do(api, code: str, words: str) -> None:
    client = (await api(SCRIPT)).client
    body = (await client.post("/execute", json={"code": code, "context_id": "c"})).json()
    assert words in body["error"]["hint"]


@pytest.mark.parametrize("code", ["pickle", "closed", "said", "quoted", "ended"])
async def test_another_error_gets_no_hint(api, code: str) -> None:
    client = (await api(SCRIPT)).client
    body = (await client.post("/execute", json={"code": code})).json()
    assert "hint" not in body["error"]


async def test_lines_that_run_out_are_named(api) -> None:
    client = (await api(SCRIPT)).client
    body = (await client.post("/execute", json={"code": "ended", "stdin": ["1"]})).json()
    assert "more often than `stdin` has lines" in body["error"]["hint"]


async def of_native(client: httpx.AsyncClient, code: str) -> str:
    body = (await client.post("/execute", json={"code": code, "context_id": "c"})).json()
    return str(body["error"]["hint"])


async def of_e2b(client: httpx.AsyncClient, code: str) -> str:
    text = (await client.post("/e2b/execute", json={"code": code})).text
    (error,) = [line for line in map(json.loads, text.splitlines()) if line["type"] == "error"]
    return str(error["traceback"])


async def of_kernelbox(client: httpx.AsyncClient, code: str) -> str:
    body = (await client.post("/sessions/demo/execute", json={"code": code})).json()
    shown = [output["data"] for output in body["outputs"] if output["kind"] == "error"]
    assert shown == [body["error"]]
    return "\n".join(body["error"]["traceback"])


async def of_code_interpreter(client: httpx.AsyncClient, code: str) -> str:
    sessions = "/api/v1/code-interpreter/sessions"
    await client.post(sessions, json={"session_id": "s"})
    return str((await client.post(f"{sessions}/s/execute", json={"code": code})).json()["stderr"])


FOREIGN = (of_e2b, of_kernelbox, of_code_interpreter)


@pytest.mark.parametrize("ask", FOREIGN)
async def test_an_api_without_a_field_for_hints_has_them_below_the_traceback(api, ask: Ask) -> None:
    client = (await api(SCRIPT)).client
    text = await ask(client, "missing")
    assert (
        "\nHint: 'bs4' is not installed in this context; package beautifulsoup4. To install it: run `%pip install"
        in text
    )
    assert "Put the value into the code" in await ask(client, "asks")
    assert "Hint:" not in await ask(client, "closed")


@pytest.mark.parametrize("ask", FOREIGN)
async def test_a_hint_that_the_traceback_has_is_not_repeated(api, ask: Ask) -> None:
    text = await ask((await api(SCRIPT)).client, "damaged")
    assert text.count("Restart it.") == 1


async def test_models_are_told_of_the_tool(fake_engine) -> None:
    engine = (await fake_engine(SCRIPT)).engine
    state = McpState(engine)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(state), base_url="http://localhost") as client:
        session = {**ACCEPTED, "mcp-session-id": await opened(client), "mcp-protocol-version": "2025-06-18"}

        async def hint(code: str) -> str:
            params = {"name": "execute_code", "arguments": {"code": code, "context_id": "c"}}
            body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}
            answer = (await client.post("/mcp", json=body, headers=session)).text
            (data,) = [line.removeprefix("data: ") for line in answer.splitlines() if '"result"' in line]
            return str(json.loads(data)["result"]["structuredContent"]["error"]["hint"])

        wanted = 'install_packages with {"context_id": "c", "language": "python", "packages": ["beautifulsoup4"]}'
        assert wanted in await hint("missing")
        assert "No tool answers input()" in await hint("asks")
    await state.aclose()
