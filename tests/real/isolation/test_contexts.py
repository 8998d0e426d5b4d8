"""Contexts of an engine in boxes: what code sees, what a branch has, and what ends with what."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from engine import Engine, Settings
from engine.errors import InvalidRequest
from engine.kernels import KernelSpecs
from engine.models import Result
from engine.settings import Tier
from tests.harness.waiting import until

pytestmark = pytest.mark.anyio
Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="boxed-") as path:
        yield Path(path)


@pytest.fixture
async def engine(place: Path) -> AsyncIterator[Engine]:
    settings = Settings(run_dir=place / "run", pool_max=0, networks_allowed=["open"], preload=[])
    async with Engine(settings) as made:
        isolator = made.backends[0].isolator
        assert isolator is not None
        if isolator.default.tier is not Tier.NAMESPACES:
            pytest.skip(f"this machine has no boxes: {isolator.describe()}")
        yield made


@pytest.fixture
def run(engine: Engine) -> Run:
    async def execute(code: str, **options: object) -> Result:
        execution = await engine.execute(code, timeout=60.0, **options)
        await execution.wait()
        return execution.result()

    return execute


async def test_code_sees_its_own_files_and_processes_and_nothing_of_the_server(engine: Engine, run: Run) -> None:
    other = await engine.create_context(context_id="other")
    code = f"""
import os
print(sorted(int(each) for each in os.listdir('/proc') if each.isdigit())[0], os.getpid() < 100)
print(os.path.exists({str(other.workspace.root)!r}), os.path.exists({str(Path.cwd())!r} + '/engine'))
print(os.listdir({str(engine.run_dir.path if engine.run_dir else "")!r} + '/contexts') == [os.getcwd().split('/')[-3]])
open('mine', 'w').write('x'); print(os.environ['HOME'].startswith(os.path.dirname(os.getcwd())))
"""
    result = await run(code, context_id="c")
    assert result.logs.stdout == ["1 True", "False False", "True", "True"], result.logs.stderr
    info = engine.contexts.get("c")[0].info()
    assert (info.isolation, info.network) == ("namespaces", "none")
    (listed,) = (await engine.files("c").list()).items
    assert listed.path == "mine"


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "import socket; socket.create_connection(('192.0.2.1', 80), 5)"),
        ("python", "import socket; socket.getaddrinfo('example.com', 80)"),
        ("typescript", "await fetch('http://example.com')"),
    ],
)
async def test_the_network_is_refused_with_a_hint(run: Run, language: str, code: str) -> None:
    result = await run(code, language=language)
    assert result.status == "error"
    assert '"network": "open"' in str(result.error.hint)


async def test_a_network_is_open_where_it_is_asked_for(run: Run) -> None:
    with tempfile.TemporaryDirectory() as directory:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port})).close(); 'reached'"
        assert (await run(code, network="open")).status == "ok"
        assert (await run(code)).error.name == "ConnectionRefusedError"
        server.close()
        assert os.path.isdir(directory)


async def test_a_branch_lives_in_the_box_of_its_source_and_longer(engine: Engine, run: Run) -> None:
    await run("x = 1; open('file', 'w').write('first')", context_id="source")
    await engine.branching.fork("source", new_id="branch")
    await run("x = 2; open('file', 'w').write('second')", context_id="source")
    assert (await run("print(x, open('file').read())", context_id="branch")).logs.stdout == ["1 first"]
    assert await engine.delete_context("source")
    assert (await run("print(x, open('file').read())", context_id="branch")).logs.stdout == ["1 first"]
    ended = await run("import os; os._exit(7)", context_id="branch")
    assert "exited with code 7" in ended.error.value
    assert (await run("'again'", context_id="branch")).context_state == "restarted"


async def test_a_checkpoint_is_returned_to(engine: Engine, run: Run) -> None:
    await run("x = 1; open('file', 'w').write('kept')", context_id="c")
    kept = await engine.branching.keep("c")
    await run("x = 2; open('file', 'w').write('lost')", context_id="c")
    await engine.branching.restore("c", kept.checkpoint)
    assert (await run("print(x, open('file').read())", context_id="c")).logs.stdout == ["1 kept"]


async def test_what_code_leaves_behind_ends_with_its_box(engine: Engine, run: Run, place: Path) -> None:
    mark = f"left-{os.path.basename(place)}"
    code = f"""
import os, signal, time
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.execvp('sh', ['sh', '-c', 'trap "" TERM; sleep 1000; : {mark}'])
    os._exit(0)
"""
    await run(code, context_id="c")

    def left() -> list[str]:
        found = []
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found += [str(each)] if mark.encode() in each.read_bytes() else []
            except OSError:  # gone
                continue
        return found

    async with asyncio.timeout(30):
        while not left():
            await asyncio.sleep(0.02)
    assert await engine.delete_context("c")
    async with asyncio.timeout(30):
        while left():
            await asyncio.sleep(0.02)


async def test_files_that_are_sent_belong_to_the_code(engine: Engine, run: Run) -> None:
    await engine.create_context(context_id="c")

    async def content() -> AsyncIterator[bytes]:
        yield b"sent"

    await engine.files("c").write("a/b.txt", content())
    result = await run("open('a/b.txt', 'a').write(' and changed'); print(open('a/b.txt').read())", context_id="c")
    assert result.logs.stdout == ["sent and changed"], result.error


@pytest.mark.parametrize("cwd", ["/etc", "/usr/local", "/"])
async def test_a_directory_of_the_system_is_no_working_directory(engine: Engine, cwd: str) -> None:
    with pytest.raises(InvalidRequest, match="cwd"):
        await engine.create_context(cwd=cwd)
    assert engine.run_dir is not None
    with pytest.raises(InvalidRequest, match="cwd"):
        await engine.create_context(cwd=str(engine.run_dir.contexts))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's contexts have users of their own")
async def test_a_directory_that_its_user_may_not_enter_is_a_clear_refusal(engine: Engine, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(InvalidRequest) as refused:
        await engine.create_context(cwd=str(tmp_path), context_id="refused")
    assert re.fullmatch(r"cwd: the user \d+, as whom the context runs, may not enter it", refused.value.explanation)
    assert "refused" not in {context.id for context in engine.contexts}


async def test_less_than_what_is_required_refuses_the_start_by_name(place: Path) -> None:
    settings = Settings(run_dir=place / "run", isolation="none", isolation_required="process")
    with pytest.raises(InvalidRequest) as refused:
        async with Engine(settings):
            pass
    assert refused.value.explanation.startswith("isolation_required: 'process' does not hold")


@pytest.mark.parametrize("kernel", ["xpython", "ir"])
async def test_a_foreign_kernel_runs_in_a_box(place: Path, kernel: str) -> None:
    """xpython can only listen on ports: a relay in its box has sockets for the server."""
    settings = Settings(run_dir=place / "run", pool_max=0, kernelspecs=[])
    if kernel not in KernelSpecs(settings).installed():
        pytest.skip(f"{kernel} is not installed")
    async with Engine(settings.model_copy(update={"kernelspecs": [kernel]})) as engine:
        context = await engine.create_context(language=kernel)
        assert (context.info().isolation, context.info().network) == ("namespaces", "none")
        execution = await engine.execute("1 + 1", language=kernel, context_id=context.id)
        await execution.wait()
        (item,) = execution.result().items
        assert str(item.text).endswith("2")


async def test_landlock_holds_in_a_box_too(engine: Engine, run: Run) -> None:
    """Linux lets a process put 16 sets of rules on itself."""
    isolator = engine.backends[0].isolator
    assert isolator is not None
    if "without Landlock" in isolator.describe():
        pytest.skip(isolator.describe())
    code = """
import subprocess, sys
program = '''
import ctypes, os, struct
libc = ctypes.CDLL(None)
layers = 0
while True:
    rules = libc.syscall(444, struct.pack('Q', 1), 8, 0)
    if libc.syscall(446, rules, 0): break
    layers += 1
print(layers)
'''
print(subprocess.run([sys.executable, '-I', '-S', '-c', program], capture_output=True, text=True).stdout.strip())
"""
    result = await run(code, context_id="c")
    assert result.logs.stdout == ["15"], result


async def test_boxes_are_made_again_after_their_maker_has_ended(engine: Engine, run: Run) -> None:
    """Its boxes end with it: the spawner ends what becomes an orphan."""
    await run("1", context_id="before")
    context = engine.contexts.get("before")[0]
    makers = [pid for pid in _processes() if _name_of(pid) == "pr-boxes" and _is_ours(pid)]
    assert makers
    inits = [int(each) for pid in makers for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    isolator = engine.backends[0].isolator
    assert isolator is not None
    assert isolator._boxes is not None
    spares = list(isolator._boxes._spares)
    for pid in makers:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: context.kernel is None or not context.kernel.is_alive)
    await until(lambda: not any(_name_of(pid) for pid in inits) and not any(spare.is_ready for spare in spares))
    for number in range(8):  # more than there are spares
        assert (await run("print(6 * 7)", context_id=f"after-{number}")).logs.stdout == ["42"]


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _is_ours(pid: int) -> bool:
    """Whether a process descends from this one."""
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
        if pid == os.getpid():
            return True
    return False
