"""What is wrong with a confinement, or with the plan of a box, is named; init's program is what its source says."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.unit.runtimes.confine import assemble, confinement, plan, world

LANDLOCK = {"read": ["/usr"], "write": [], "network": False}


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ([], "a confinement is an object"),
        ({"walls": 4}, "unknown confinement 'walls'; known: rlimits, hidden, box"),
        ({"box": 1}, "box is true or false"),
        ({"seccomp": "yes"}, "seccomp is true or false"),
        ({"no_new_privs": None}, "no_new_privs is true or false"),
        ({"uid": 0}, "uid is a number above 0"),
        ({"uid": True}, "uid is a number above 0"),
        ({"uid": 1 << 31}, "uid is a number above 0"),
        ({"cpus": []}, "cpus is a list of numbers"),
        ({"cpus": [-1]}, "cpus is a list of numbers"),
        ({"cgroups": -1}, "cgroups is a number from 0 to 8"),
        ({"cgroups": 9}, "cgroups is a number from 0 to 8"),
        ({"landlock": {}}, "landlock is an object of read, write and network"),
        ({"landlock": {**LANDLOCK, "more": 1}}, "landlock is an object of read, write and network"),
        ({"landlock": {**LANDLOCK, "read": "/usr"}}, "landlock's read is a list of absolute paths"),
        ({"landlock": {**LANDLOCK, "write": ["tmp"]}}, "landlock's write is a list of absolute paths"),
        ({"landlock": {**LANDLOCK, "network": "open"}}, "landlock's network is true or false"),
        ({"rlimits": {"open": [1, 1]}}, "unknown rlimit 'open'"),
    ],
)
def test_a_confinement_that_makes_no_sense_is_refused_by_name(wanted: Any, error: str):
    with pytest.raises(ValueError, match=error):
        confinement.check(wanted)


def test_a_box_and_control_groups_come_with_descriptors():
    wanted = {
        "box": True,
        "uid": 7,
        "seccomp": True,
        "no_new_privs": True,
        "landlock": LANDLOCK,
        "cpus": [0],
        "cgroups": 2,
    }
    confinement.check(wanted)
    assert confinement.descriptors(wanted) == 3
    assert confinement.descriptors({"box": False, "cgroups": 1}) == 1
    assert confinement.descriptors({}) == 0


def test_a_plan_has_defaults_for_all_but_its_root():
    made = plan.Plan.of({"root": "/run/x", "mounts": [["/data", "/data"]]})
    assert (made.network, made.uid, made.read, made.mounts) == ("none", None, [], [("/data", "/data")])
    with pytest.raises(ValueError, match="root: None is no absolute, normal path"):
        plan.Plan.of({})


def test_the_world_is_taken_out_of_a_command_line():
    arguments = ["spawn.py", "--zygote", "4", "--world", "new", "--preload", "a"]
    assert world.taken_from(arguments) == "new"
    assert arguments == ["spawn.py", "--zygote", "4", "--preload", "a"]
    assert world.taken_from(["spawn.py", "--world"]) == ""


@pytest.mark.parametrize("machine", assemble.MACHINES)
def test_the_program_of_init_is_what_its_source_says(machine: str):
    if shutil.which(assemble.assembler(machine)) is None:
        pytest.skip(f"no assembler for {machine}")
    assert assemble.assembled(machine) == (assemble.HERE / f"{machine}.elf").read_bytes()
