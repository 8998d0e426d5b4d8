"""Packages that a cell installs with pip or npm: they belong to its context."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.client import Client, Repl
from tests.harness.package_files import tarball, wheel
from tests.harness.server import Server


@pytest.fixture(scope="module")
def client(shown: Path) -> Iterator[Client]:
    settings = {"package_sources": "any", "pool_max": "0", "kernelspecs": "", "read_only_mounts": str(shown)}
    with Server(settings=settings) as server, contextlib.closing(server.client()) as client:
        yield client


@pytest.mark.parametrize(
    "command",
    [
        "%pip install -q --no-index {}",
        "import subprocess; subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '--no-index', '{}'])",
    ],
)
def test_a_python_package_is_there_for_the_same_cell_and_in_no_other_context(new, shelf: Path, command: str) -> None:
    repl, other = new("python"), new("python")
    package = wheel(shelf, "inner", "1.0", "word = 'hello'")
    code = f"import sys\n{command.format(package)}\nimport inner\nprint(inner.word, sys.executable)"
    word, interpreter = repl.run(code).stdout[-1].split()
    assert word == "hello"
    assert other.run("import inner").error == "ModuleNotFoundError"
    assert subprocess.run([interpreter, "-c", "import inner"], capture_output=True, check=False).returncode == 1
    repl.client.http.post(f"/contexts/{repl.id}/restart")
    assert repl.run("import inner; inner.word").text == "'hello'"


def test_pip_in_a_cell_knows_what_the_context_has_and_leaves_the_interpreters_packages_alone(new, shelf: Path) -> None:
    repl = new("python")
    body = {"packages": [wheel(shelf, "outer", "1.0", "n = 1")]}
    assert repl.client.http.post(f"/contexts/{repl.id}/packages", json=body).json()["status"] == "ok"
    listed = "".join(repl.run("!pip list --format freeze").stdout)
    assert "outer==1.0" in listed
    assert "numpy==" in listed
    newer = wheel(shelf, "outer", "2.0", "n = 2")
    assert repl.run(f"!pip install -q --no-index -U {newer}\nimport outer; outer.n").text == "2"
    replaced = repl.client.http.post(
        f"/contexts/{repl.id}/packages", json={"packages": [wheel(shelf, "outer", "3.0", "n = 3")]}
    ).json()
    assert replaced["restart_for"] == ["outer"]
    told = "".join(repl.run("!pip uninstall -y outer numpy").stdout)
    assert "Successfully uninstalled outer-3.0" in told
    assert "outside environment" in told  # numpy is the interpreter's
    assert repl.run("import numpy, sys; del sys.modules['outer']\nimport outer").error == "ModuleNotFoundError"


def test_a_package_replaces_the_interpreters_from_the_next_restart_on(new, shelf: Path) -> None:
    repl = new("python")
    repl.run(f"import pandas\n!pip install -q --no-index {wheel(shelf, 'pandas', '0.0.1', 'replaced = True')}")
    repl.client.http.post(f"/contexts/{repl.id}/restart")
    assert repl.run("import pandas; pandas.replaced").text == "True"


def test_programs_of_packages_are_on_the_path_and_run_in_a_branch_of_the_context(new, shelf: Path) -> None:
    repl = new("python")
    package = wheel(shelf, "inner", "1.0", "def main(): print('hello')", programs={"inner-program": "inner:main"})
    assert repl.run(f"!pip install -q --no-index {package}\n!inner-program").stdout[-1] == "hello"
    fork = Repl(repl.client, "python", repl.client.http.post(f"/contexts/{repl.id}/fork", json={}).json()["id"])
    repl.delete()
    assert fork.run("!inner-program").stdout == ["hello"]
    assert fork.run(f"import os; {repl.id[:40]!r} in str(os.environ)").text == "False"
    fork.delete()


def test_npm_in_a_cell_installs_into_the_context(new, shelf: Path) -> None:
    repl, other = new("typescript"), new("typescript")
    package = tarball(shelf, "inner-x", "1.0.0", "module.exports = 'hello'", bin={"inner-x": "index.js"})
    install = (
        f"import {{ execSync }} from 'node:child_process'; execSync('npm install --offline --silent %s {package}'); 1"
    )
    assert repl.run(install % "").status == "ok"
    assert repl.run("require('inner-x')").text == "'hello'"
    assert repl.run(install % "--global").status == "ok"
    path = "execSync('command -v inner-x').toString().trim()"
    assert f"/{repl.id[:40]}" in str(repl.run(path).text)
    assert other.run("require('inner-x')").status == "error"
    assert other.run(f"import {{ execSync }} from 'node:child_process'; {path}").status == "error"
