"""Whole notebooks, run on a server by the programs that people run notebooks with: the same outputs as on a kernel of this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.harness.client import Client
from tests.harness.fixtures import TOKEN
from tests.harness.server import Server
from tests.programs import notebooks
from tests.programs.gateway_manager import TokenKernelManager, gateway
from tests.programs.installed import stop, use_clients

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
TIMEOUT = 60
MANAGER = "jupyter_server.gateway.managers.GatewayKernelManager"


def test_nbclient_with_jupyters_gateway_manager(open_server: Server, language: str, expected: Any, here: Any) -> None:
    notebook = notebooks.load(language)
    with gateway(open_server.url):
        client = NotebookClient(notebook, kernel_manager_class=MANAGER, timeout=TIMEOUT)
        client.execute(kernel_name=notebooks.KERNEL_NAMES[language])
    notebooks.compare(notebook, expected)
    assert notebooks.widgets(notebook) == notebooks.widgets(here(language))


def test_papermill(server: Server, language: str, expected: Any, tmp_path: Path) -> None:
    import papermill

    source, target = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    nbformat.write(notebooks.load(language), source)
    options = {"kernel_manager_class": TokenKernelManager, "progress_bar": False}
    # It runs all cells, and says afterwards that one has failed.
    with gateway(server.url, TOKEN), pytest.raises(papermill.PapermillExecutionError, match=r"In \[10\]"):
        papermill.execute_notebook(source, target, **options)
    notebooks.compare(nbformat.read(target, as_version=4), expected)


def test_papermill_gives_parameters_to_a_typescript_notebook(server: Server, tmp_path: Path) -> None:
    import papermill

    given = {"count": 3, "names": ["a", "b"], "label": 'it\'s "me"'}
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "typescript", "language": "typescript", "display_name": "TypeScript"}}
    )
    defaults = "const count: number = 1\nlet names: string[] = []\nconst label = ''"
    shown = "console.log(JSON.stringify({ count, names, label }))"
    notebook.cells = [
        nbformat.v4.new_code_cell(defaults, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(shown),
    ]
    nbformat.write(notebook, tmp_path / "in.ipynb")
    options = {"kernel_manager_class": TokenKernelManager, "progress_bar": False, "engine_name": "polyrepl"}
    with gateway(server.url, TOKEN):
        done = papermill.execute_notebook(tmp_path / "in.ipynb", tmp_path / "out.ipynb", given, **options)
    assert json.loads(done.cells[-1].outputs[0]["text"]) == given


def test_jupyter_kernel_client(server: Server, client: Client, language: str, expected: Any) -> None:
    use_clients()
    from jupyter_kernel_client import JupyterKernelClient

    asked = []
    kernel = JupyterKernelClient(server_url=server.url, token=TOKEN)
    kernel.start(name=notebooks.KERNEL_NAMES[language])

    def answer(message: dict[str, Any]) -> None:
        asked.append((message["content"]["prompt"], message["content"]["password"]))
        kernel._manager.client.input(notebooks.ANSWER)

    def execute(code: str, take: Callable[[dict[str, Any]], object]) -> None:
        kernel.execute_interactive(code, allow_stdin=True, output_hook=take, stdin_hook=answer, timeout=TIMEOUT)

    try:
        notebook = notebooks.Assembler(notebooks.load(language), kernel._manager.client).run(execute)
    finally:
        stop(kernel, client)
    notebooks.compare(notebook, notebooks.answered(expected))
    assert asked == [("Name? ", False), ("Secret? ", True)][: len(asked)]
    assert asked
