"""MCP with its official client, over both transports: every tool, images, a long run, large output, errors, cancelling."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from engine.api.mcp.tools import TOOLS
from tests.harness.client import Client
from tests.harness.fixtures import TOKEN
from tests.harness.server import POLYREPL, Server

pytestmark = pytest.mark.anyio
NAMES = [tool.name for tool in TOOLS]


@contextlib.asynccontextmanager
async def over_http(server: Server) -> AsyncIterator[ClientSession]:
    async with (
        httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as http,
        streamable_http_client(f"{server.url}/mcp", http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        yield session


@contextlib.asynccontextmanager
async def over_stdio(_: Server) -> AsyncIterator[ClientSession]:
    parameters = StdioServerParameters(command=str(POLYREPL), args=["mcp", "--pool-max", "0"])
    async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
        await session.initialize()
        yield session


@pytest.fixture(params=[over_http, over_stdio], ids=["http", "stdio"])
def connect(request: pytest.FixtureRequest, server: Server) -> Callable[[], Any]:
    return lambda: request.param(server)


async def call(session: ClientSession, tool: str, /, **arguments: Any) -> Any:
    result = await session.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result


async def said(session: ClientSession, tool: str, /, **arguments: Any) -> str:
    """What a call that fails says."""
    result = await session.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)


async def test_every_tool_is_listed_with_its_schemas_and_works(connect: Callable[[], Any]):
    async with connect() as session:
        listed = (await session.list_tools()).tools
        assert [tool.name for tool in listed] == NAMES
        assert all(tool.output_schema and tool.annotations and tool.description for tool in listed)
        by_name = {tool.name: tool for tool in listed}
        assert by_name["list_files"].annotations.read_only_hint
        assert by_name["delete_context"].annotations.destructive_hint

        made = await call(session, "create_context", context_id="mcp-tour", language="python")
        assert (made.structured_content["id"], made.structured_content["language"]) == ("mcp-tour", "python")
        await call(session, "write_file", context_id="mcp-tour", path="in/numbers.txt", content="1 2 3")
        ran = await call(
            session,
            "execute_code",
            context_id="mcp-tour",
            code="total = sum(map(int, open('in/numbers.txt').read().split()))\nopen('out.txt', 'w').write('x' * 10)\ntotal",
        )
        assert ran.content[0].text == "6"
        assert ran.structured_content["items"][0]["text"] == "6"
        assert ran.structured_content["files"] == [{"path": "out.txt", "change": "created", "size": 10}]
        again = await call(session, "get_execution", execution_id=ran.structured_content["execution_id"])
        assert again.structured_content == ran.structured_content
        variables = await call(session, "list_variables", context_id="mcp-tour", match="total")
        assert [each["name"] for each in variables.structured_content["items"]] == ["total"]
        there = await call(session, "install_packages", context_id="mcp-tour", packages=["numpy"])
        assert (there.structured_content["status"], there.structured_content["tool"]) == ("ok", "pip")
        assert there.content[0].text == "Nothing new was installed."
        assert "option of pip" in await said(session, "install_packages", context_id="mcp-tour", packages=["--pre"])
        fork = await call(session, "fork_context", context_id="mcp-tour", new_context_id="mcp-fork")
        assert fork.structured_content["id"] == "mcp-fork"
        assert (await call(session, "execute_code", context_id="mcp-fork", code="total + 1")).content[0].text == "7"
        files = await call(session, "list_files", context_id="mcp-tour", recursive=True)
        assert {each["path"] for each in files.structured_content["items"]} >= {"in/numbers.txt", "out.txt"}
        assert (await call(session, "read_file", context_id="mcp-tour", path="out.txt")).content[0].text == "x" * 10
        await call(session, "delete_file", context_id="mcp-tour", path="out.txt")
        assert "FileMissing" in await said(session, "read_file", context_id="mcp-tour", path="out.txt")
        ids = [each["id"] for each in (await call(session, "list_contexts")).structured_content["items"]]
        assert {"mcp-tour", "mcp-fork"} <= set(ids)
        background = await call(
            session, "execute_code", context_id="mcp-tour", code="while True: pass", background=True
        )
        execution_id = background.structured_content["execution_id"]
        await call(session, "interrupt_execution", execution_id=execution_id)
        assert "KeyboardInterrupt" in await said(session, "get_execution", execution_id=execution_id, wait_ms=20_000)
        for context_id in ("mcp-tour", "mcp-fork"):
            await call(session, "delete_context", context_id=context_id)
        assert "ContextNotFound" in await said(session, "list_variables", context_id="mcp-tour")


async def test_a_plot_is_an_image_and_text_has_no_colours(connect: Callable[[], Any]):
    code = "import matplotlib.pyplot as plt\nprint('\\x1b[31mred\\x1b[0m')\nplt.plot([1, 2])\nplt.show()"
    async with connect() as session:
        result = await call(session, "execute_code", code=code)
        text, image = result.content
        assert text.text.startswith("red\n")
        assert (image.type, image.mime_type) == ("image", "image/png")
        assert base64.b64decode(image.data).startswith(b"\x89PNG")


async def test_the_types_of_code_are_checked_on_request(server: Server):
    code = "const total: number = 'x'\ntotal"
    async with over_http(server) as session:
        result = await call(session, "execute_code", code=code, language="typescript", check=True)
        python = await call(session, "execute_code", code="1", check=True)
    assert "[TS2322, line 1, column 7] Type 'string' is not assignable to type 'number'." in result.content[0].text
    assert [each["code"] for each in result.structured_content["diagnostics"]] == [2322]
    assert python.structured_content["unchecked"] in python.content[0].text


async def test_a_long_run_tells_its_progress(connect: Callable[[], Any]):
    told: list[tuple[float, str]] = []
    enough = asyncio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, str(message)))
        if sum("step" in each for _, each in told) == 2:
            enough.set()

    code = "import os, time\nwhile not os.path.exists('enough'):\n    print('step')\n    time.sleep(0.1)"
    arguments = {"context_id": "mcp-progress", "code": code}
    async with connect() as session:
        calling = asyncio.create_task(session.call_tool("execute_code", arguments, progress_callback=note))
        async with asyncio.timeout(60):
            await enough.wait()
        await call(session, "write_file", context_id="mcp-progress", path="enough", content="")
        result = await calling
        assert not result.is_error
        await call(session, "delete_context", context_id="mcp-progress")
    messages = [message for _, message in told]
    printed = messages.index("step")  # until then it says whether the code runs
    assert set(messages[:printed]) <= {"queued", "running"}
    assert set(messages[printed:]) == {"step"}
    assert [each[0] for each in told] == sorted({each[0] for each in told})


async def test_a_cancelled_call_stops_its_code_and_keeps_the_state(connect: Callable[[], Any]):
    started = asyncio.Event()

    async def note(*_: Any) -> None:
        started.set()

    async with connect() as session:
        await call(session, "execute_code", context_id="mcp-cancel", code="kept = 1")
        calling = asyncio.create_task(
            session.call_tool(
                "execute_code",
                {"context_id": "mcp-cancel", "code": "kept = 2\nwhile True: pass"},
                progress_callback=note,
            )
        )
        await started.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        result = await call(session, "execute_code", context_id="mcp-cancel", code="kept", timeout_ms=20_000)
        assert (result.content[0].text, result.structured_content["context_state"]) == ("2", "preserved")
        await call(session, "delete_context", context_id="mcp-cancel")


async def test_large_output_is_cut_and_linked(server: Server):
    async with over_http(server) as session:
        result = await call(session, "execute_code", code="print('a' * 50_000 + 'b' * 50_000)")
        text, link = result.content
        assert len(text.text) < 21_000
        assert "80000 characters left out" in text.text
        assert result.structured_content["truncated"]
        whole = (await session.read_resource(link.uri)).contents[0]
        assert whole.text == "a" * 50_000 + "b" * 50_000


async def test_outputs_that_are_no_text_are_linked_as_resources(server: Server):
    code = (
        "from IPython.display import SVG, HTML, display\n"
        "display(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'), HTML('<b>bold</b>'))\n"
        "open('raw.bin', 'wb').write(bytes(range(256)));"
    )
    async with over_http(server) as session:
        result = await call(session, "execute_code", code=code, context_id="mcp-resources")
        links = [part for part in result.content if part.type == "resource_link"]
        assert [link.mime_type for link in links] == ["image/svg+xml", "text/html", None]
        read = [(await session.read_resource(link.uri)).contents[0] for link in links]
        assert read[0].text.startswith("<svg")
        assert read[1].text == "<b>bold</b>"
        assert base64.b64decode(read[2].blob) == bytes(range(256))
        templates = (await session.list_resource_templates()).resource_templates
        assert len(templates) == 3


@pytest.mark.parametrize(
    "uri",
    [
        "polyrepl://executions/nope/stdout",
        "polyrepl://executions/nope",
        "polyrepl://contexts/mcp-none/files/a.txt",
        "polyrepl://contexts/mcp-resources/files/%2e%2e/secret",
        "https://example.org/",
    ],
)
async def test_a_resource_that_is_not_there_is_an_error(server: Server, uri: str):
    async with over_http(server) as session:
        with pytest.raises(MCPError, match=r"not found|must"):
            await session.read_resource(uri)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "code: is required"),
        ({"code": 1}, "code: Expected `str`"),
        ({"code": "1", "lang": "python"}, "lang: is not known; allowed: code, language"),
        ({"code": "1", "language": "cobol"}, "language: 'cobol' is not a known language; allowed: python"),
        ({"code": "1", "timeout_ms": 0}, "timeout_ms: Expected `int` >= 1"),
        ({"code": "1", "timeout_ms": 10**9}, "timeout_ms: must be between"),
        ({"code": "1", "timeout_ms": 10**18}, "timeout_ms: must be between"),
        ({"code": "1", "timeout_ms": 10**400}, "timeout_ms: must be between"),
        ({"code": "1", "context_id": "a b"}, "context_id"),
    ],
)
async def test_wrong_arguments_are_named_for_the_model(server: Server, arguments: dict[str, Any], reason: str):
    async with over_http(server) as session:
        assert reason in await said(session, "execute_code", **arguments)


async def test_code_that_fails_is_an_error_with_its_traceback(server: Server):
    async with over_http(server) as session:
        result = await session.call_tool("execute_code", {"code": "1 / 0"})
        assert result.is_error
        assert result.content[0].text.startswith("[error] ZeroDivisionError: division by zero\n")
        assert result.structured_content["error"]["name"] == "ZeroDivisionError"
        stopped = await session.call_tool("execute_code", {"code": "while True: pass", "timeout_ms": 300})
        assert stopped.structured_content["status"] == "timeout"
        assert stopped.structured_content["context_state"] == "created"


async def test_an_unknown_tool_is_named(server: Server):
    async with over_http(server) as session:
        with pytest.raises(MCPError, match="Unknown tool: nope; known: execute_code"):
            await session.call_tool("nope", {})


async def test_a_context_of_mcp_is_one_of_the_others(server: Server, client: Client):
    async with over_http(server) as session:
        await call(session, "execute_code", context_id="mcp-shared", code="shared = 42")
    result = client.http.post("/execute", json={"context_id": "mcp-shared", "code": "shared"}).json()
    assert result["items"][0]["text"] == "42"


def test_mcp_needs_the_token_like_everything(server: Server):
    answer = httpx.post(f"{server.url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, timeout=60)
    assert answer.status_code == 401
