"""Control groups: they go with their kernels, and a server's that was killed are swept by the next one."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.core import Engine
from engine.kernels.limiting.cgroups import PREFIX, own_groups
from engine.kernels.limiting.finding import find_cgroups
from engine.settings import Settings

pytestmark = pytest.mark.anyio

HOLDER = """
import subprocess, time
from engine.kernels.limiting.finding import find_cgroups
from engine.settings import Limits
group = find_cgroups().make("k1", Limits(processes=64))
child = subprocess.Popen(["sleep", "600"])
group.add(child.pid)
print(child.pid, flush=True)
time.sleep(600)
"""


def groups() -> set[Path]:
    places = own_groups(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    return {each for place in places.values() for each in place.glob(f"{PREFIX}*/*") if each.is_dir()}


@pytest.fixture(autouse=True)
def usable() -> None:
    found = find_cgroups()
    if found is None:
        pytest.skip("this machine lets us write to no control group")
    found.close()


async def test_a_group_goes_with_its_kernel_and_what_that_has_left(tmp_path: Path) -> None:
    async with Engine(Settings(run_dir=tmp_path / "run", pool_max=0, preload=[])) as engine:
        execution = await engine.execute("import subprocess\nsubprocess.Popen(['sleep', '600'])", context_id="c")
        await execution.wait()
        assert execution.status == "ok"
        [context] = engine.contexts.get("c")
        assert context.kernel is not None
        name = context.kernel.name  # other tests have groups of their own at the same time
        assert name in {each.name for each in groups()}
        await engine.delete_context("c")
    assert name not in {each.name for each in groups()}


async def test_what_a_killed_server_has_left_is_ended_by_the_next_one() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = os.pidfd_open(int(holder.stdout.readline()))
        held = groups()
        holder.send_signal(signal.SIGKILL)
        holder.wait(30)
    found = find_cgroups()
    assert found is not None
    found.close()
    assert select.select([child], [], [], 30)[0] == [child]  # it has ended
    os.close(child)
    assert not {each for each in held if each.name == "k1"} & groups()
