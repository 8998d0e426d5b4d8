"""Settings that name something: a name of nothing is refused at start, with the setting, the name and what is allowed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.core import Engine
from engine.errors import InvalidRequest
from engine.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("place", "said"),
    [("file", "it is not a directory"), ("file/run", "Not a directory"), ("open", "0700"), ("/proc/run", "/proc/run")],
)
async def test_a_run_directory_that_cannot_be_used_is_refused_at_start(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir(mode=0o755)
    engine = Engine(Settings(run_dir=tmp_path / place))
    with pytest.raises(InvalidRequest, match=f"run_dir: .*{said}"):
        await engine.__aenter__()


@pytest.mark.parametrize(
    ("settings", "field", "name", "allowed"),
    [
        ({"pool_languages": "pyhton"}, "pool_languages", "'pyhton'", "python, py, "),
        ({"pool_languages": "python,tpyescript"}, "pool_languages", "'tpyescript'", "typescript"),
        ({"kernelbox_kernel": "pyhton3"}, "kernelbox_kernel", "'pyhton3'", "python3"),
        ({"kernelspecs": "no-such-kernel"}, "kernelspecs", "'no-such-kernel'", "polyrepl-python"),
        ({"tcp_kernelspecs": "deno,no-such-kernel"}, "tcp_kernelspecs", "'no-such-kernel'", "polyrepl-deno"),
        ({"preload": "num py"}, "preload", "'num py'", "numpy"),
        ({"kernel_env": {"A=B": "x"}}, "kernel_env", "'A=B'", "letters"),
        ({"jupyter_languages": "cobol=local"}, "jupyter_languages", "'cobol'", "python"),
        ({"jupyter_languages": "r="}, "jupyter_languages", "'r='", "r=ir"),
        ({"jupyter_languages": "py=a,python=b"}, "jupyter_languages", "'python' and 'py'", "one of them"),
    ],
)
async def test_a_name_of_nothing_is_refused_at_start(
    tmp_path: Path, settings: dict[str, Any], field: str, name: str, allowed: str
) -> None:
    engine = Engine(Settings(run_dir=tmp_path / "run", **settings))
    with pytest.raises(InvalidRequest) as refused:
        await engine.__aenter__()
    (wrong,) = refused.value.errors
    assert wrong.field == field
    assert name in wrong.error
    assert allowed in wrong.error
    assert wrong.error in str(refused.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"backend": "jupyter"},
        {"backend": "jupyter", "pool_languages": "typescript", "jupyter_languages": "ts=local,r=ir"},
        {"kernelspecs": "*", "jupyter_languages": "bash=local"},
        {"pool_languages": "js", "tcp_kernelspecs": "java", "preload": "os.path"},
    ],
)
def test_names_of_what_there_is_are_taken(tmp_path: Path, settings: dict[str, Any]) -> None:
    Engine(Settings(run_dir=tmp_path / "run", **settings)).check_settings()


def test_a_server_does_not_start_and_logs_the_setting(tmp_path: Path) -> None:
    env = {**os.environ, "POLYREPL_POOL_LANGUAGES": "pyhton", "POLYREPL_RUN_DIR": str(tmp_path / "run")}
    command = [sys.executable, "-m", "engine.cli", "serve", "--port", "0"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "settings_refused" in done.stderr
    assert "pool_languages: 'pyhton' is not a known language; allowed: python, py, python3" in done.stderr
    assert "Traceback" not in done.stderr
