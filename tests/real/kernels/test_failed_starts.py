"""Starts that fail or are cancelled, at every step: no descriptor, process, thread or directory is left."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec

import engine.kernels.provisioners.fork
import tests.harness.scripted_zygote
from engine.errors import KernelStartFailed, StorageFull
from engine.kernels.channels import Receiver
from engine.kernels.channels.stream import StreamChannels, stream_pair
from engine.kernels.kernel import Kernel
from engine.kernels.kernelspecs import KernelSpecs
from engine.kernels.local import Local
from engine.kernels.provisioners.confinement import UNCONFINED
from engine.kernels.provisioners.fork import ForkProvisioner
from engine.kernels.provisioners.spawn import SpawnProvisioner
from engine.kernels.provisioners.zygote import ForkRequest, Zygote, ZygoteFailed
from engine.languages import Languages
from engine.metrics import Metrics
from engine.settings import Settings
from engine.workspaces.run_directory import RunDir
from tests.harness.removal import Removal
from tests.harness.waiting import until_elsewhere
from tests.real.kernels.forks import is_there, open_fds

pytestmark = pytest.mark.anyio

SCRIPTED = Path(tests.harness.scripted_zygote.__file__).parent / "scripted_kernel.py"
SPEC = KernelSpec(display_name="Scripted", metadata={"polyrepl": {"stream": True}})
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def connect(info: Any, receiver: Receiver, /, *, kernel_waits: bool) -> StreamChannels:
    return StreamChannels(info["socket"], receiver)


def children() -> set[int]:
    """Processes that this one has started and not collected."""
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in path.read_text().split()}
    return found


@pytest.fixture
async def nothing_left(tmp_path: Path) -> AsyncIterator[Path]:
    """Gives a directory; at the end of the test everything is as it was."""
    (tmp_path / "kernels").mkdir()
    await asyncio.to_thread(int)  # the executor has its thread
    before = open_fds(), children()
    yield tmp_path / "kernels"
    await until_elsewhere(lambda: not list((tmp_path / "kernels").iterdir()))
    await until_elsewhere(lambda: (open_fds(), children()) == before)


class Start:
    """One start of a real process."""

    def __init__(self, kernels: Path) -> None:
        self.directory = kernels / "k1"
        self.directory.mkdir()
        provisioner = SpawnProvisioner(kernel_spec=SPEC)
        self.kernel = Kernel(SPEC, provisioner, self.directory, remover=Removal(), metrics=Metrics())

    async def run(self) -> None:
        await self.kernel.start(
            [sys.executable, str(SCRIPTED), "{connection_file}"],
            channels=connect,
            cwd=self.directory.parent.parent,
            env=dict(os.environ),
            timeout=60,
        )


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("engine.kernels.process", "stream_pair"),
        ("engine.kernels.process", "write_connection_file"),
        ("engine.kernels.provisioners.spawn.subprocess", "Popen"),
        ("engine.kernels.provisioners.confinement.Confinement", "apply"),
        ("engine.kernels.provisioners.spawn.os", "dup"),
        ("engine.kernels.provisioners.process.os", "set_blocking"),
        ("engine.kernels.channels.stream.StreamChannels", "__init__"),
    ],
    ids=lambda value: value.rpartition(".")[2],
)
async def test_what_the_system_refuses_is_a_failed_start_that_leaves_nothing(
    nothing_left: Path, target: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Start(nothing_left)
    monkeypatch.setattr(f"{target}.{name}", _refuse)
    with pytest.raises(StorageFull, match="No space left"):
        await start.run()
    monkeypatch.undo()
    assert not start.kernel.is_alive


def _refuse(*args: Any, **options: Any) -> Any:
    raise FULL


async def test_a_kernel_that_ends_before_it_is_looked_at_says_how(
    nothing_left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, launch = Start(nothing_left), SpawnProvisioner.launch_kernel

    async def launch_and_wait(self: SpawnProvisioner, _: list[str], **options: Any) -> Any:
        info = await launch(self, [sys.executable, "-c", "raise SystemExit(3)"], **options)
        await self.wait()
        return info

    monkeypatch.setattr(SpawnProvisioner, "launch_kernel", launch_and_wait)
    with pytest.raises(KernelStartFailed, match="exited with code 3"):
        await start.run()


@pytest.mark.parametrize("steps", [*range(12), 20, 40])
async def test_a_start_that_is_cancelled_at_any_step_leaves_nothing(nothing_left: Path, steps: int) -> None:
    start = Start(nothing_left)
    task = asyncio.create_task(start.run())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=30)
    assert task.cancelled()
    if steps == 0:  # it never began, so the directory is still the caller's
        start.directory.rmdir()


async def test_a_start_that_is_cancelled_twice_leaves_nothing(nothing_left: Path) -> None:
    start = Start(nothing_left)
    task = asyncio.create_task(start.run())
    while start.kernel.pid is None:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=30)
    assert task.cancelled()


@pytest.fixture(params=["Linux", "Python"])
def no_pidfds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either the system has none, or this Python was built on one that has none."""

    def refuse(pid: int, flags: int = 0) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    if request.param == "Linux":
        monkeypatch.setattr(os, "pidfd_open", refuse)
    else:
        monkeypatch.delattr(os, "pidfd_open")
        monkeypatch.delattr(signal, "pidfd_send_signal")


@pytest.mark.usefixtures("no_pidfds")
async def test_without_pidfds_no_zygote_starts_and_none_is_left(nothing_left: Path) -> None:
    zygote = Zygote(1)
    with pytest.raises(ZygoteFailed, match=r"not implemented|knows no pidfds"):
        await zygote.start([sys.executable, "-c", "input()"], preload=[], env=dict(os.environ), timeout=30)


@pytest.mark.usefixtures("no_pidfds")
async def test_a_branch_that_cannot_be_watched_says_why(nothing_left: Path) -> None:
    provisioner = ForkProvisioner(None, metrics=Metrics(), mark="k1", kernel_spec=SPEC)
    with pytest.raises(OSError, match=r"not implemented|knows no pidfds"):
        await provisioner.adopt(os.getpid())


@pytest.mark.usefixtures("no_pidfds")
async def test_kernels_without_pidfds_leave_the_executor_to_files_and_copies(nothing_left: Path) -> None:
    running = []
    for _ in range(2 * (os.cpu_count() or 1) + 10):  # more than the default executor has threads
        process = SpawnProvisioner(kernel_spec=SPEC)
        await process.launch_kernel(["sleep", "1000"], cwd=nothing_left, env=dict(os.environ), connection_info={})
        running.append(process)
    async with asyncio.timeout(60):
        assert await asyncio.to_thread(os.listdir, nothing_left) == []
    for process in running:
        await process.kill()
    async with asyncio.timeout(30):
        assert [await process.wait() for process in running] == [-signal.SIGKILL] * len(running)
    for process in running:
        await process.cleanup()
    waiting = [thread for thread in threading.enumerate() if thread.name.startswith("polyrepl-wait")]
    await until_elsewhere(lambda: not any(thread.is_alive() for thread in waiting))


class Hanging:
    """A zygote that never answers."""

    is_alive = True

    async def adopt(self, pid: int, watcher: Any) -> None:
        await asyncio.Event().wait()


async def test_an_adoption_that_is_cancelled_ends_the_process_and_leaves_no_pidfd(
    nothing_left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.kernels.provisioners.fork, "name_of", lambda pid: "pr-k1")
    with subprocess.Popen(["sleep", "1000"]) as process:
        provisioner = ForkProvisioner(Hanging(), metrics=Metrics(), mark="k1", kernel_spec=SPEC)  # type: ignore[arg-type]
        task = asyncio.create_task(provisioner.adopt(process.pid))
        await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        await asyncio.wait({task}, timeout=60)
        assert task.cancelled()
        assert process.wait(timeout=60) == -signal.SIGKILL


@pytest.mark.parametrize("steps", range(6))
async def test_an_adopted_kernel_whose_start_is_cancelled_leaves_nothing(nothing_left: Path, steps: int) -> None:
    """The stream, the pipes and the directory are the kernel's, also if it never was one."""
    directory = nothing_left / "k1"
    directory.mkdir()
    ours, theirs = stream_pair(learn_pid=True)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    provisioner = ForkProvisioner(None, metrics=Metrics(), mark="k1", pipes={"stdout": reader}, kernel_spec=SPEC)
    kernel = Kernel(SPEC, provisioner, directory, remover=Removal(), metrics=Metrics())
    task = asyncio.create_task(kernel.adopt(ours, channels=connect, timeout=60))
    for _ in range(steps + 1):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=60)
    assert task.cancelled()
    theirs.close()
    os.close(writer)


async def test_a_fork_whose_caller_is_cancelled_as_the_answer_comes_is_ended(nothing_left: Path) -> None:
    """The answer and the cancellation come in one turn of the loop: nobody else would ever know of the process."""
    script = [
        tests.harness.scripted_zygote.HELLO,
        {"after": "spawn"},
        {"child": True},
        {"op": "spawned", "id": "ID", "pid": "PID", "fds": 1},
        {"after": "never"},
    ]
    zygote = Zygote(1)
    await zygote.start(tests.harness.scripted_zygote.command(script), preload=[], env=dict(os.environ), timeout=30)
    provisioner = ForkProvisioner(zygote, metrics=Metrics(), mark="k1", kernel_spec=SPEC)
    request = ForkRequest(Path("/"), {}, "k1", UNCONFINED, ())
    forking = asyncio.create_task(zygote.fork(request, provisioner))
    forked: list[int] = []
    real = zygote._note_forked

    def note_forked(number: int, pid: int, fds: list[int]) -> None:
        real(number, pid, fds)
        forked.append(pid)
        forking.cancel()

    zygote._note_forked = note_forked  # type: ignore[method-assign]
    await asyncio.wait({forking}, timeout=30)
    assert forking.cancelled()
    await until_elsewhere(lambda: not is_there(forked[0]))
    await zygote.aclose()


@pytest.mark.parametrize(
    "refused",
    [
        "engine.workspaces.run_directory.RunDir.new_kernel_dir",
        "engine.workspaces.workspace.Workspace.prepare",
        "engine.kernels.local._environment",
    ],
)
async def test_a_disk_without_room_for_a_kernels_directories_is_said_so(
    tmp_path: Path, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(run_dir=tmp_path / "run", zygote=False)
    run_dir = RunDir(settings.run_dir)
    local = Local(settings, kernelspecs=KernelSpecs(settings), metrics=Metrics())
    local.open(run_dir, None)  # type: ignore[arg-type]
    python = Languages(local=local).find("python")
    assert python is not None
    workspace = run_dir.new_workspace("c")
    monkeypatch.setattr(refused, _refuse)
    with pytest.raises(StorageFull, match="No space left"):
        await local.start(python, workspace)
    assert list(run_dir.kernels.iterdir()) == []
    await local.aclose()
    run_dir.close()
