"""Control groups of both versions, in a directory that behaves like Linux's file system of them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.kernels.limiting import cgroups
from engine.kernels.limiting.cgroups import Cgroups, close_all, own_groups
from engine.kernels.limiting.finding import choose
from engine.kernels.limiting.version1 import Version1
from engine.kernels.limiting.version2 import Version2
from engine.settings import Limits

LIMITS = Limits(cpus=0.5, processes=100)
V2 = ("cgroup.procs", "cgroup.subtree_control", "cgroup.kill", "pids.max", "cpu.max", "memory.max", "memory.oom.group")
V1 = {
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control", "memory.max_usage_in_bytes"),
    "pids": ("pids.max",),
    "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us"),
}


class GroupFiles:
    """Makes and removes the files of a group with its directory, as Linux does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._roots: dict[Path, tuple[str, ...]] = {}
        self._mkdir, self._rmdir = Path.mkdir, Path.rmdir
        monkeypatch.setattr(Path, "mkdir", lambda path, *given, **named: self.make(path, *given, **named))
        monkeypatch.setattr(Path, "rmdir", lambda path: self.remove(path))

    def add(self, root: Path, names: tuple[str, ...]) -> Path:
        self._roots[root] = names
        self.make(root, parents=True)
        return root

    def make(self, path: Path, *given: int, **named: bool) -> None:
        self._mkdir(path, *given, **named)
        for root, names in self._roots.items():
            if path.is_relative_to(root):
                for name in names:
                    (path / name).write_text("")

    def remove(self, path: Path) -> None:
        for file in path.iterdir():
            if file.is_file():
                file.unlink()
        self._rmdir(path)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> GroupFiles:
    return GroupFiles(monkeypatch)


@pytest.fixture
def two(files: GroupFiles, tmp_path: Path) -> Path:
    place = files.add(tmp_path / "two", (*V2, "memory.current", "memory.peak", "memory.events", "memory.swap.max"))
    (place / "cgroup.controllers").write_text("cpu memory pids io\n")
    return place


@pytest.fixture
def one(files: GroupFiles, tmp_path: Path) -> dict[str, Path]:
    return {name: files.add(tmp_path / "one" / name, ("cgroup.procs", "tasks", *names)) for name, names in V1.items()}


@pytest.fixture
def opened() -> Iterator[list[Cgroups]]:
    found: list[Cgroups] = []
    yield found
    for each in found:
        each.close()


def test_version_2_limits_by_its_files(two: Path, opened: list[Cgroups]):
    opened.append(found := Version2(two))
    assert found.controllers == {"memory", "pids", "cpu"}
    assert (two / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    group = found.make("k1", LIMITS)
    folder = found.homes[0] / "k1"
    group.add(1234)
    (folder / "memory.current").write_text("1000\n")
    group.limit_memory(100_000_000)
    written = {
        name: (folder / name).read_text() for name in ("cgroup.procs", "pids.max", "cpu.max", "memory.oom.group")
    }
    assert written == {"cgroup.procs": "1234", "pids.max": "100", "cpu.max": "50000 100000", "memory.oom.group": "1"}
    assert int((folder / "memory.max").read_text()) == 100_001_000 + (32 << 20)
    assert (folder / "memory.swap.max").read_text() == "0"
    (folder / "memory.events").write_text("low 0\noom 3\noom_kill 0\n")
    assert not group.is_out_of_memory()
    (folder / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert group.is_out_of_memory()
    group.end()
    assert (folder / "cgroup.kill").read_text() == "1"
    assert group.remove()
    assert not folder.exists()


def test_version_2_makes_room_for_groups_by_moving_the_server(two: Path, monkeypatch: pytest.MonkeyPatch):
    (two / "cgroup.procs").write_text(f"{os.getpid()}\n")
    write, refusals = cgroups.write, ["once"]

    def busy(path: Path, text: str) -> None:
        if path == two / "cgroup.subtree_control" and refusals:
            refusals.pop()
            raise OSError(16, "Device or resource busy")
        write(path, text)

    monkeypatch.setattr("engine.kernels.limiting.version2.write", busy)
    Version2(two).close()
    assert (two / "polyrepl.server" / "cgroup.procs").read_text() == str(os.getpid())


def test_version_2_moves_nobody_else(two: Path, monkeypatch: pytest.MonkeyPatch):
    (two / "cgroup.procs").write_text(f"{os.getpid()}\n1\n")

    def busy(path: Path, text: str) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr("engine.kernels.limiting.version2.write", busy)
    with pytest.raises(OSError, match="busy"):
        Version2(two)
    assert not [each for each in two.iterdir() if each.is_dir()]


def test_version_1_limits_in_each_hierarchy(one: dict[str, Path], opened: list[Cgroups]):
    opened.append(found := Version1(one))
    group = found.make("k1", LIMITS)
    memory, pids, cpu = (home / "k1" for home in found.homes)
    group.add(77)
    (memory / "memory.usage_in_bytes").write_text("5000\n")
    group.limit_memory(1 << 30)
    assert [(each / "cgroup.procs").read_text() for each in (memory, pids, cpu)] == ["77"] * 3
    assert (pids / "pids.max").read_text() == "100"
    assert (cpu / "cpu.cfs_quota_us").read_text() == "50000"
    assert int((memory / "memory.limit_in_bytes").read_text()) == 5000 + (1 << 30) + (1 << 26)
    assert (memory / "memory.oom_control").read_text() == "1"
    (memory / "memory.oom_control").write_text("oom_kill_disable 1\nunder_oom 1\noom_kill 0\n")
    assert group.is_out_of_memory()
    (memory / "cgroup.procs").write_text("")
    (pids / "cgroup.procs").write_text("")
    (cpu / "cgroup.procs").write_text("")
    found.remove(group)
    assert not memory.exists()
    assert not cpu.exists()


def test_a_process_can_enter_a_group_of_version_1_by_itself(one: dict[str, Path], opened: list[Cgroups]):
    opened.append(found := Version1(one))
    group = found.make("k1", LIMITS)
    doors = group.doors()
    for door in doors:
        os.write(door, b"0")
    close_all(doors)
    assert doors == []
    assert [(home / "k1" / "tasks").read_text() for home in found.homes] == ["0"] * 3
    (found.homes[1] / "k1" / "tasks").unlink()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        group.doors()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_process_is_put_into_a_group_of_version_2(two: Path, opened: list[Cgroups]):
    opened.append(found := Version2(two))
    assert found.make("k1", LIMITS).doors() == []


def test_a_group_that_cannot_be_limited_is_not_left(one: dict[str, Path], opened: list[Cgroups], monkeypatch):
    opened.append(found := Version1(one))

    def refuse(path: Path, text: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("engine.kernels.limiting.version1.write", refuse)
    with pytest.raises(PermissionError):
        found.make("k1", LIMITS)
    assert not any((home / "k1").exists() for home in found.homes)


def test_version_2_comes_before_version_1_and_none_is_none(
    two: Path, one: dict[str, Path], tmp_path: Path, opened: list[Cgroups]
):
    first, second = choose({"": two, **one}), choose(one)
    assert isinstance(first, Version2)
    assert isinstance(second, Version1)
    opened += [first, second]
    assert choose({}) is None
    assert not any((home / "trial").exists() for found in opened for home in found.homes)
    (two / "cgroup.controllers").write_text("hugetlb\n")
    fallback = choose({"": two, **one})
    assert isinstance(fallback, Version1)
    opened.append(fallback)


def test_only_what_a_dead_server_has_left_is_swept(two: Path, opened: list[Cgroups]):
    opened.append(living := Version2(two))
    group = living.make("k1", LIMITS)
    left = two / "polyrepl-00000000"
    (left / "k9").mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        (left / "k9" / "cgroup.procs").write_text(f"{sleeper.pid}\n")
        Cgroups.sweep(two)
        assert sleeper.wait(30) == -signal.SIGKILL
    assert not left.exists()
    assert group.members() == set()
    assert (living.homes[0] / "k1").exists()


def test_our_own_groups_are_found_in_whatever_was_mounted(tmp_path: Path):
    for place in ("two/app", "memory/box/own", "pids"):
        (tmp_path / place).mkdir(parents=True)
    mounts = (
        f"30 1 0:26 / {tmp_path}/two rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
        f"31 1 0:27 / {tmp_path}/memory rw - cgroup cgroup rw,memory\n"
        f"32 1 0:28 /docker/abc {tmp_path}/pids rw - cgroup cgroup rw,pids\n"
        f"33 1 0:29 / /proc rw - proc proc rw\n"
    )
    groups = "9:name=systemd:/\n8:pids:/docker/abc\n4:memory:/box/own\n0::/app\n"
    assert own_groups(mounts, groups) == {
        "": tmp_path / "two/app",
        "memory": tmp_path / "memory/box/own",
        "pids": tmp_path / "pids",
    }
