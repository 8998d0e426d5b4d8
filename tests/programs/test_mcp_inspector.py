"""The MCP Inspector from npm, as a program: it lists the tools and calls each of them, over both transports and in both eras of MCP."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from engine.api.mcp.tools import TOOLS
from tests.harness.fixtures import TOKEN
from tests.harness.npm import node_tool, npm_install
from tests.harness.server import POLYREPL, Server


class Inspector:
    """The inspector's command line; its daemon keeps the connections."""

    def __init__(self, program: str, home: str) -> None:
        self._program = program
        cache = f"{home}/compiled"  # each call is a new process
        self._env = {**os.environ, "HOME": home, "MCP_INSPECTOR_SECRET_STORE": "memory", "NODE_COMPILE_CACHE": cache}

    def run(self, *arguments: str) -> Any:
        command = node_tool("node", self._program, "--format", "json", *arguments)
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout.lstrip().startswith(("{", "[")) else done.stdout

    def call(self, connection: str, tool: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.run("--connection", connection, "tools/call", tool, json.dumps(arguments))
        assert not answer.get("isError"), answer
        structured: dict[str, Any] = answer["structuredContent"]
        return structured | {"content": answer["content"]}


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inspector]:
    directory = tmp_path_factory.mktemp("inspector")
    npm_install(directory, "@modelcontextprotocol/inspector@2")
    clients = directory / "node_modules/@modelcontextprotocol/inspector/clients"
    made = Inspector(str(clients / "mcpdo/build/mcp-bin.js"), str(directory))
    yield made
    made.run("daemon", "stop")


@pytest.fixture(params=["http", "stdio"])
def connection(request: pytest.FixtureRequest, inspector: Inspector, server: Server) -> str:
    name: str = request.param
    if name == "http":
        header = f"Authorization: Bearer {TOKEN}"
        target = ["--era", "modern", "--transport", "http", f"{server.url}/mcp", "--header", header]
    else:
        target = ["--", str(POLYREPL), "mcp"]
    inspector.run("connect", "--connection", name, *target)
    return name


def test_it_lists_all_tools_and_calls_each(inspector: Inspector, connection: str) -> None:
    listed = inspector.run("--connection", connection, "tools/list")
    assert [tool["name"] for tool in listed["tools"]] == [tool.name for tool in TOOLS]
    called: set[str] = set()

    def call(tool: str, **arguments: Any) -> dict[str, Any]:
        called.add(tool)
        return inspector.call(connection, tool, **arguments)

    assert call("create_context", context_id="seen")["language"] == "python"
    plot = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nx = 20"
    assert [part["type"] for part in call("execute_code", context_id="seen", code=plot)["content"]] == ["text", "image"]
    running = call("execute_code", context_id="seen", code="while True: pass", background=True)
    call("interrupt_execution", execution_id=running["execution_id"])
    finished = call("execute_code", context_id="seen", code="x + 1")
    assert finished["content"][0]["text"] == "21"
    assert call("get_execution", execution_id=finished["execution_id"])["items"] == finished["items"]
    assert call("install_packages", context_id="seen", packages=["numpy"])["status"] == "ok"
    assert call("fork_context", context_id="seen", new_context_id="seen-2")["id"] == "seen-2"
    assert call("list_variables", context_id="seen-2", match="x")["items"][0]["preview"] == "20"
    assert call("write_file", context_id="seen", path="a.txt", content="text")["size"] == 4
    assert call("read_file", context_id="seen", path="a.txt")["content"][0]["text"] == "text"
    assert call("list_files", context_id="seen")["items"][0]["path"] == "a.txt"
    call("delete_file", context_id="seen", path="a.txt")
    assert {"seen", "seen-2"} <= {each["id"] for each in call("list_contexts")["items"]}
    for context_id in ("seen", "seen-2"):
        call("delete_context", context_id=context_id)
    assert called == {tool.name for tool in TOOLS}
