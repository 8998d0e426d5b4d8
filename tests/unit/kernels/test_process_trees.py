"""The end of a process with everything that it started."""

from __future__ import annotations

import subprocess
import sys

from engine.kernels.provisioners.process import end_tree
from tests.harness.waiting import wait_until
from tests.real.kernels.forks import is_there

_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(1000)"], start_new_session=True, env={})
print(child.pid, flush=True)
child.wait()
"""


def test_a_child_in_a_session_of_its_own_ends_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_there(child)
        end_tree(parent.pid)
        assert parent.wait(60) == -9
        wait_until(lambda: not is_there(child))
