"""Packages made on the spot, so that tests install them without a registry."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

# A build that starts a child that leaves its group, writes down both and where they work, and never ends.
_HANGS = """
import os, subprocess, sys, time
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    with open({pids!r}, "w") as file:
        file.write(f"{{os.getcwd()}} {{os.getpid()}} {{child.pid}}\\n")
    time.sleep(600)
"""
# A build that fails with all that it can see.
_TELLS = """
import os
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    raise RuntimeError(str(dict(os.environ)))
"""


def wheel(directory: Path, name: str, version: str, source: str, *, programs: Mapping[str, str] | None = None) -> str:
    """A wheel with one module; returns its path. `programs`: what each of them calls."""
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", source)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        if programs:
            lines = "".join(f"{program} = {call}\n" for program, call in programs.items())
            archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{lines}")
        archive.writestr(f"{info}/RECORD", "".join(f"{each},,\n" for each in (f"{name}.py", f"{info}/METADATA")))
    return str(path)


def hanging_project(directory: Path, pids: Path) -> str:
    return _project(directory / "hangs", _HANGS.format(pids=str(pids)))


def telling_project(directory: Path) -> str:
    return _project(directory / "tells", _TELLS)


def _project(directory: Path, backend: str) -> str:
    directory.mkdir()
    (directory / "backend.py").write_text(backend)
    (directory / "pyproject.toml").write_text(
        f'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{directory.name}"\nversion = "1"\n'
    )
    return str(directory)


def tarball(directory: Path, name: str, version: str, source: str, **package: object) -> str:
    """An npm package with one CommonJS file; returns its path."""
    path = directory / f"{name}-{version}.tgz"
    described = {"name": name, "version": version, "main": "index.js", **package}
    with tarfile.open(path, "w:gz") as archive:
        for file, text in (("package.json", json.dumps(described)), ("index.js", source)):
            info = tarfile.TarInfo(f"package/{file}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return str(path)
