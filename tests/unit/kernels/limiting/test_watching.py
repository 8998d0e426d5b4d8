"""What watchdogs see, with scripted wards; and how files are counted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine.kernels.limiting import processes, thread_variables
from engine.kernels.limiting.breach import Breach
from engine.kernels.limiting.cpus import Cores
from engine.kernels.limiting.disk import Count
from engine.kernels.limiting.processes import Process
from engine.kernels.limiting.watchdog import Watchdog
from engine.kernels.limiting.watches import DiskWatch, ProcessWatch
from engine.settings import MIB, Limits
from engine.workspaces import Workspace


class Ward:
    """A ward of this process."""

    def __init__(self, limits: Limits, workspace: Workspace | None = None, breach: Breach | None = None) -> None:
        self.pid = os.getpid()
        self.limits = limits
        self.workspace = workspace
        self.is_busy = False
        self.cells = 0
        self.limits_memory = self.limits_processes = False
        self.breach = breach
        self.reports: list[tuple[str, float]] = []

    def memory_breach(self) -> Breach | None:
        return self.breach

    def report(self, limit: str, peak: float) -> None:
        self.reports.append((limit, peak))


class Looked:
    def __init__(self, *, works: bool = True) -> None:
        self.looks = self.closed = 0
        self.is_working = works

    def works(self) -> bool:
        return self.is_working

    def look(self) -> None:
        self.looks += 1

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def dog():
    dog = Watchdog("test", tick=3600, rest=5)  # its own rounds do not come
    yield dog
    dog.close()


def test_what_works_is_looked_at_each_round_and_what_rests_rarely(dog: Watchdog):
    busy, idle = Looked(), Looked(works=False)
    dog.add(busy)
    dog.add(idle)
    now = max(dog._watched.values())
    for second in (1, 2, 6, 7, 12):
        dog.round(now + second)
    assert (busy.looks, idle.looks) == (5, 2)
    dog.remove(busy)
    assert busy.closed == 0  # a look may be under way
    dog.round(now + 20)
    assert (busy.looks, busy.closed) == (5, 1)
    dog.remove(idle)
    dog.remove(idle)
    dog.close()
    assert (busy.closed, idle.closed) == (1, 1)


def test_a_look_that_fails_keeps_nobody_else_from_being_looked_at(dog: Watchdog):
    class Broken(Looked):
        def look(self) -> None:
            raise RuntimeError("boom")

    other = Looked()
    dog.add(Broken())
    dog.add(other)
    dog.round(0)
    assert other.looks == 1


def test_processes_and_threads_above_the_limit_are_reported():
    ward = Ward(Limits(processes=0))
    ProcessWatch(ward).look()
    ((limit, peak),) = ward.reports
    assert limit == "processes"
    assert peak >= 1
    fine = Ward(Limits(processes=1000))
    ProcessWatch(fine).look()
    assert fine.reports == []


def test_memory_counts_from_when_the_kernel_was_ready():
    ward = Ward(Limits(memory=64 * MIB))
    watch = ProcessWatch(ward)
    watch.look()
    assert ward.reports == []
    held = bytearray(b"x") * (80 * MIB)
    watch.look()
    assert [limit for limit, _ in ward.reports] == ["memory"]
    assert ward.reports[0][1] > 64 * MIB
    del held


def test_what_a_control_group_limits_is_only_asked_of_it():
    ward = Ward(Limits(memory=1, processes=1), breach=Breach("memory", 1, 9))
    ward.limits_memory = ward.limits_processes = True
    ProcessWatch(ward).look()
    assert ward.reports == [("memory", 9)]


def test_a_ward_is_looked_at_after_each_cell_however_short():
    ward = Ward(Limits(processes=1000))
    watch = ProcessWatch(ward)
    assert watch.works()
    watch.look()
    assert not watch.works()
    ward.cells, ward.is_busy = 1, True
    watch.look()
    ward.is_busy = False
    assert watch.works()
    watch.look()
    assert not watch.works()
    ward.cells = 2  # begun and ended between two looks
    assert watch.works()


def test_a_forked_worker_counts_what_it_does_not_share(monkeypatch: pytest.MonkeyPatch):
    kernel = Process(1, b"pr-k1", 1, 1000, 0)
    forked, program = Process(2, b"pr-k1", 1, 1100, 0), Process(3, b"sort", 1, 300, 50)
    monkeypatch.setattr(processes, "_shares_of", lambda pid: None)
    assert processes.memory_of([kernel, forked, program], 400, enough=10_000) == (600 + 1100 + 300, 50)
    assert processes.memory_of([kernel, forked, program], 400, enough=1000) == (600 + 100 + 300, 50)
    monkeypatch.setattr(processes, "_shares_of", {2: (500, 0), 3: (300, 20)}.get)
    assert processes.memory_of([kernel, forked, program], 400, enough=1000) == (600 + 800, 20)


def test_files_in_memory_count_once_with_all_their_bytes():
    before = processes.files_in_memory(processes.tree(os.getpid(), most=1))
    fd = os.memfd_create("test")
    other = os.dup(fd)
    os.write(fd, b"x" * (4 * MIB))
    found = processes.files_in_memory(processes.tree(os.getpid(), most=1))
    os.close(fd)
    os.close(other)
    assert found - before == 4 * MIB


def counted(directory: Path) -> int:
    count, fd = Count(), os.open(directory, os.O_RDONLY)
    size = count.step(fd)
    while count.is_under_way:
        size = count.step(fd)
    os.close(fd)
    return size


def test_files_are_counted_by_what_they_take(tmp_path: Path):
    (tmp_path / "large").write_bytes(bytes(3 * MIB))
    os.link(tmp_path / "large", tmp_path / "again")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "link").symlink_to("/")
    os.mkfifo(tmp_path / "fifo")
    assert 3 * MIB <= counted(tmp_path) <= 3 * MIB + 64 * 1024


def test_empty_files_and_deep_directories_count(tmp_path: Path):
    for number in range(500):
        (tmp_path / f"f{number}").touch()
    assert counted(tmp_path) >= 500 * 4096
    top = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(300):
            os.mkdir("d")
            os.chdir("d")
        Path("deep").write_bytes(bytes(2 * MIB))
    finally:
        os.chdir(top)
    before = set(os.listdir("/proc/self/fd"))
    assert counted(tmp_path) >= 800 * 4096 + 2 * MIB
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_count_that_is_not_over_when_its_kernel_ends_leaves_nothing_open(
    dog: Watchdog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("engine.kernels.limiting.disk._SLICE", 0)
    workspace = Workspace(tmp_path / "c", tmp_path / "c" / "work", tmp_path / "c" / "tmp")
    workspace.prepare()
    before = set(os.listdir("/proc/self/fd"))
    watch = DiskWatch(Ward(Limits(disk=2 * MIB), workspace))
    dog.add(watch)
    dog.round(time.monotonic())
    assert len(set(os.listdir("/proc/self/fd")) - before) > 1
    dog.remove(watch)
    dog.round(time.monotonic())
    assert set(os.listdir("/proc/self/fd")) == before
    workspace.close()


def test_too_many_files_are_reported_and_the_next_kernel_may_delete_some(tmp_path: Path):
    root = tmp_path / "c"
    workspace = Workspace(root, root / "work", root / "tmp")
    workspace.prepare()
    ward = Ward(Limits(disk=2 * MIB), workspace)
    (root / "work" / "large").write_bytes(bytes(4 * MIB))
    DiskWatch(ward).look()
    ((limit, peak),) = ward.reports
    assert limit == "disk"
    assert peak >= 4 * MIB
    later = Ward(Limits(disk=2 * MIB), workspace)
    DiskWatch(later).look()
    assert later.reports == []
    (root / "work" / "more").write_bytes(bytes(3 * MIB))
    DiskWatch(later).look()
    assert [limit for limit, _ in later.reports] == ["disk"]
    (root / "work" / "large").unlink()
    (root / "work" / "more").unlink()
    DiskWatch(later).look()
    assert workspace.excess == 0
    workspace.close()


def test_cores_are_those_that_fewest_have():
    cores = Cores(frozenset(range(4)))
    taken = [cores.take(1) for _ in range(4)]
    assert sorted(core for each in taken for core in each) == [0, 1, 2, 3]
    assert taken[0] == {3}
    cores.give_back(taken[2])
    assert cores.take(0.5) == taken[2]
    assert len(cores.take(2.5)) == 3
    assert cores.take(100) == frozenset(range(4))


def test_libraries_learn_the_number_of_processors():
    assert thread_variables(Limits()) == {}
    assert set(thread_variables(Limits(cpus=1.5)).values()) == {"2"}
    assert {"OMP_NUM_THREADS", "PYTHON_CPU_COUNT", "UV_THREADPOOL_SIZE"} <= set(thread_variables(Limits(cpus=1)))
