"""Memory: the tightest of the machine and of the cgroups above the server is what counts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.kernels import memory
from engine.kernels.memory import Memory, is_out_of_memory, limit_growth, private_bytes, read_memory

GIB = 1 << 30


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """`system(path, text)` says what a file of /proc holds, or one of the cgroups: those of version 2 are in `two`, of 1 in `one`."""
    (tmp_path / "two").mkdir()
    (tmp_path / "one").mkdir()
    files: dict[str, str] = {
        "/proc/meminfo": f"MemTotal:  {16 * GIB // 1024} kB\nMemAvailable:  {8 * GIB // 1024} kB\n",
        "/proc/self/mountinfo": f"30 1 0:26 / {tmp_path}/two rw - cgroup2 cgroup2 rw\n"
        f"31 1 0:27 / {tmp_path}/one rw - cgroup cgroup rw,memory\n",
    }
    read = memory._read
    monkeypatch.setattr(memory, "_read", lambda path: files.get(path, "") if path.startswith("/proc/") else read(path))

    def say(path: str, text: str) -> None:
        if path.startswith("/proc/"):
            files[path] = text
        else:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)

    memory._groups.cache_clear()
    yield say
    memory._groups.cache_clear()


def test_without_cgroups_it_is_the_machines(system):
    assert read_memory() == Memory(8 * GIB, GIB)


def test_a_limit_of_a_cgroup_counts_where_it_is_tighter(system):
    system("/proc/self/cgroup", "0::/a/b\n")
    system("two/a/memory.max", f"{4 * GIB}\n")
    system("two/a/memory.current", f"{3 * GIB}\n")
    system("two/a/memory.stat", f"anon 1\ninactive_file {GIB // 2}\n")
    system("two/a/b/memory.max", "max\n")
    assert read_memory() == Memory(GIB + GIB // 2, 4 * GIB // 10)


def test_version_1_is_understood(system):
    system("/proc/self/cgroup", "4:cpu:/x\n3:memory:/x\n")
    system("one/x/memory.limit_in_bytes", f"{2 * GIB}\n")
    system("one/x/memory.usage_in_bytes", f"{GIB}\n")
    system("one/memory.limit_in_bytes", "9223372036854771712\n")
    system("one/memory.usage_in_bytes", f"{GIB}\n")
    assert read_memory().available == GIB


def test_where_nothing_is_known_it_is_never_short(system):
    system("/proc/meminfo", "")
    assert not read_memory().is_short


@pytest.mark.parametrize(("available", "short", "ample"), [(9, True, False), (10, False, False), (20, False, True)])
def test_short_and_ample_leave_a_gap_between_them(available: int, short: bool, ample: bool):
    found = Memory(available, 10)
    assert (found.is_short, found.is_ample) == (short, ample)


def test_this_machine_has_some():
    assert read_memory().available > 0
    assert 0 < (private_bytes(os.getpid()) or 0) < 10 * GIB


def test_a_process_that_is_gone_holds_nothing_that_could_be_told():
    assert private_bytes(2**22 + 1) is None


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        (-6, "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n 1: 0xc32640", True),
        (-5, "# Fatal process out of memory: Failed to reserve virtual memory for CodeRange", True),
        (-5, "# Fatal JavaScript out of memory: MarkCompactCollector: young object promotion failed", True),
        (-6, "terminate called after throwing an instance of 'std::bad_alloc'", True),
        (12, "The kernel is out of memory\n", True),
        (12, "", False),
        (-9, "JavaScript heap out of memory", False),
        (0, "JavaScript heap out of memory", False),
        (None, "", False),
        (-6, "Assertion failed", False),
    ],
)
def test_a_process_that_aborts_for_lack_of_memory_is_told_by_its_last_words(
    code: int | None, said: str, expected: bool
) -> None:
    assert is_out_of_memory(code, said) is expected


def test_a_process_may_grow_by_a_size_and_a_lower_limit_stays() -> None:
    code = "import sys; print(flush=True)\nfor line in sys.stdin:\n try: bytearray(int(line)); print('had', flush=True)\n except MemoryError: print('refused', flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as made:
        assert made.stdin is not None
        assert made.stdout is not None
        made.stdout.readline()

        def ask(size: int) -> str:
            print(size, file=made.stdin, flush=True)
            return made.stdout.readline().strip()

        limit_growth(made.pid, 100_000_000)
        assert [ask(80_000_000), ask(110_000_000)] == ["had", "refused"]
        limit_growth(made.pid, 200_000_000)
        assert ask(110_000_000) == "refused"
        made.stdin.close()
