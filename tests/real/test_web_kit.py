"""The parts of the rendering kit that need no browser, in Node."""

from __future__ import annotations

import subprocess
from pathlib import Path

from engine.kernels.interpreters import find_node

KIT = Path(__file__).resolve().parents[2] / "clients" / "web"


def test_the_kits_own_tests_pass() -> None:
    node = find_node(None)
    assert node is not None
    tests = sorted(map(str, (KIT / "test").glob("*.test.mjs")))
    done = subprocess.run([str(node), "--test", *tests], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
