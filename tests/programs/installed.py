"""Clients that would bring packages into the tests' environment that others of it are moved or slowed by: in a directory of their own.

jupyter-kernel-client asks for pyarrow (which pandas then loads), the Enterprise Gateway for an old jupyter_server. What they import is here anyway.
Sources, for the tests that wheels do not have, are beside them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.harness.client import Client
from tests.harness.waiting import wait_until

_PINNED = ("jupyter-kernel-client==1.0.2", "jupyter-mimetypes==0.2.0", "jupyter-enterprise-gateway==3.3.0")
_DIRECTORY = Path(sys.prefix) / "clients"


def clients_path() -> Path:
    """The directory to put on the path; its packages (200 kB) are installed once."""
    wanted = _DIRECTORY / "-".join(each.partition("==")[2] for each in _PINNED)
    if not wanted.is_dir():
        made = _directory()
        _pip("install", "--no-deps", "--target", str(made), *_PINNED)
        _move(made, wanted)
    return wanted


def source_of(requirement: str) -> Path:
    """The source of a package, `name==version`, as its maker published it; it is downloaded once."""
    name, _, version = requirement.partition("==")
    wanted = _DIRECTORY / f"{name}-{version}-source"
    if not wanted.is_dir():
        made = _directory()
        _pip("download", "--no-deps", "--no-binary", name, "--dest", str(made), requirement)
        (archive,) = made.glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            opened.extractall(made, filter="data")
        (unpacked,) = (each for each in made.iterdir() if each.is_dir())
        _move(unpacked, wanted)
        shutil.rmtree(made)
    return wanted


def _directory() -> Path:
    _DIRECTORY.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(dir=_DIRECTORY))


def _pip(command: str, *arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", command, "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, *arguments], check=True, timeout=100)


def _move(made: Path, wanted: Path) -> None:
    try:
        made.rename(wanted)
    except OSError:  # other tests were first
        shutil.rmtree(made)


def use_clients() -> None:
    """Let this process import them."""
    path = os.fspath(clients_path())
    if path not in sys.path:
        sys.path.append(path)


def stop(kernel: Any, client: Client) -> None:
    """Stop a JupyterKernelClient whose kernel ends first: while its thread reads, its own stop may wait for 10 s in vain."""
    client.http.delete(f"/api/kernels/{kernel.id}")
    wait_until(lambda: not kernel._manager.client.channels_running, what="the server has closed its socket")
    kernel.stop()
