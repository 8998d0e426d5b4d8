"""The environment of a context's packages, where the code of the context may not look into every directory of its interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtimes.python.polyrepl_kernel import package_env


def test_an_environment_leaves_out_what_its_code_may_not_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Such as the checkout of an editable installation, under Landlock: pip would fail there."""
    seen, hidden, shown = (tmp_path / name for name in ("seen", "hidden", "shown"))
    for place in (seen, hidden, shown):
        place.mkdir()
    (seen / "editable.pth").write_text(f"{hidden}\n{shown}\n")
    real = os.scandir

    def refuse(place: str) -> object:
        if place == str(hidden):
            raise PermissionError(13, "Permission denied", place)
        return real(place)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(sys, "path", [*sys.path, str(seen), str(hidden)])
    assert str(seen) in package_env.interpreter_sites()
    assert str(hidden) not in package_env.interpreter_sites()
    package_env.make(str(tmp_path / "made"))
    command = [str(tmp_path / "made/bin/python"), "-c", "import json, sys; print(json.dumps(sys.path))"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)
    assert found.count(str(seen)) == found.count(str(shown)) == 1
    assert str(hidden) not in found
