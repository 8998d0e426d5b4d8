"""Datalayer's jupyter-mcp-server and the package code-sandboxes below it: kernels of ours, documents on a server of Jupyter."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.harness.client import Client
from tests.harness.fixtures import TOKEN
from tests.harness.jupyter import SERVER, RemoteJupyter, python_with, remote_jupyter
from tests.harness.jupyter import TOKEN as DOCUMENTS_TOKEN
from tests.harness.server import Server

# code-sandboxes waits for the server's status, runs code on a kernel of its own, and ends it.
SANDBOX = """\
import json, sys
from code_sandboxes import Sandbox
with Sandbox.create(variant="jupyter-server", server_url=sys.argv[1], token=sys.argv[2], reuse_kernel=False) as sandbox:
    sandbox.run_code("x = 40")
    found = sandbox.run_code("print('printed')\\nx + 2")
    failed = sandbox.run_code("1 / 0").code_error
    print(json.dumps([found.text, found.stdout, failed.name, failed.value]))
"""


# What the packages also bring to a server of Jupyter, and takes it seconds to load.
UNUSED = (
    "jupyter_mcp_server",
    "jupyterlab",
    "jupyter_lsp",
    "jupyter_server_nbmodel",
    "jupyter_server_terminals",
    "notebook_shim",
)


@pytest.fixture(scope="module")
def python() -> Path:
    return python_with("jupyter-mcp-server-2.2.4", "jupyter-mcp-server==2.2.4")


@pytest.fixture(scope="module")
def documents(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteJupyter]:
    """A server of Jupyter with documents that several edit at once. Its kernels are not used."""
    directory = tmp_path_factory.mktemp("documents")
    unused = [f"--ServerApp.jpserver_extensions={name}=False" for name in UNUSED]
    with remote_jupyter(SERVER, directory, *unused, python=python) as documents:
        yield documents


class Tools:
    """What is called, and what it says."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def names(self) -> set[str]:
        return {tool.name for tool in (await self._session.list_tools()).tools}

    async def call(self, tool: str, **arguments: Any) -> str:
        """The texts of the answer; an image is the word image."""
        result = await self._session.call_tool(tool, arguments)
        assert not result.is_error, result.content
        return "\n".join(getattr(part, "text", part.type) for part in result.content)


async def tour(tools: Tools) -> set[str]:
    """Use every tool but `connect_to_jupyter`, which is for another server. Returns their names."""
    used: set[str] = set()

    async def says(words: str | list[str], tool: str, **arguments: Any) -> None:
        used.add(tool)
        answer = await tools.call(tool, **arguments)
        for each in [words] if isinstance(words, str) else words:
            assert each in answer, (tool, arguments)

    await says("Successfully activate", "use_notebook", notebook_name="n", notebook_path="n.ipynb", mode="create")
    await says("inserted", "insert_cell", cell_index=0, cell_type="markdown", cell_source="# Title")
    await says(
        ["printed\n", "42"], "insert_execute_code_cell", cell_index=1, cell_source="x = 40\nprint('printed')\nx + 2"
    )
    await says("overwritten", "overwrite_cell_source", cell_index=1, cell_source="x = 1\nx")
    await says("edited", "edit_cell_source", cell_index=1, old_string="x = 1", new_string="x = 100")
    await says("100", "execute_cell", cell_index=1)
    await says(["x = 100", "100"], "read_cell", cell_index=1)
    await says("cleared", "clear_cell_output", cell_index=1)
    await says("moved", "move_cell", source_index=1, target_index=0)
    await says("deleted", "delete_cell", cell_indices=[1])
    await says("x = 100", "read_notebook", notebook_name="n")
    plot = "import matplotlib.pyplot as plt\nplt.plot([1, x])\nplt.show()"
    await says("image", "execute_code", code=plot)
    await says("interrupted", "execute_code", code="while True: pass", timeout=1)
    await says("NameError", "execute_code", code="unknown")
    await says("python3", "list_kernels")
    await says("n.ipynb", "list_notebooks")
    await says("restarted", "restart_notebook", notebook_name="n")
    await says("name 'x' is not defined", "execute_code", code="x")
    await says("unused", "unuse_notebook", notebook_name="n")
    # It asks the server of the kernels for files, and we have none: its answer says so.
    await says("404", "list_files")
    return used


async def take(parameters: StdioServerParameters, log: Path) -> None:
    with log.open("w") as errors:
        async with stdio_client(parameters, errlog=errors) as streams, ClientSession(*streams) as session:
            await session.initialize()
            tools = Tools(session)
            assert await tour(tools) == await tools.names() - {"connect_to_jupyter"}


@pytest.fixture
def no_kernels_are_left(client: Client) -> Iterator[None]:
    """The program leaves the kernel of its default notebook when it ends."""
    before = {each["id"] for each in client.http.get("/api/kernels").json()}
    yield
    for each in client.http.get("/api/kernels").json():
        if each["id"] not in before:
            client.http.delete(f"/api/kernels/{each['id']}")


@pytest.mark.usefixtures("no_kernels_are_left")
def test_its_tools_work_on_our_kernels(python: Path, documents: RemoteJupyter, server: Server, tmp_path: Path) -> None:
    places = {"DOCUMENT_URL": documents.url, "DOCUMENT_TOKEN": DOCUMENTS_TOKEN}
    places |= {"CODE_SANDBOX_URL": server.url, "CODE_SANDBOX_TOKEN": TOKEN}
    parameters = StdioServerParameters(
        command=str(python), args=["-m", "jupyter_mcp_server"], env={**os.environ, **places}
    )
    log = tmp_path / "log.txt"
    try:
        asyncio.run(asyncio.wait_for(take(parameters, log), 200))
    except BaseException as error:
        error.add_note(log.read_text())
        raise
    assert documents.kernels() == []


def test_its_sandboxes_are_kernels_of_ours(python: Path, server: Server) -> None:
    command = [str(python), "-c", SANDBOX, server.url, TOKEN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["42", "printed", "ZeroDivisionError", "division by zero"]
