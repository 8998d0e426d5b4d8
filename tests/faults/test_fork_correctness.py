"""A thousand forks of one zygote: what must differ differs, what must not be shared is not, and nothing hangs."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from engine.kernels.kernel import Kernel
from tests.harness.waiting import until_elsewhere
from tests.real.kernels.forks import Forks, forks, run

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CONTEXTS = 200
BATCH = 20
_OPENER = "handle = open(__file__.replace('__init__.py', 'data.txt'))\nfirst = handle.read(1)\n"
_NUMBERS = """
import os, random, secrets, tempfile, uuid
import numpy as np
import opener
numbers = (
    random.random(), np.random.rand(), np.random.default_rng().random(), np.random.randint(2**62), str(uuid.uuid4()), str(uuid.uuid1()),
    secrets.token_hex(8), os.path.basename(tempfile.mktemp()), tempfile.NamedTemporaryFile(delete=False).name, os.urandom(8),
    random.SystemRandom().random(), os.getpid(), os.getcwd(), os.environ['POLYREPL_KERNEL'], os.environ['TMPDIR'],
)
print([numbers, opener.handle.read(5), [thread.name for thread in __import__('threading').enumerate()]])
"""
_WORK = (
    "import numpy as np\na = np.random.rand(300, 300); float(np.linalg.inv(a @ a + np.eye(300) * 300).sum() != 0)",
    "import pandas as pd\nint(pd.DataFrame({'k': list('abab'), 'v': range(4)}).groupby('k').v.sum().sum())",
    "from concurrent.futures import ThreadPoolExecutor\nsum(ThreadPoolExecutor(4).map(lambda n: n * n, range(10)))",
    "import multiprocessing\nwith multiprocessing.get_context('fork').Pool(2) as pool:\n    total = sum(pool.map(abs, range(-5, 5)))\ntotal",
    "import asyncio\nlen(await asyncio.gather(*(asyncio.to_thread(sum, [n]) for n in range(5))))",
    "import subprocess\nsubprocess.run('echo 1 | cat', shell=True, capture_output=True, text=True).stdout.strip()",
    "import sqlite3\nsqlite3.connect(':memory:').execute('select 6 * 7').fetchone()[0]",
    "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2]); plt.show(); 7",
    "import threading\ndone = threading.Event(); threading.Thread(target=done.set).start(); done.wait(10)",
    "import ssl, hashlib, logging\nlogging.getLogger('x').warning('text'); ssl.create_default_context() and hashlib.sha256(b'').hexdigest()[:4]",
)
_ANSWERS = ("1.0", "6", "285", "25", "5", "'1'", "42", "7", "True", "'e3b0'")


async def _use(made: Forks, number: int, numbers: list[tuple[object, ...]]) -> None:
    kernel: Kernel = await made.start()
    try:
        output = await run(kernel, _NUMBERS)
        assert output.error == ""
        found, read, threads = eval(output.text)
        numbers.append(found)
        assert read == "aaaaa"
        assert threads == ["MainThread"]
        workspace = Path(found[12])
        assert workspace.name == "work"
        assert found[14] == str(workspace.parent / "tmp")
        assert found[13] == kernel.name
        assert found[11] == kernel.pid
        again, work = divmod(number, len(_WORK))
        if again % 2:  # ten times each
            output = await run(kernel, _WORK[work])
            assert (output.value, output.error) == (_ANSWERS[work], "")
            assert work != 7 or "image/png" in output.mimes
    finally:
        await kernel.kill()


async def test_two_hundred_forked_contexts_differ_where_they_must_and_share_nothing(tmp_path: Path):
    package = tmp_path / "packages" / "opener"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(_OPENER)
    (package / "data.txt").write_text("-aaaaa" + "b" * 100_000)
    settings = {
        "preload": ["numpy", "pandas", "matplotlib", "opener"],
        "kernel_env": {"PYTHONPATH": str(package.parent)},
    }
    async with forks(tmp_path / "run", **settings) as made:
        zygote = await made.ready()
        assert zygote.greeting.failed == {}
        numbers: list[tuple[object, ...]] = []
        for start in range(0, CONTEXTS, BATCH):
            async with asyncio.TaskGroup() as group:
                for number in range(start, start + BATCH):
                    group.create_task(_use(made, number, numbers))
        assert len(numbers) == CONTEXTS
        for kind in zip(*numbers, strict=True):
            assert [value for value, count in Counter(kind).items() if count > 1] == []
        assert made.starts("zygote") == CONTEXTS
        assert await made.ready() is zygote
        await until_elsewhere(lambda: Path(f"/proc/{zygote.pid}/task/{zygote.pid}/children").read_text() == "")
