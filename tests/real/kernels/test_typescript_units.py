"""Runs the own unit tests of the TypeScript kernel and of the type checker, which are written for Node's test runner."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine.kernels.interpreters import find_node

RUNTIMES = Path(__file__).resolve().parents[3] / "runtimes"
DEADLINE = 120.0


def test_the_unit_tests_of_the_typescript_kernel_and_of_the_checker_pass() -> None:
    node = find_node(None)
    assert node is not None
    files = sorted(str(path) for path in RUNTIMES.glob("*/test/*.test.mjs"))
    assert files
    command = [str(node), "--no-warnings", "--test", *files]
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    if result.returncode != 0:
        pytest.fail(result.stdout + result.stderr, pytrace=False)
