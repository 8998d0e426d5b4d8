"""The notebooks that clients run on a server, the same on a kernel of this machine, and outputs in a form that can be compared."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete
from nbformat import NotebookNode

from engine.kernels.interpreters import find_node
from engine.resources import kernelspecs_dir

DIRECTORY = Path(__file__).parent
KERNEL_NAMES = {"python": "python3", "typescript": "typescript"}
ANSWER = "Ada"
_CELL_TIMEOUT = 60
_LONG = 100_000
# What differs from run to run: ids, addresses, and where ipykernel keeps the source of a cell.
_VARYING = re.compile(
    r"(?<![0-9a-f])(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9a-f])|0x[0-9a-f]{6,}"
)
_CELL_FILE = re.compile(r"\S*/ipykernel_\d+/\d+\.py")


def load(language: str) -> NotebookNode:
    return nbformat.read(DIRECTORY / f"{language}.ipynb", as_version=4)


class _LocalManager(AsyncKernelManager):
    """Starts Node where a kernelspec says so."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        program, *rest = super().format_kernel_cmd(extra_arguments)
        return [str(find_node(None)) if program == "node" else program, *rest]


def run_here(language: str) -> NotebookNode:
    """The notebook after a run of nbclient: Python on stock ipykernel, TypeScript on our kernel, on a connection file."""
    notebook = load(language)
    ours = language == "typescript"
    manager = _LocalManager(
        kernel_name="polyrepl-typescript" if ours else "python3",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(kernelspecs_dir())]) if ours else KernelSpecManager(),
    )
    NotebookClient(notebook, km=manager, timeout=_CELL_TIMEOUT).execute(cleanup_kc=True)
    return notebook


class Assembler(NotebookClient):
    """Puts the outputs of cells together from messages, as nbclient does, for a client that only gives messages.

    `kernel_client`: what an Output widget in the front end tells the kernel goes through its `session` and `shell_channel`."""

    def __init__(self, notebook: NotebookNode, kernel_client: Any) -> None:
        super().__init__(notebook, record_timing=False)
        self.kc = kernel_client
        self.reset_execution_trackers()

    def take(self, message: dict[str, Any], index: int) -> bool:
        """Add an iopub message to the cell; whether it was its last."""
        try:
            self.process_message(message, self.nb.cells[index], index)
        except CellExecutionComplete:
            return True
        return False

    def run(self, execute: Callable[[str, Callable[[dict[str, Any]], object]], Any]) -> NotebookNode:
        """Run all cells; `execute(code, take)` runs one and hands on its iopub messages."""
        for index, cell in enumerate(self.nb.cells):
            if cell.cell_type == "code":
                self.clear_before_next_output = False
                execute(cell.source, lambda message, index=index: self.take(message, index))
        self.set_widgets_metadata()
        return self.nb


def outputs(notebook: NotebookNode) -> list[dict[str, Any]]:
    """Each code cell's count, streams and other outputs."""
    return [
        {
            "source": cell.source,
            "count": cell.execution_count,
            **_streams(cell.outputs),
            "others": [_comparable(output) for output in cell.outputs if output.output_type != "stream"],
        }
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def compare(notebook: NotebookNode, expected: list[dict[str, Any]]) -> None:
    """Fails with the first cell that has other outputs."""
    for found, wanted in zip(outputs(notebook), expected, strict=True):
        assert found == wanted


def answered(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is expected where somebody answers the questions of the cells."""

    def put(value: Any) -> Any:
        if isinstance(value, list):
            return [put(each) for each in value]
        if isinstance(value, dict):
            return {name: put(each) if name != "source" else each for name, each in value.items()}
        return value.replace("unasked", ANSWER) if isinstance(value, str) else value

    return [put(cell) for cell in cells]


def widgets(notebook: NotebookNode) -> list[Any]:
    """State of all widgets, as a front end gets it to show the notebook later."""
    saved = notebook.metadata.get("widgets", {})
    states = [model["state"] for data in saved.values() for model in data["state"].values()]
    return sorted((_comparable(state) for state in states), key=repr)


def _streams(cell_outputs: list[NotebookNode]) -> dict[str, str]:
    """The text of each stream: how it is cut into messages, and how the two mix, is the kernel's affair."""
    return {
        name: _constant(
            "".join(each.text for each in cell_outputs if each.output_type == "stream" and each.name == name)
        )
        for name in ("stdout", "stderr")
    }


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _comparable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_comparable(each) for each in value]
    return _constant(value) if isinstance(value, str) else value


def _constant(text: str) -> str:
    if len(text) > _LONG:
        return f"{len(text)} characters: {hashlib.sha256(text.encode()).hexdigest()}"
    return _CELL_FILE.sub("CELL", _VARYING.sub("ID", text))
