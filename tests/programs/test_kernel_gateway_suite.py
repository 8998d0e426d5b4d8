"""The Kernel Gateway's own tests, from its package on PyPI and unchanged, with our server in the place of theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.programs.installed import source_of

ROOT = Path(__file__).resolve().parents[2]
WEBSOCKET, NOTEBOOK = "test_jupyter_websocket.py", "test_notebook_http.py"
LEFT_OUT = {
    f"{WEBSOCKET}::TestDefaults::test_config_bad_api_value": "imports a module of the Kernel Gateway by name",
    f"{WEBSOCKET}::TestCustomDefaultKernel::test_default_kernel_name": "wants a traceback in the answer; our server does not start",
    f"{WEBSOCKET}::TestPrespawnKernels::test_prespawn_count": "waiting kernels are listed there, and have no id here",
    f"{WEBSOCKET}::TestPrespawnKernels::test_prespawn_max_conflict": "tests an object of the Kernel Gateway",
    f"{WEBSOCKET}::TestRemoteSeedURI::test_seed": "downloads a notebook from the internet",
    f"{WEBSOCKET}::TestBadSeedURI::test_seed_kernel_not_available": "tests an object of the Kernel Gateway",
    f"{WEBSOCKET}::TestSessionApi::test_session_api": "tests an object of the Kernel Gateway",
    f"{NOTEBOOK}::TestSwaggerSpec::test_generation_of_swagger_spec": "wants the answer in an object of the Kernel Gateway",
}
"""Why. The files that are not run have unit tests of the Kernel Gateway's own functions and settings."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What became of each test: "passed", or the text of its failure."""
    directory = tmp_path_factory.mktemp("kernel_gateway")
    # Two packages cannot be called `tests`.
    package = directory / "kernel_gateway_tests"
    package.symlink_to(source_of(f"jupyter_kernel_gateway=={version('jupyter_kernel_gateway')}") / "tests")
    report = directory / "report.xml"
    command = [
        sys.executable, "-m", "pytest", "-q", "--tb=short", "-c", os.devnull, "--rootdir", str(directory),
        "-p", "no:cacheprovider", "--noconftest", "-p", "tests.programs.kernel_gateway_fixtures", f"--junitxml={report}",
        *(f"--deselect={package.name}/{test}" for test in LEFT_OUT), str(package / WEBSOCKET), str(package / NOTEBOOK),
    ]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=500)
    assert report.is_file(), done.stdout + done.stderr
    return {
        f"{case.get('classname', '').partition('.')[2]}.{case.get('name')}": "\n".join(each.text or "" for each in case)
        or "passed"
        for case in ElementTree.parse(report).iter("testcase")
    }


def test_a_program_made_for_a_kernel_gateway_finds_one(outcomes: dict[str, str]) -> None:
    assert {name: outcome for name, outcome in outcomes.items() if outcome != "passed"} == {}
    assert len(outcomes) > 50
