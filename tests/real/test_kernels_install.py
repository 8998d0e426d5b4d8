"""`polyrepl kernels`: our kernels in a Jupyter of one's own, run there by nbclient and jupyter_client."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from engine.cli.main import main

Kernels = Callable[..., str]


def kernels(*arguments: object, status: int = 0) -> str:
    done = CliRunner().invoke(main, ["kernels", *map(str, arguments)])
    assert done.exit_code == status, done.output
    return done.output


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix with both kernels, installed by the command as people run it."""
    prefix = tmp_path_factory.mktemp("prefix")
    command = [str(Path(sys.executable).parent / "polyrepl"), "kernels", "install", "--prefix", str(prefix)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.count(str(prefix)) == 2
    return prefix


@pytest.fixture
def jupyter(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("JUPYTER_PATH", str(prefix / "share/jupyter"))
    return


def spec_of(prefix: Path, name: str) -> dict[str, object]:
    return dict(json.loads((prefix / "share/jupyter/kernels" / name / "kernel.json").read_text()))


@pytest.mark.parametrize("name", ["polyrepl-python", "polyrepl-typescript"])
def test_a_kernelspec_names_programs_that_are_there(prefix: Path, name: str) -> None:
    argv = spec_of(prefix, name)["argv"]
    assert isinstance(argv, list)
    assert Path(argv[0]).is_absolute()
    assert all(Path(part).exists() for part in argv if part.startswith("/"))
    assert "{connection_file}" in argv


CELLS = {
    "polyrepl-python": ("x = [n * n for n in range(4)]", "print('out')\nsum(x)", "raise ValueError('no')"),
    "polyrepl-typescript": (
        "const x: number[] = [0, 1, 2, 3].map((n) => n * n)",
        "console.log('out')\nx.reduce((a, b) => a + b)",
        "throw new Error('no')",
    ),
}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.usefixtures("jupyter")
def test_nbclient_runs_a_notebook_in_it(name: str, tmp_path: Path) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS[name]])
    client = NotebookClient(
        book, kernel_name=name, timeout=60, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    first, second, third = (cell.outputs for cell in book.cells)
    assert first == []
    assert [(each.output_type, each.get("text")) for each in second] == [
        ("stream", "out\n"),
        ("execute_result", None),
    ]
    assert second[1].data["text/plain"] == "14"
    assert [(each.output_type, each.evalue) for each in third] == [("error", "no")]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.usefixtures("jupyter")
def test_jupyter_client_starts_it(name: str) -> None:
    manager, client = start_new_kernel(kernel_name=name, startup_timeout=60)
    try:
        reply = client.execute_interactive("6 * 7", timeout=60, output_hook=lambda message: None)
        assert reply["content"]["status"] == "ok"
        assert client.kernel_info(reply=True, timeout=60)["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
        manager.cleanup_resources()


def test_they_are_listed_and_removed(tmp_path: Path) -> None:
    place = ("--prefix", tmp_path)
    assert kernels("list", *place).startswith("none")
    kernels("install", *place, "--language", "python", "--name", "mine", "--display-name", "Mine")
    assert "mine\tMine\t" in kernels("list", *place)
    assert spec_of(tmp_path, "mine")["display_name"] == "Mine"
    kernels("remove", *place, "mine")
    assert kernels("list", *place).startswith("none")
    assert "no kernelspec 'mine'" in kernels("remove", *place, "mine", status=1)


def test_one_of_ours_is_renewed_and_one_of_somebody_else_is_not(tmp_path: Path) -> None:
    place = ("--prefix", tmp_path, "--language", "python")
    kernels("install", *place)
    kernels("install", *place)
    foreign = tmp_path / "share/jupyter/kernels/theirs"
    foreign.mkdir()
    (foreign / "kernel.json").write_text(json.dumps({"argv": ["x"], "display_name": "Theirs", "language": "x"}))
    assert "somebody else" in kernels("install", *place, "--name", "theirs", status=1)
    assert "somebody else" in kernels("remove", "--prefix", tmp_path, "theirs", status=1)
    assert spec_of(tmp_path, "theirs")["display_name"] == "Theirs"
    kernels("install", *place, "--name", "theirs", "--force")
    assert spec_of(tmp_path, "theirs")["display_name"] == "Python 3 (polyrepl)"


def test_a_kernel_whose_interpreter_is_gone_is_listed_as_such(tmp_path: Path) -> None:
    kernels("install", "--prefix", tmp_path, "--language", "python")
    path = tmp_path / "share/jupyter/kernels/polyrepl-python/kernel.json"
    path.write_text(path.read_text().replace("launch.py", "gone.py"))
    assert "is gone" in kernels("list", "--prefix", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--language", "cobol"), "not a language"),
        (("--language", "python", "--name", "a/b"), "letters, digits"),
        (("--name", "both"), "one --language"),
        (("--user", "--sys-prefix"), "exclude"),
        (("--language", "typescript", "--node", "/nowhere/node"), "does not run"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    place = () if "--user" in arguments else ("--prefix", tmp_path)
    done = CliRunner().invoke(main, ["kernels", "install", *map(str, place), *arguments])
    assert done.exit_code != 0
    assert said in done.output


def test_the_users_own_jupyter_is_where_they_go_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    kernels("install", "--language", "python")
    assert (tmp_path / "kernels/polyrepl-python/kernel.json").is_file()
    assert str(tmp_path) in kernels("list")
    kernels("remove", "polyrepl-python")
