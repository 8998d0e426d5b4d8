"""Confinement: limits that are applied to a process that runs already, and never raised."""

from __future__ import annotations

import resource
import subprocess
import sys

from engine.kernels.provisioners.confinement import UNCONFINED, Confinement


def limits_after(confinement: Confinement, number: int) -> tuple[int, int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            confinement.apply(process.pid)
            return resource.prlimit(process.pid, number)
        finally:
            process.kill()


def test_limits_are_put_on_a_running_process() -> None:
    assert limits_after(Confinement.of({"CORE": 1234}), resource.RLIMIT_CORE)[0] in (0, 1234)
    assert limits_after(Confinement.of({}, memory=2**40), resource.RLIMIT_DATA) == (2**40, 2**40)


def test_no_limit_is_raised_above_what_the_process_has() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limits_after(Confinement({"NOFILE": (hard + 1, hard + 1)}), resource.RLIMIT_NOFILE) == (hard, hard)
    assert limits_after(UNCONFINED, resource.RLIMIT_NOFILE) == (soft, hard)


def test_kernels_keep_the_open_files_that_the_server_was_started_with() -> None:
    code = """
import resource, subprocess
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
from engine.kernels.provisioners.confinement import Confinement
from engine.server.open_files import raise_open_files
assert raise_open_files() == hard
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
with subprocess.Popen(["sleep", "60"]) as kernel:
    Confinement.of({}).apply(kernel.pid)
    assert resource.prlimit(kernel.pid, resource.RLIMIT_NOFILE) == (200, hard)
    kernel.kill()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_setting_wins_over_the_usual_number_of_open_files() -> None:
    assert Confinement.of({"NOFILE": 64}).rlimits["NOFILE"] == (64, 64)
