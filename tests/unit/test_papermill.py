"""Parameters of TypeScript notebooks: papermill finds our translator by itself, and what it writes is the value."""

from __future__ import annotations

import json
import subprocess
from datetime import date
from typing import Any

import nbformat
import papermill.translators
import pytest
from papermill.inspection import _infer_parameters
from papermill.parameterize import parameterize_notebook
from papermill.utils import nb_kernel_name

from polyrepl.papermill import TypeScriptTranslator
from tests.harness.typescript_client import NODE

VALUES: dict[str, Any] = {
    "text": "a\"b'c\\d`${e}\n\u2028</script>é😀\0",
    "number": -1.5e300,
    "whole": 2**53 - 1,
    "yes": True,
    "nothing": None,
    "list": [1, [2, {"a": []}]],
    "object": {"k v": 1, "constructor": 2},
    "$_1": 1,
    "a name": 1,
    "class": 2,
}


def node(source: str) -> str:
    return subprocess.run([NODE, "-e", source], capture_output=True, text=True, check=True).stdout


def test_the_cell_gives_the_same_values_to_a_program() -> None:
    cell = TypeScriptTranslator.codify(VALUES)
    places = {name: f"globalThis[{json.dumps(name)}]" if name in ("a name", "class") else name for name in VALUES}
    shown = ", ".join(f"{json.dumps(name)}: {place}" for name, place in places.items())
    assert json.loads(node(f"{cell}\nconsole.log(JSON.stringify({{{shown}}}))")) == VALUES


@pytest.mark.parametrize(
    ("value", "test"),
    [
        (float("nan"), "Number.isNaN(x)"),
        (float("-inf"), "x === -Infinity"),
        (2**60 + 1, "x === 1152921504606846977n"),
        ({"__proto__": 1}, "Object.keys(x)[0] === '__proto__' && Object.getPrototypeOf(x) === Object.prototype"),
        ((1, 2), "x.length === 2"),
        (date(2026, 1, 2), "x === '2026-01-02'"),
    ],
)
def test_what_json_lacks_is_written_as_the_language_has_it(value: object, test: str) -> None:
    assert node(f"{TypeScriptTranslator.codify({'x': value})}\nconsole.log({test})") == "true\n"


@pytest.mark.parametrize("kernel", ["polyrepl-typescript", "typescript"])
def test_papermill_writes_the_cell_behind_the_parameters_and_lists_them(kernel: str) -> None:
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": kernel, "language": "typescript", "display_name": kernel}}
    )
    cell = nbformat.v4.new_code_cell(
        "const n: number = 1; // how many\nlet name = 'x'", metadata={"tags": ["parameters"]}
    )
    notebook.cells = [cell, nbformat.v4.new_code_cell("n", metadata={"tags": []})]
    notebook.metadata["papermill"] = {}
    assert nb_kernel_name(notebook) == kernel
    found = {each.name: (each.inferred_type_name, each.default, each.help) for each in _infer_parameters(notebook)}
    assert found == {"n": ("number", "1", "how many"), "name": ("None", "'x'", "")}
    written = parameterize_notebook(notebook, {"n": 2}).cells
    assert [each.source for each in written] == [cell.source, "// Parameters\nlet n = 2;\n", "n"]


def test_other_languages_keep_their_translators() -> None:
    find = papermill.translators.papermill_translators.find_translator
    assert find("python3", "python") is papermill.translators.PythonTranslator
