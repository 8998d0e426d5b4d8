"""The programs between package tools and contexts: what they show of a context, and what they change in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.resources import data_dir

NPM = (sys.executable, "-I", str(data_dir() / "runtimes" / "python" / "npm_staging.py"))
_MAX_LOCK_BYTES = 8 * 1024 * 1024  # as the program has it
PIP = (sys.executable, "-P", str(data_dir() / "runtimes" / "python" / "package_staging.py"))


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60, check=False)


def test_a_place_that_cannot_be_listed_is_not_shown_to_pip(tmp_path: Path) -> None:
    code = """
import os, sys
from polyrepl_kernel.package_env import interpreter_sites
scandir = os.scandir
def refusing(path):
    if path == sys.argv[1]:
        raise PermissionError  # as Landlock does
    return scandir(path)
found = [set(interpreter_sites())]
os.scandir = refusing
print(found[0] - set(interpreter_sites()) == {sys.argv[1]})
"""
    paths = [str(data_dir() / "runtimes" / "python"), str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "True\n", done.stderr


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    """A working directory, and a staging directory."""
    directory, staging = tmp_path / "work", tmp_path / "staging"
    directory.mkdir()
    staging.mkdir()
    return directory, staging


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def stage(staging: Path, name: str, version: str, spec: str) -> None:
    """Have in the staging directory what npm would have installed there."""
    described = {"name": name, "version": version}
    write(staging / "node_modules" / name / "package.json", described)
    write(staging / "package.json", {"private": True, "dependencies": {name: spec}})
    packages = {"": {}, f"node_modules/{name}": {"version": version, "integrity": f"sha512-{version}"}}
    write(staging / "package-lock.json", {"lockfileVersion": 3, "packages": packages})


def test_npm_is_shown_names_and_versions_of_the_registry_and_nothing_else(place) -> None:
    directory, staging = place
    sources = {
        "good": "^1.2", "@scope/good": ">=1 <2", "other": "npm:good@1", "git": "git+https://host/x", "url": "http://host/x.tgz",
        "file": "file:../x", "short": "owner/repository", "number": 1,
    }  # fmt: skip
    write(
        directory / "package.json",
        {"scripts": {"preinstall": "x"}, "dependencies": sources, "overrides": {"a": {"b": "1"}}},
    )
    entries = {
        "node_modules/good": {"version": "1.2.0", "resolved": "https://host/good.tgz"},
        "node_modules/git": {"version": "1.0.0", "resolved": "git+ssh://host/x"},
        "node_modules/linked": {"resolved": "../x", "link": True},
        "../x": {"version": "1.0.0"},
    }
    write(directory / "package-lock.json", {"packages": {"": {"scripts": {}}, **entries}})
    assert run(*NPM, "prepare", directory, staging).returncode == 0
    shown = {"@scope/good": ">=1 <2", "good": "^1.2", "other": "npm:good@1"}
    assert read(staging / "package.json") == {"private": True, "dependencies": shown}
    assert set(read(staging / "package-lock.json")["packages"]) == {"", "node_modules/good"}
    assert sorted(os.listdir(staging)) == ["package-lock.json", "package.json"]


FORMS: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a directory": Path.mkdir,
    "too large": lambda path: path.write_text(" " * (_MAX_LOCK_BYTES + 1)),
    "too deep": lambda path: path.write_text("[" * 100_000),
    "a list": lambda path: path.write_text("[]"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["package.json", "package-lock.json"])
def test_a_file_of_the_wrong_kind_ends_an_installation_and_is_named(place, name: str, form: str) -> None:
    directory, staging = place
    FORMS[form](directory / name)
    done = run(*NPM, "prepare", directory, staging)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {name} of the working directory ")


def test_packages_of_npm_come_beside_those_that_are_there(place) -> None:
    directory, staging = place
    write(directory / "node_modules" / "kept" / "index.js", "kept")
    write(directory / "node_modules" / "new" / "stale.js", "stale")
    write(directory / "node_modules" / "new" / "package.json", {"version": "1.0.0"})
    os.mkfifo(directory / "node_modules" / ".package-lock.json")
    write(
        directory / "package.json",
        {"name": "mine", "scripts": {"start": "x"}, "dependencies": {"kept": "file:../kept"}},
    )
    stage(staging, "new", "2.0.0", "file:../new.tgz")
    assert run(*NPM, "commit", directory, staging).stderr == ""
    assert read(staging / "committed.json") == {"installed": [["new", "2.0.0"]], "replaced": ["new"]}
    assert os.listdir(directory / "node_modules" / "new") == ["package.json"]
    assert sorted(os.listdir(directory / "node_modules")) == ["kept", "new"]
    package = read(directory / "package.json")
    assert (package["name"], package["scripts"]) == ("mine", {"start": "x"})
    assert package["dependencies"] == {"kept": "file:../kept", "new": f"file:{staging.parent / 'new.tgz'}"}
    assert "node_modules/new" in read(directory / "package-lock.json")["packages"]


@pytest.mark.parametrize("link", ["node_modules", "node_modules/@scope"])
def test_a_link_in_the_way_of_npms_packages_is_not_followed(place, tmp_path: Path, link: str) -> None:
    directory, staging = place
    outside = tmp_path / "outside"
    outside.mkdir()
    (directory / link).parent.mkdir(exist_ok=True)
    (directory / link).symlink_to(outside)
    stage(staging, "@scope/new", "1.0.0", "1.0.0")
    done = run(*NPM, "commit", directory, staging)
    assert (done.returncode, done.stderr[:7]) == (1, "error: ")
    assert os.listdir(outside) == []


def test_a_package_that_is_a_link_is_replaced_and_what_it_leads_to_stays(place, tmp_path: Path) -> None:
    directory, staging = place
    write(tmp_path / "outside" / "package.json", {"version": "0.1.0"})
    (directory / "node_modules").mkdir()
    (directory / "node_modules" / "new").symlink_to(tmp_path / "outside")
    stage(staging, "new", "1.0.0", "1.0.0")
    assert run(*NPM, "commit", directory, staging).returncode == 0
    assert read(directory / "node_modules" / "new" / "package.json")["version"] == "1.0.0"
    assert read(tmp_path / "outside" / "package.json") == {"version": "0.1.0"}


def test_pip_is_shown_metadata_of_a_context_and_no_code(tmp_path: Path) -> None:
    environment, staging = tmp_path / "packages" / "python", tmp_path / "staging"
    staging.mkdir()
    assert run(*PIP, "prepare", staging, environment).stderr == ""
    site = Path(read(staging / "prepared.json")["python"]).parent.parent / "lib"
    (environment / (relative := next(site.glob("*/site-packages")).relative_to(site.parent))).mkdir(parents=True)
    packages = environment / relative
    for name in ("sitecustomize.py", "pip/__main__.py", "trap.pth"):
        write(packages / name, "import os; os._exit(3)\n")
    write(packages / "there-1.0.dist-info" / "METADATA", "Name: there\nVersion: 1.0\n")
    write(packages / "there-1.0.dist-info" / "RECORD", "there.py,,\n")
    (packages / "pipe-1.0.dist-info").mkdir()
    os.mkfifo(packages / "pipe-1.0.dist-info" / "METADATA")
    (packages / "zero-1.0.dist-info").mkdir()
    (packages / "zero-1.0.dist-info" / "METADATA").symlink_to("/dev/zero")
    again = tmp_path / "again"
    again.mkdir()
    assert run(*PIP, "prepare", again, environment).returncode == 0
    prepared = read(again / "prepared.json")
    assert prepared["context"] == {"there": "1.0"}
    assert [str(path.relative_to(again / "seen")) for path in (again / "seen").rglob("*") if path.is_file()] == [
        "there-1.0.dist-info/METADATA"
    ]
    command = [prepared["python"], "-I", PIP[2], "run", prepared["pip"], "wheels", "list", "--format", "freeze"]
    listed = subprocess.run(command, input="{}", capture_output=True, text=True, timeout=60, check=False)
    assert "there==1.0" in listed.stdout


def test_a_users_own_environment_keeps_its_pip(tmp_path: Path) -> None:
    mine, packages = tmp_path / "mine", tmp_path / "packages"
    write(mine / "pyvenv.cfg", "")
    write(mine / "bin" / "python", "#!/bin/sh\necho mine\n")
    (mine / "bin" / "python").chmod(0o755)
    variables = {**os.environ, "POLYREPL_PYTHON": sys.executable, "POLYREPL_PACKAGES": str(packages)}

    def prefix_of(pip: Path | str) -> str:
        """The environment that a pip at this place installs into."""
        write(tmp_path / "pip" / "__main__.py", "import sys; print(sys.prefix)")
        command = [str(data_dir() / "runtimes" / "bin" / "context-python"), str(pip)]
        return subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=60, check=True
        ).stdout.strip()

    assert prefix_of(mine / "lib" / "python3" / "site-packages" / "pip") == "mine"
    assert prefix_of(tmp_path / "pip") == str(packages)
