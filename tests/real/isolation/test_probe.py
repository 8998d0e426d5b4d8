"""The program that tries each part of a confinement on this machine."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.real.isolation.boxes import PYTHON


def test_the_probe_says_of_each_part_whether_it_works_and_why_not():
    command = [sys.executable, "-I", "-S", str(PYTHON / "probe.py")]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    assert found.keys() == {"process", "landlock", "landlock_abi", "seccomp", "box"}
    assert found["process"] is None
    assert (found["landlock"] is None) == (found["landlock_abi"] > 0)
    assert all(found[part] is None or len(found[part]) > 5 for part in ("landlock", "seccomp", "box"))
