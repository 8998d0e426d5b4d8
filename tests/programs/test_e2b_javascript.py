"""E2B's SDK for JavaScript, unchanged, from npm, against a real server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.harness.npm import node_tool, npm_install
from tests.harness.server import Server

PROGRAM = Path(__file__).parent / "e2b_sdk"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program beside the SDK, which npm has installed."""
    directory = tmp_path_factory.mktemp("e2b") / "sdk"
    shutil.copytree(PROGRAM, directory)
    npm_install(directory)
    return directory


@pytest.fixture(scope="module")
def seen(installed: Path, server: Server) -> dict[str, Any]:
    """What the program saw."""
    url = f"{server.url}/e2b"
    env = {**os.environ, "E2B_API_URL": url, "E2B_SANDBOX_URL": url, "E2B_API_KEY": server.token or ""}
    done = subprocess.run(
        node_tool("node", "program.mjs"), cwd=installed, env=env, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_callbacks_state_and_counts(seen: dict[str, Any]) -> None:
    assert seen["heard"] == [["result", "value"], ["stderr", "err\n"], ["stdout", "out\n"]]
    assert (seen["text"], seen["state"], seen["counts"]) == ("value", "6", ["number", 1])
    assert seen["error"] == ["ZeroDivisionError", "division by zero", False, ["error", "ZeroDivisionError"]]


def test_variables(seen: dict[str, Any]) -> None:
    assert seen["envs"] == ['it\'s "x"\n', "-", "yes"]


def test_languages(seen: dict[str, Any]) -> None:
    assert seen["typescript"] == ["42", ["from js\n"]]
    assert seen["separate"] == ["undefined", "number"]
    assert seen["bash"] == ["42\n"]


def test_values(seen: dict[str, Any]) -> None:
    assert seen["data"] == [["data", "html"], {"a": [1.0, None], "b": ["x", "y"]}]
    assert seen["json"] == {"a": [1]}
    assert seen["chart"] == ["bar", [{"label": "a", "group": "Group 0", "value": 2}], "iVBORw0K"]


def test_a_picture_and_a_plot_over_time(seen: dict[str, Any]) -> None:
    assert seen["picture"] == ["iVBORw0K"]
    assert seen["dates"] == ["line", "datetime", "d", None, "2024-02-28T00:00:00.000Z", 1, 2]


def test_contexts(seen: dict[str, Any]) -> None:
    assert seen["contexts"] == ["javascript", True, ["python", "javascript"]]
    assert seen["left"] is False
    assert seen["restarted"] == "ReferenceError"
    assert seen["removed"][0] == "NotFoundError"


def test_a_timeout_of_the_client_leaves_the_state(seen: dict[str, Any]) -> None:
    assert (seen["timeout"], seen["afterTimeout"]) == ("TimeoutError", "5")


def test_the_sandbox_runs_until_it_is_killed(seen: dict[str, Any]) -> None:
    assert (seen["running"], seen["killed"]) == (True, [True, False, False])
    assert seen["gone"][0] == "TimeoutError"
    assert "The sandbox was not found" in seen["gone"][1]


def test_a_run_breaks_off_when_its_sandbox_is_killed(seen: dict[str, Any]) -> None:
    assert seen["brokenOff"][0] == "TimeoutError"
    assert "killed" in seen["brokenOff"][1]


def test_what_is_not_served_is_an_error_that_says_so(seen: dict[str, Any]) -> None:
    assert len(seen["refused"]) == 4
    for message in seen["refused"]:
        assert "not served here: of E2B there are run_code" in message
