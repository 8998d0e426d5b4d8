"""`polyrepl run` of notebooks, and an exported notebook in the programs that others use."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import nbformat
import nbformat.v4 as v4
import pytest
from nbconvert import HTMLExporter

from tests.harness.server import POLYREPL, Server

DEADLINE = 120.0


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("POLYREPL_")}
    return subprocess.run(
        [str(POLYREPL), "run", *arguments],
        cwd=place,
        env={**env, "COLUMNS": "200", "POLYREPL_RUN_DIR": str(place / "run")},
        input="",
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


def written(path: Path, *cells: Any, kernel: str = "python3") -> Path:
    metadata = {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}}
    nbformat.write(v4.new_notebook(cells=list(cells), metadata=metadata), path)
    return path


def executed(path: Path) -> Any:
    found = nbformat.read(path, as_version=4)
    nbformat.validate(found)
    return found


TYPESCRIPT = {"vscode": {"languageId": "typescript"}}


def test_a_notebook_of_two_languages_runs_to_its_first_error(tmp_path: Path) -> None:
    written(
        tmp_path / "in.ipynb",
        v4.new_markdown_cell("# Title"),
        v4.new_code_cell("print('py')\n1 + 1"),
        v4.new_code_cell("const n: number = 5; n * 2", metadata=TYPESCRIPT),
        v4.new_code_cell("int('x')", metadata={"tags": ["raises-exception"]}),
        v4.new_code_cell("1 / 0"),
        v4.new_code_cell("print('never')", outputs=[v4.new_output("stream", text="old")]),
        kernel="conda-env-of-somebody",
    )
    done = run(tmp_path, "in.ipynb", "--save", "out.ipynb")
    assert done.returncode == 1
    assert done.stdout.split() == ["py", "2", "10"]
    assert "Cell 5 ended with error. Cells after it that were not run: 1" in done.stderr
    cells = executed(tmp_path / "out.ipynb").cells
    assert [cell.get("execution_count") for cell in cells] == [None, 1, 1, 2, 3, None]
    assert [output.output_type for output in cells[1].outputs] == ["stream", "execute_result"]
    assert cells[2].outputs[0].data["text/plain"] == "10"
    assert (cells[4].outputs[0].ename, cells[5].outputs) == ("ZeroDivisionError", [])


def test_all_cells_run_if_errors_are_allowed(tmp_path: Path) -> None:
    written(tmp_path / "in.ipynb", v4.new_code_cell("1 / 0"), v4.new_code_cell("print('after')"))
    done = run(tmp_path, "in.ipynb", "--allow-errors", "--save", "results")
    assert (done.returncode, done.stdout) == (0, "after\n")
    assert executed(tmp_path / "results" / "in.ipynb").cells[1].outputs[0].text == "after\n"


def test_a_notebook_that_cannot_run_is_not_begun(tmp_path: Path) -> None:
    written(
        tmp_path / "in.ipynb",
        v4.new_code_cell("print('never')"),
        v4.new_code_cell("select 1", metadata={"vscode": {"languageId": "sql"}}),
    )
    done = run(tmp_path, "in.ipynb", "--save", "out.ipynb")
    assert (done.returncode, done.stdout) == (2, "")
    assert "cell 2 is in 'sql'" in done.stderr
    assert not (tmp_path / "out.ipynb").exists()


@pytest.mark.parametrize("arguments", [("1", "--allow-errors"), ("1", "--save", "in.ipynb")])
def test_options_of_notebooks_are_refused_for_code(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    written(tmp_path / "in.ipynb")
    assert run(tmp_path, *arguments).returncode == 2


def test_an_export_is_what_other_programs_read_and_runs_again(tmp_path: Path) -> None:
    with Server() as server, httpx.Client(base_url=server.url, timeout=DEADLINE) as client:
        for language, code in (
            (
                "python",
                "import json\nfrom IPython.display import HTML, display\ndisplay(HTML('<b>bold</b>'))\nx = 6 * 7\nx",
            ),
            ("typescript", "const y = [1, 2]; console.log('logged'); y"),
            ("python", "raise KeyError('k')"),
        ):
            body = {"code": code, "language": language, "context_id": "exported"}
            assert client.post("/execute", json=body).status_code == 200
        for kind in ("ipynb", "py"):
            (tmp_path / f"c.{kind}").write_bytes(
                client.get("/contexts/exported/export", params={"format": kind}).content
            )
    found = executed(tmp_path / "c.ipynb")
    assert [cell.metadata.polyrepl.language for cell in found.cells] == ["python", "typescript", "python"]
    page, _ = HTMLExporter().from_notebook_node(found)
    assert all(text in page for text in ("<b>bold</b>", "42", "logged", "KeyError"))
    again = run(tmp_path, "c.ipynb", "--allow-errors", "--save", "again.ipynb")
    assert again.returncode == 0, again.stderr
    repeated = executed(tmp_path / "again.ipynb")
    assert [cell.outputs for cell in repeated.cells] == [cell.outputs for cell in found.cells]
    script = run(tmp_path, "c.py")
    assert script.returncode == 0, script.stderr
