"""Programs from npm's registry, run by the Node that comes from the Python package index."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine.kernels.interpreters import find_node, find_npm

_UNREACHABLE = ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ENETUNREACH")


def node_tool(name: str, *arguments: str) -> list[str]:
    """The command of `node`, or of `npm`."""
    node = find_node(None)
    assert node is not None
    return [str(node), *([str(find_npm(node))] if name == "npm" else []), *arguments]


def npm_install(directory: Path, *packages: str) -> None:
    """Install packages into a directory, or without names what its package.json asks for. Skips the test without a registry."""
    command = node_tool(
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefer-offline",
        "--fetch-retries=1",
        *packages,
    )
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=100)
    if any(code in done.stderr for code in _UNREACHABLE):
        pytest.skip("npm's registry cannot be reached")
    assert done.returncode == 0, done.stderr
