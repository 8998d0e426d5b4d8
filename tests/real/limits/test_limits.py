"""Every limit, hit in the ways that code has. The next call works, and a neighbour notices nothing."""

from __future__ import annotations

import os

import pytest

from engine.contexts.execution import Execution
from engine.models import ErrorInfo
from tests.real.limits.conftest import LIMITS, Limited

pytestmark = pytest.mark.anyio

# What code meets by itself: an error of its own, with a hint.
REFUSED = {
    ("python", "memory"): "held = bytearray(10**9)",
    ("python", "open_files"): "held = [open('/dev/null') for _ in range(500)]",
    (
        "typescript",
        "open_files",
    ): "const fs = require('fs')\nfor (let i = 0; i < 500; i++) fs.openSync('/dev/null', 'r')",
    ("python", "file_size"): "open('large', 'wb').write(bytes(30_000_000))",
    ("python", "file_size of a sparse file"): "open('sparse', 'wb').truncate(10**12)",
    ("python", "file_size in memory"): "import os\nos.ftruncate(os.memfd_create('x'), 10**9)",
    ("typescript", "file_size"): "require('fs').writeFileSync('large', Buffer.alloc(30e6))",
    ("typescript", "file_size of a sparse file"): "require('fs').ftruncateSync(require('fs').openSync('s', 'w'), 1e12)",
}
# What ends the kernel: by a group, or by the watchdog.
WORKERS = """
import multiprocessing, time
def work(number):
    held = bytearray(b'x') * 30_000_000
    time.sleep(60)
with multiprocessing.get_context('fork').Pool(8) as pool:
    pool.map(work, range(8))
"""
KILLED = {
    ("python", "memory by mmap"): "import mmap\nm = mmap.mmap(-1, 10**9)\nfor i in range(0, 10**9, 4096): m[i] = 1",
    ("python", "memory by memfd"): (
        "import os, time\nheld = [os.memfd_create(str(i)) for i in range(60)]\n"
        "for fd in held:\n    os.write(fd, bytes(9_000_000)); time.sleep(0.02)\ntime.sleep(60)"
    ),
    ("python", "memory by /dev/shm"): (
        "import time\nheld = []\nfor i in range(25):\n    held.append(open(f'/dev/shm/limits-{i}', 'wb')); held[-1].write(bytes(9_000_000))\n"
        "    held[-1].flush(); time.sleep(0.02)\ntime.sleep(60)"
    ),
    ("python", "memory by processes"): WORKERS,
    ("typescript", "memory"): "const rows: number[][] = []; for (;;) rows.push(new Array(1000).fill(rows.length))",
    ("typescript", "memory by processes"): (
        "const { spawn } = require('child_process')\nconst code = 'x = bytearray(b\"x\") * 30_000_000; import time; time.sleep(60)'\n"
        "for (let i = 0; i < 8; i++) spawn('python3', ['-c', code])\nawait new Promise((resolve) => setTimeout(resolve, 60_000))"
    ),
    ("python", "disk"): (
        "import time\nfor i in range(100):\n    open(f'f{i}', 'wb').write(bytes(9_000_000)); time.sleep(0.3)\ntime.sleep(60)"
    ),
    ("python", "disk by empty files"): (
        "import time\nfor i in range(12_000): open(f'f{i}', 'wb').close()\ntime.sleep(60)"
    ),
    ("typescript", "disk"): (
        "const fs = require('fs')\nfor (let i = 0; i < 100; i++) { fs.writeFileSync('f' + i, Buffer.alloc(9e6));\n"
        "  await new Promise((resolve) => setTimeout(resolve, 300)) }\nawait new Promise((resolve) => setTimeout(resolve, 60_000))"
    ),
}
# What a group refuses, and a watchdog ends.
CROWDS = {
    ("python", "threads"): (
        "import threading, time\nfor _ in range(300): threading.Thread(target=time.sleep, args=(2,)).start()\ntime.sleep(60)"
    ),
    ("python", "forks"): (
        "import os, time\nfor _ in range(300):\n    if os.fork() == 0:\n        time.sleep(2); os._exit(0)\ntime.sleep(60)"
    ),
    ("python", "orphans that left the session"): (
        "import os, time, signal\nfor _ in range(300):\n    if os.fork() == 0:\n        os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "        if os.fork(): os._exit(0)\n        time.sleep(60); os._exit(0)\ntime.sleep(60)"
    ),
}


def is_named(error: ErrorInfo, limit: str) -> bool:
    return isinstance(error.hint, str) and f"`{limit}` of this context is {LIMITS[limit]}" in error.hint


def names(cases: dict[tuple[str, str], str]) -> list[object]:
    return [
        pytest.param(language, what.split()[0], code, id=f"{language}-{what}")
        for (language, what), code in cases.items()
    ]


async def check_the_rest(limited: Limited, language: str) -> None:
    """The next call works, and so does the neighbour's, which has kept its state."""
    assert await limited.text("1 + 1", language) == "2"
    neighbour = await limited.engine.execute("alive = globals().get('alive', 0) + 1; alive", context_id="neighbour")
    await neighbour.wait()
    assert (neighbour.status, neighbour.result().error) == ("ok", neighbour.error or neighbour.result().error)
    assert neighbour.context_state in ("created", "preserved")


@pytest.mark.parametrize(("language", "limit", "code"), names(REFUSED))
async def test_code_that_is_refused_something_gets_a_hint_and_keeps_its_state(
    limited: Limited, language: str, limit: str, code: str
) -> None:
    await limited.run("kept = 1" if language == "python" else "var kept = 1", language)
    refused = await limited.run(code, language)
    assert refused.status == "error"
    assert refused.error is not None
    assert is_named(refused.error, limit), refused.error
    assert await limited.text("kept", language) == "1"
    await check_the_rest(limited, language)


@pytest.mark.parametrize(("language", "limit", "code"), names(KILLED))
async def test_a_limit_that_ends_the_kernel_is_named_with_its_value_and_the_peak(
    limited: Limited, language: str, limit: str, code: str
) -> None:
    if "/dev/shm" in code or "memfd" in code:
        skip_unless_seen(limited)
    died = await limited.run(code, language)
    check_death(died, limit)
    if limit == "disk":
        tidy = "import os\nfor name in os.listdir('.'): os.unlink(name)"
        assert (await limited.run(tidy)).status == "ok"
    await check_the_rest(limited, language)


def skip_unless_seen(limited: Limited) -> None:
    if os.geteuid() != 0 and not limited.by_groups:
        pytest.skip("an ordinary user's watchdog does not see the open files of hidden processes")


def check_death(died: Execution, limit: str) -> None:
    assert (died.status, died.context_state) == ("died", "lost"), died.result().error
    assert died.error is not None
    assert died.error.name == "LimitExceeded"
    assert "at its limit of" in died.error.value
    assert "peak" in died.error.value
    assert is_named(died.error, limit), died.error


@pytest.mark.parametrize(("language", "limit", "code"), names(CROWDS))
async def test_crowds_end_at_the_limit_of_processes(limited: Limited, language: str, limit: str, code: str) -> None:
    ended = await limited.run(code, language)
    if ended.status == "died":
        check_death(ended, "processes")
        assert not limited.by_groups
    else:
        assert ended.error is not None
        assert is_named(ended.error, "processes"), ended.error
        assert (await limited.engine.contexts.get(limited.id)[0].restart()) is None
    await check_the_rest(limited, language)


async def test_a_whole_life_is_limited(limited: Limited) -> None:
    limits = {"wall_seconds": 2}
    ended = await limited.run("import time\ntime.sleep(60)", limits=limits)
    assert (ended.status, ended.context_state) == ("interrupted", "lost")
    assert ended.error is not None
    assert ended.error.name == "LimitExceeded"
    assert "limit of 2 s (wall_seconds)" in ended.error.value
    again = await limited.run("1 + 1")
    assert (again.status, again.context_state) == ("ok", "restarted")


async def test_code_sees_the_processors_that_it_has(limited: Limited) -> None:
    limits = {"cpus": 1}
    python = "import os, subprocess; (len(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS'], subprocess.getoutput('nproc'))"
    assert await limited.text(python, limits=limits) == "(1, '1', '1')"
    node = "[require('os').availableParallelism(), process.env.UV_THREADPOOL_SIZE].join()"
    assert await limited.text(node, "typescript", limits=limits) == "'1,1'"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor has nothing to spread")
async def test_contexts_are_spread_over_the_processors_and_their_libraries_obey(limited: Limited) -> None:
    code = """
import ctypes, numpy, os
path = next(line.split()[-1] for line in open('/proc/self/maps') if 'openblas' in line)
get = next(getattr(ctypes.CDLL(path), name) for name in ('scipy_openblas_get_num_threads64_', 'openblas_get_num_threads64_')
           if hasattr(ctypes.CDLL(path), name))
(get(), sorted(os.sched_getaffinity(0)))
"""
    other = f"{limited.id}-other"
    seen = {await limited.text(code, context_id=each, limits={"cpus": 1}) for each in (limited.id, other)}
    await limited.engine.delete_context(other)
    assert len(seen) == 2
    assert all(text.startswith("(1, [") for text in seen)


async def test_a_restart_a_branch_and_a_checkpoint_keep_the_limits(limited: Limited) -> None:
    await limited.run("held = None")
    checkpoint = await limited.engine.branching.keep(limited.id)
    fork = await limited.engine.branching.fork(limited.id, new_id=f"{limited.id}-fork")
    assert fork.limits == LIMITS
    died = await limited.run(KILLED["python", "memory by mmap"], context_id=f"{limited.id}-fork", limits=None)
    check_death(died, "memory")
    await limited.engine.delete_context(f"{limited.id}-fork")
    await limited.engine.branching.restore(limited.id, checkpoint.checkpoint)
    check_death(await limited.run(KILLED["python", "memory by mmap"], limits=None), "memory")
    await limited.engine.contexts.get(limited.id)[0].restart()
    refused = await limited.run(REFUSED["python", "open_files"], limits=None)
    assert refused.error is not None
    assert is_named(refused.error, "open_files")
