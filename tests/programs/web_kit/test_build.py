"""The built files of the kit: made from these sources, and as small as they are said to be."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

from tests.harness.npm import node_tool, npm_install

KIT = Path(__file__).resolve().parents[3] / "clients" / "web"
FIRST_LOAD = 15_000  # bytes of output.js, with gzip


def files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_what_is_committed_is_what_the_sources_make(tmp_path: Path) -> None:
    shutil.copytree(KIT, tmp_path / "web", ignore=shutil.ignore_patterns("node_modules", "dist"))
    npm_install(tmp_path / "web")  # the versions of package-lock.json
    made = tmp_path / "made"
    subprocess.run([*node_tool("node"), "build.mjs", str(made)], cwd=tmp_path / "web", check=True, timeout=300)
    expected, found = files(KIT / "dist"), files(made)
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []


def test_a_page_loads_15_kb_at_first() -> None:
    size = len(gzip.compress((KIT / "dist" / "output.js").read_bytes(), 9, mtime=0))
    assert size <= FIRST_LOAD
