"""Kernels that are forked from a zygote are like kernels that were started on their own, and end as reliably."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.errors import KernelStartFailed
from engine.kernels.context_packages import package_programs
from engine.kernels.environment import kernel_env
from engine.kernels.kernel import Kernel
from engine.kernels.provisioners.zygote import ZygoteState
from engine.validation import KERNEL_VARIABLE
from engine.workspaces.workspace import Workspace
from tests.harness.waiting import until_elsewhere
from tests.real.kernels.forks import Forks, forks, is_there, open_fds, run

pytestmark = pytest.mark.anyio

_GRANDCHILD = """
import os, subprocess, sys
{start}
print(pid)
"""
_EXECUTED = "pid = subprocess.Popen(['sleep', '1000'], start_new_session=True).pid"
# From Python 3.12 on a fork beside another thread, as the kernel's helper is, warns.
_FORKED_TWICE = """
import warnings
warnings.simplefilter('ignore', DeprecationWarning)
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(writer, str(os.getpid()).encode())
        os.close(1), os.close(2), os.close(writer)
        import time
        time.sleep(1000)
    os._exit(0)
os.wait()
pid = int(os.read(reader, 100))
"""

_PROBE = """
import builtins, decimal, gc, linecache, locale, logging, os, random, sys, threading, time, warnings
import numpy, pandas, matplotlib, matplotlib.pyplot
matplotlib.pyplot.figure(), matplotlib.pyplot.close('all')
print(get_ipython().execution_count, In[:-1], Out, repr(_), repr(__), repr(___), [str(each) for each in _dh] == [os.getcwd()], _ih is In, _oh is Out)
print(sorted(name for name in globals() if not name.startswith('_')))
print(sorted(name for name in globals() if name.startswith('_')))
print([name for name in linecache.cache if name.startswith('<ipython-input-')][1:])
print([name for name in ('last_type', 'last_value', 'last_traceback', 'last_exc') if hasattr(sys, name)])
print(__name__, sys.modules['__main__'].__dict__ is globals(), sys.argv, sys.path, sys.flags)
print(sorted(name for name in os.environ if name not in ('JPY_PARENT_PID',)), os.environ['TERM'], os.environ['MPLBACKEND'])
print(sorted(vars(builtins)), input.__qualname__, type(sys.stdout), type(sys.stderr), sys.stdin.name)
print(warnings.filters == [], len(warnings.filters), warnings.showwarning.__qualname__)
print([name for name, module in sys.modules.items() if '__warningregistry__' in getattr(module, '__dict__', ())])
print(gc.isenabled(), gc.get_threshold(), sys.getrecursionlimit(), sys.getswitchinterval())
print([thread.name for thread in threading.enumerate()], threading.current_thread() is threading.main_thread())
print(threading.main_thread().native_id == os.getpid())
print(locale.setlocale(locale.LC_ALL), time.tzname, decimal.getcontext(), len(logging.root.handlers), logging.root.level)
print(os.umask(0o022), os.nice(0), os.sched_getaffinity(0), [type(each).__name__ for each in sys.meta_path])
print(matplotlib.pyplot.get_fignums(), matplotlib.get_backend(), sorted(matplotlib.rcParams.items(), key=repr))
print(numpy.get_printoptions(), numpy.geterr())
print(pandas.get_option('display.max_rows'), pandas.get_option('plotting.backend'))
print(sorted(get_ipython().magics_manager.magics['line']), sorted(get_ipython().magics_manager.magics['cell']))
print(sorted(each.__qualname__ for each in get_ipython().events.callbacks['post_execute']), get_ipython().colors)
print(get_ipython().ast_transformers, get_ipython().last_execution_succeeded, get_ipython().history_manager.session_number)
print(get_ipython().display_formatter.active_types, sorted(get_ipython().display_formatter.formatters['image/png'].deferred_printers))
print(sys.displayhook.__class__, sys.excepthook is sys.__excepthook__, sys.unraisablehook.__qualname__, sys.exc_info())
"""


@pytest.fixture(scope="module")
async def bare(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Forks]:
    """Nothing preloaded, so that the zygote is there at once."""
    async with forks(tmp_path_factory.mktemp("run"), preload=[]) as made:
        await made.ready()
        yield made


@pytest.fixture
async def kernel(bare: Forks) -> AsyncIterator[Kernel]:
    await bare.ready()
    kernel = await bare.start()
    assert bare.of(kernel).zygote is not None
    yield kernel
    await kernel.kill()


async def test_a_kernel_is_forked_once_the_zygote_is_ready_and_spawned_before(tmp_path: Path):
    async with forks(tmp_path / "run", preload=[]) as made:
        first = await made.start()
        assert (made.starts("spawn"), made.starts("zygote")) == (1, 0)
        assert made.local.is_current(first) is not made.zygotes.is_ready
        zygote = await made.ready()
        second = await made.start()
        assert (made.starts("spawn"), made.starts("zygote")) == (1, 1)
        assert made.zygotes.describe() == "ready"
        assert repr(zygote) == "<Zygote 1 READY, 1 kernels>"
        assert not made.local.is_current(first)
        assert made.local.is_current(second)
        for kernel in (first, second):
            assert (await run(kernel, "6 * 7")).value == "42"
            await kernel.kill()
        assert repr(zygote) == "<Zygote 1 READY, 0 kernels>"


async def test_a_kernel_leaves_no_descriptor_in_the_server(bare: Forks):
    await (await bare.start()).kill()
    before = open_fds()
    for _ in range(3):
        workspace = bare.run_dir.new_workspace("test")
        kernel = await bare.start(workspace)
        kinds = Counter(place.partition(":[")[0] for fd, place in open_fds().items() if fd not in before)
        directories = [str(workspace.slot.path), str(workspace.root), str(workspace.cwd)]
        assert kinds == {"socket": 1, "pipe": 2, "anon_inode": 1, **dict.fromkeys(directories, 1)}
        await run(kernel, "import os; os.write(2, b'x')")
        await kernel.kill()
        workspace.close()
        assert await bare.run_dir.remove(workspace.root)
    assert set(open_fds()) == set(before)


async def test_a_kernel_has_only_its_own_descriptors(kernel: Kernel):
    code = "import os; print({int(fd): os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')[:-1]})"
    fds = eval((await run(kernel, code)).text)
    kinds = {fd: place.partition(":[")[0] for fd, place in fds.items()}
    assert kinds.pop(0) == "/dev/null"
    assert fds[1] == fds[4]
    assert fds[2] == fds[5]
    assert [kinds.pop(fd) for fd in (1, 2, 3, 4, 5)] == ["pipe", "pipe", "socket", "pipe", "pipe"]
    # The loop's poll, its two wakers, and the helper's.
    assert Counter(kinds.values()) == {"anon_inode": 2, "socket": 4}
    inherited = (
        "import subprocess; print(subprocess.check_output('ls /proc/self/fd', shell=True, close_fds=False).split())"
    )
    assert (await run(kernel, inherited)).text == "[b'0', b'1', b'2', b'3']\n"  # 3 is the directory that ls reads


async def test_a_kernel_has_the_signals_of_a_fresh_python(kernel: Kernel):
    code = """
import signal
names = {number.name: signal.getsignal(number) for number in signal.Signals}
print([name for name, action in names.items() if action == signal.SIG_IGN], signal.pthread_sigmask(0, []))
print([name for name, action in names.items() if callable(action) and not isinstance(action, signal.Handlers)])
"""
    assert (await run(kernel, code)).text == "['SIGPIPE', 'SIGXFSZ'] set()\n['SIGINT']\n"


async def test_a_kernel_is_the_leader_of_a_session_of_its_own(kernel: Kernel):
    text = (await run(kernel, "import os; print(os.getpid() == os.getsid(0) == os.getpgid(0), os.getpid())")).text
    assert text == f"True {kernel.pid}\n"
    assert Path(f"/proc/{kernel.pid}/comm").read_text() == f"pr-{kernel.name}\n"


async def test_a_kernel_has_the_environment_and_the_directory_that_it_is_given(bare: Forks):
    workspace = bare.run_dir.new_workspace("test")
    kernel = await bare.start(workspace)
    text = (await run(kernel, "import os, sys, tempfile; print([dict(os.environ), os.getcwd(), sys.argv])")).text
    env, cwd, argv = eval(text)
    expected = kernel_env(
        bare.settings,
        spec_env={},
        tmp_dir=workspace.tmp,
        state_dir=workspace.state,
        server_env=os.environ,
        own={KERNEL_VARIABLE: kernel.name},
        programs=package_programs(workspace),
    )
    assert {name: env.get(name) for name in expected if name != "TERM"} == {
        name: value for name, value in expected.items() if name != "TERM"
    }
    assert cwd == str(workspace.cwd)
    assert argv == [""]
    assert (await run(kernel, "print(tempfile.gettempdir())")).text == f"{workspace.tmp}\n"
    child = await run(
        kernel, "import subprocess; print(subprocess.run(['env'], capture_output=True, text=True).stdout)"
    )
    assert f"{KERNEL_VARIABLE}={kernel.name}\n" in child.text
    assert "PRETEND_SECRET" not in child.text
    await kernel.kill()


async def test_a_zygote_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRETEND_SECRET", "sesame")
    async with forks(tmp_path / "run", preload=[], kernel_env={"API_KEY": "sesame", "PYTHONPATH": "/nowhere"}) as made:
        zygote = await made.ready()
        environment = Path(f"/proc/{zygote.pid}/environ").read_bytes()
        assert b"sesame" not in environment
        assert b"PYTHONPATH=/nowhere" in environment
        kernel = await made.start()
        assert (await run(kernel, "import os; print(os.environ['API_KEY'])")).text == "sesame\n"
        assert (await run(kernel, "print(os.environ.get('PRETEND_SECRET'))")).text == "None\n"
        await kernel.kill()


async def test_a_forked_kernel_cannot_be_told_from_one_that_was_started_afresh(tmp_path: Path):
    async with forks(tmp_path / "run") as made:
        spawned = await made.start()
        await made.ready()
        forked = await made.start()
        assert made.starts("zygote") == made.starts("spawn") == 1
        seen = [(await run(kernel, _PROBE)).text.splitlines() for kernel in (spawned, forked)]
        assert len(seen[0]) == len(seen[1]) > 20
        assert [pair for pair in zip(*seen, strict=True) if pair[0] != pair[1]] == []


async def test_how_a_kernel_ended_is_told_as_of_any_other(bare: Forks):
    for end, told in (("os._exit(7)", "exited with code 7"), ("os.kill(os.getpid(), 9)", "killed by SIGKILL")):
        kernel = await bare.start()
        await run(kernel, f"import os; {end}")
        ended = await asyncio.wait_for(kernel.exited, 60)
        assert ended.describe().startswith(f"{told} (peak memory ")
        assert not is_there(kernel.pid or 0)
        await kernel.kill()


async def test_the_report_of_a_crash_belongs_to_its_cell(kernel: Kernel):
    output = await run(kernel, "import os; os.abort()")
    await asyncio.wait_for(kernel.exited, 60)
    assert "Fatal Python error: Aborted" in output.text


async def test_an_interrupt_stops_the_cell_and_the_programs_it_started(kernel: Kernel):
    await run(kernel, "import subprocess, time; child = subprocess.Popen(['sleep', '1000'])")
    waiting = asyncio.create_task(run(kernel, "child.wait(); time.sleep(1000)"))
    await asyncio.sleep(0)
    while not waiting.done():
        await kernel.interrupt()
        await asyncio.wait({waiting}, timeout=0.2)
    assert waiting.result().error.startswith("KeyboardInterrupt")
    # Python does not know how it ended where the interrupt came right after it had asked Linux.
    assert (await run(kernel, "child.returncode or child.wait(10)")).value in ("-2", "0")


@pytest.mark.parametrize("start", [_EXECUTED, _FORKED_TWICE], ids=["executed", "forked twice"])
async def test_what_left_the_group_of_its_kernel_ends_with_it(bare: Forks, start: str):
    await bare.ready()
    other, kernel = await bare.start(), await bare.start()
    kept = int((await run(other, _GRANDCHILD.format(start=start))).text)
    pid = int((await run(kernel, _GRANDCHILD.format(start=start))).text)
    assert is_there(pid)
    await kernel.kill()
    await until_elsewhere(lambda: not is_there(pid))
    assert is_there(kept)
    await other.kill()
    await until_elsewhere(lambda: not is_there(kept))


async def test_a_working_directory_that_is_gone_is_a_failed_start(bare: Forks, tmp_path: Path):
    workspace = bare.run_dir.new_workspace("test")
    with pytest.raises(KernelStartFailed, match="working directory cannot be used: No such file"):
        await bare.start(Workspace(workspace.root, tmp_path / "nowhere", workspace.tmp))


async def test_a_kernel_that_fails_before_it_serves_says_why(
    bare: Forks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    workspace = bare.run_dir.new_workspace("test")
    workspace.prepare()

    async def overlooked(_: Workspace) -> None:
        """It goes after the look at it."""

    monkeypatch.setattr(Workspace, "ready", overlooked)
    with pytest.raises(KernelStartFailed, match="exited with code 1") as caught:
        await bare.start(Workspace(workspace.root, tmp_path / "nowhere", workspace.tmp))
    assert "FileNotFoundError" in caught.value.detail
    assert "nowhere" in caught.value.detail


async def test_limits_are_those_of_the_setting_however_the_kernel_is_started(tmp_path: Path):
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_NPROC), resource.getrlimit(resource.RLIMIT_CORE))"
    for zygote in (True, False):
        limits = {"NPROC": 3000, "CORE": 0}
        async with forks(tmp_path / f"{zygote}", preload=[], zygote=zygote, kernel_rlimits=limits) as made:
            if zygote:
                await made.ready()
            kernel = await made.start()
            assert made.starts("zygote" if zygote else "spawn") == 1
            assert (await run(kernel, code)).text == "(3000, 3000) (0, 0)\n"
            await kernel.kill()


async def test_an_environment_that_is_too_large_for_a_message_makes_a_spawned_kernel(tmp_path: Path):
    large = {f"LARGE_{number}": "x" * 100_000 for number in range(5)}
    async with forks(tmp_path / "run", preload=[], kernel_env=large) as made:
        await made.ready()
        kernel = await made.start()
        assert made.starts("spawn") == 1
        assert (await run(kernel, "import os; len(os.environ['LARGE_4'])")).value == "100000"
        await kernel.kill()
        assert (await made.ready()).state is ZygoteState.READY


async def test_kernels_outlive_their_zygote_and_another_one_takes_its_place(tmp_path: Path):
    async with forks(tmp_path / "run", preload=[]) as made:
        first = await made.ready()
        kernel, dying = await made.start(), await made.start()
        await run(kernel, "x = 41")
        os.kill(first.pid or 0, signal.SIGKILL)
        await until_elsewhere(lambda: not first.is_alive)
        assert first.reason == "killed by SIGKILL"
        assert made.zygotes.describe() == "fallback: killed by SIGKILL"
        assert (await run(kernel, "x + 1")).value == "42"
        pid = int((await run(dying, _GRANDCHILD.format(start=_EXECUTED))).text)
        await run(dying, "import os; os._exit(3)")
        ended = await asyncio.wait_for(dying.exited, 60)
        assert ended.describe() == "ended"
        await until_elsewhere(lambda: not is_there(pid))
        assert not made.local.is_current(kernel)
        second = await made.ready()
        assert second.generation == 2
        assert made.zygotes.describe() == "ready"
        new = await made.start()
        assert (await run(new, "6 * 7")).value == "42"
        await kernel.kill()
        assert not is_there(kernel.pid or 0)


async def test_a_package_that_is_upgraded_is_what_new_kernels_have(tmp_path: Path):
    package = tmp_path / "packages" / "upgradable"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("version = 1\n")
    env = {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    code = "import sys; print('upgradable' in sys.modules, __import__('upgradable').version)"
    async with forks(tmp_path / "run", preload=["upgradable"], kernel_env=env) as made:
        old = await made.ready()
        assert old.greeting.preloaded == ["upgradable"]
        kernel = await made.start()
        assert (await run(kernel, code)).text == "True 1\n"
        (package / "new.py").write_text("version = 22\n")
        (package / "new.py").rename(package / "__init__.py")
        await until_elsewhere(lambda: made.zygotes.current() is not old)
        assert old.state is ZygoteState.STALE
        assert not made.local.is_current(kernel)
        meanwhile = await made.start()
        assert (await run(meanwhile, code)).text.endswith("22\n")
        new = await made.ready()
        assert new.generation == 2
        fresh = await made.start()
        assert (await run(fresh, code)).text == "True 22\n"
        assert is_there(old.pid or 0)
        assert (await run(kernel, code)).text == "True 1\n"
        await kernel.kill()
        await until_elsewhere(lambda: not old.is_alive)
        assert not is_there(old.pid or 0)


_SERVER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.harness.waiting import until_elsewhere
from tests.real.kernels.forks import forks, run

async def main():
    async with forks(Path({run_dir!r}), preload=[]) as made:
        zygote = await made.ready()
        kernel, busy = await made.start(), await made.start()
        child = (await run(kernel, {grandchild!r})).text.strip()
        asyncio.create_task(run(busy, "while True: pass"))
        print(zygote.pid, kernel.pid, busy.pid, child, flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


async def test_nothing_is_left_when_the_server_is_killed(tmp_path: Path):
    root = str(Path(__file__).resolve().parents[3])
    program = _SERVER.format(root=root, run_dir=str(tmp_path / "run"), grandchild=_GRANDCHILD.format(start=_EXECUTED))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        pids = [int(pid) for pid in server.stdout.readline().split()]
        assert len(pids) == 4
        assert all(map(is_there, pids))
        server.kill()
    await until_elsewhere(lambda: not any(map(is_there, pids)))
