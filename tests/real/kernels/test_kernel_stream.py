"""A kernel on a stream: its own process at the other end, which may break the stream, hang up, or be a branch of another."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec

import engine.kernels.channels.stream
import engine.kernels.kernel
from engine.errors import KernelDied, KernelStartFailed, KernelTimeout, MessageError
from engine.jupyter import FrameDecoder
from engine.jupyter.messages import Channel, Message
from engine.kernels.channels import Receiver
from engine.kernels.channels.stream import StreamChannels, stream_pair
from engine.kernels.kernel import Kernel, KernelState
from engine.kernels.provisioners import Exit, Provisioner
from engine.kernels.provisioners.fake import FakeProvisioner
from engine.kernels.provisioners.spawn import SpawnProvisioner
from engine.kernels.run import Outcome
from engine.metrics import Metrics
from tests.harness import scripted_kernel
from tests.harness.frames import encode_frame
from tests.harness.removal import Removal

pytestmark = pytest.mark.anyio

SCRIPTED = Path(scripted_kernel.__file__)
SPEC = KernelSpec(display_name="Scripted", metadata={"polyrepl": {"stream": True}})


class Reader:
    def __init__(self) -> None:
        self.messages: list[Message] = []

    def receive(self, message: Message) -> None:
        self.messages.append(message)

    def text(self) -> str:
        return "".join(each.content["text"] for each in self.messages if each.msg_type == "stream")


class Noting(Kernel):
    """Has its rig note bad messages."""

    def __init__(self, rig: Rig, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._rig = rig

    def note_bad_message(self, error: MessageError) -> None:
        self._rig.bad.append(error.message)


class Rig:
    """Kernels on streams, and what was told of bad messages."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.kernels: list[Kernel] = []
        self.channels: list[StreamChannels] = []
        self.bad: list[str] = []
        self.reader = Reader()

    def make(self, provisioner: Provisioner | None = None) -> Kernel:
        directory = self.directory / f"k{len(self.kernels)}"
        directory.mkdir()
        made = provisioner or SpawnProvisioner(kernel_spec=SPEC)
        kernel = Noting(self, SPEC, made, directory, remover=Removal(), metrics=Metrics())
        self.kernels.append(kernel)
        return kernel

    def connect(self, info: Mapping[str, Any], receiver: Receiver, /, *, kernel_waits: bool) -> StreamChannels:
        self.channels.append(StreamChannels(info["socket"], receiver))
        return self.channels[-1]

    async def start(
        self, provisioner: Provisioner | None = None, *, program: tuple[str, ...] = (str(SCRIPTED),)
    ) -> Kernel:
        kernel = self.make(provisioner)
        await kernel.start(
            [sys.executable, *program, "{connection_file}"],
            channels=self.connect,
            cwd=self.directory,
            env=dict(os.environ),
            timeout=20,
        )
        return kernel

    async def run(self, kernel: Kernel, code: str) -> Outcome:
        run = await kernel.execute(code, self.reader.receive, allow_stdin=True, metadata={})
        return await run.wait(20)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    yield made
    for kernel in made.kernels:
        await kernel.kill()


async def test_a_kernel_inherits_its_end_of_the_stream_and_nobody_else_has_it(rig: Rig):
    kernel = await rig.start()
    assert kernel.state is KernelState.IDLE
    assert await rig.run(kernel, "pid") is Outcome.DONE
    assert rig.reader.text() == str(kernel.pid)
    await kernel.kill()
    assert rig.channels[0]._socket.fileno() == -1


async def test_a_kernel_that_sends_junk_is_killed_and_the_death_says_why(rig: Rig):
    kernel = await rig.start()
    assert await rig.run(kernel, "junk") is Outcome.DIED
    ended = kernel.exited.result()
    assert ended.code == -signal.SIGKILL
    assert "killed, as its stream broke: version 108 of a frame where 1 is spoken" in ended.describe()
    assert not kernel.was_killed
    assert len(rig.bad) == 1


async def test_a_kernel_that_hangs_up_and_lives_on_is_killed(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine.kernels.channels.stream, "_END_WAIT", 0.05)
    kernel = await rig.start()
    assert await rig.run(kernel, "hang up") is Outcome.DIED
    assert "it closed its stream" in kernel.exited.result().describe()


async def test_a_kernel_that_ends_by_itself_tells_its_own_reason_after_its_last_output(rig: Rig):
    kernel = await rig.start()
    assert await rig.run(kernel, "exit") is Outcome.DIED
    assert kernel.exited.result().describe().startswith("exited with code 3")
    assert rig.reader.text() == "last words"
    assert rig.bad == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import json, os, sys; os.write(json.load(open(sys.argv[1]))['fd'], b'Traceback'); input()", "version 101"),
        ("raise SystemExit(5)", "exited with code 5"),
    ],
)
async def test_a_program_that_is_no_kernel_is_a_failed_start(rig: Rig, code: str, reason: str):
    with pytest.raises(KernelStartFailed, match=reason):
        await rig.start(program=("-c", code))
    assert rig.kernels[0].state is KernelState.DEAD


async def test_a_program_that_is_not_there_leaves_no_stream(rig: Rig):
    kernel = rig.make()
    with pytest.raises(KernelStartFailed, match="No such file"):
        await kernel.start(["/no/such/program"], channels=rig.connect, cwd=rig.directory, env={}, timeout=20)
    stream = kernel._process._stream
    assert stream is not None
    assert stream.fileno() == -1


async def test_a_request_gets_its_reply_while_no_cell_runs(rig: Rig):
    kernel = await rig.start()
    replies = await asyncio.gather(*(kernel.request("echo_request", {"n": n}, timeout=20) for n in range(20)))
    assert [reply.content["n"] for reply in replies] == list(range(20))
    assert kernel.state is KernelState.IDLE
    assert kernel.execution_count == 0


async def test_a_request_that_is_not_answered_is_a_timeout_and_the_kernel_goes_on(rig: Rig):
    kernel = await rig.start()
    with pytest.raises(KernelTimeout, match=r"no_such_request within 0\.05 s"):
        await kernel.request("no_such_request", {}, timeout=0.05)
    assert await rig.run(kernel, "pid") is Outcome.DONE


async def test_a_request_to_a_kernel_that_dies_ends_with_its_death(rig: Rig):
    kernel = await rig.start()
    asking = asyncio.create_task(kernel.request("no_such_request", {}, timeout=20))
    await asyncio.wait({asking}, timeout=0.01)
    await rig.run(kernel, "exit")
    with pytest.raises(KernelDied, match="exited with code 3"):
        await asking
    with pytest.raises(KernelDied, match="exited with code 3"):
        await kernel.request("echo_request", {}, timeout=20)


class Other(Provisioner):
    """A process that is somebody else's child; it goes with its parent, and by `kill`."""

    def __init__(self) -> None:
        super().__init__(kernel_spec=SPEC)
        self.pid: int | None = None

    @property
    def has_process(self) -> bool:
        return self.pid is not None and self.exit is None

    async def adopt(self, pid: int) -> None:
        self.pid = pid
        self._ended = asyncio.get_running_loop().create_future()

    async def send_signal(self, signum: int) -> None:
        if self.has_process and self.pid is not None:
            os.kill(self.pid, signum)

    async def kill(self, restart: bool = False) -> None:
        if self.has_process and self._ended is not None:
            await self.send_signal(signal.SIGKILL)
            self.exit = Exit(None)
            self._ended.set_result(None)

    async def terminate(self, restart: bool = False) -> None:
        await self.kill()

    async def cleanup(self, restart: bool = False) -> None:
        return


async def fork(kernel: Kernel) -> socket.socket:
    ours, theirs = stream_pair(learn_pid=True)
    with theirs:
        await kernel.request("fork_request", {}, fds=[theirs.fileno()], timeout=20)
    return ours


async def test_a_branch_is_adopted_by_the_process_that_really_speaks(rig: Rig):
    parent = await rig.start()
    branch = rig.make(Other())
    await branch.adopt(await fork(parent), channels=rig.connect, timeout=20)
    assert branch.state is KernelState.IDLE
    assert await rig.run(branch, "pid") is Outcome.DONE
    assert rig.reader.text() == str(branch.pid)
    assert branch.pid != parent.pid
    await branch.kill()
    assert branch.exited.result().describe() == "ended"
    assert await rig.run(parent, "pid") is Outcome.DONE


async def test_a_branch_that_is_gone_before_it_is_adopted_is_a_failed_start(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    parent = await rig.start()
    stream = await fork(parent)
    provisioner = Other()

    async def adopt_too_late(pid: int) -> None:
        raise ProcessLookupError(errno.ESRCH, "No such process")

    monkeypatch.setattr(provisioner, "adopt", adopt_too_late)
    branch = rig.make(provisioner)
    with pytest.raises(KernelStartFailed, match="No such process"):
        await branch.adopt(stream, channels=rig.connect, timeout=20)
    assert branch.state is KernelState.DEAD
    assert stream.fileno() == -1


async def test_a_branch_that_says_nothing_is_a_failed_start(rig: Rig):
    ours, theirs = stream_pair(learn_pid=True)
    branch = rig.make(Other())
    with theirs, pytest.raises(KernelStartFailed, match=r"no answer in 0\.05 s"):
        await branch.adopt(ours, channels=rig.connect, timeout=0.05)
    assert ours.fileno() == -1


async def test_a_process_nobody_can_name_is_not_adopted(rig: Rig):
    ours, theirs = stream_pair()
    branch = rig.make(Other())
    theirs.sendall(encode_frame(Channel.IOPUB, [b'{"msg_id":"1","msg_type":"status"}', b"{}", b"{}", b"{}"]))
    with theirs, pytest.raises(KernelStartFailed, match="not known"):
        await branch.adopt(ours, channels=rig.connect, timeout=20)


class Signalled(FakeProvisioner):
    """Keeps the kernel's end of the stream for the test, and notes what was unsent when a signal came."""

    def __init__(self, rig: Rig) -> None:
        super().__init__({}, [], kernel_spec=SPEC)
        self._rig = rig
        self.unsent: list[int] = []
        self.peer: socket.socket | None = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        await super().launch_kernel(cmd, **kwargs)
        self.peer = kwargs["stream"].dup()
        assert self.peer is not None
        self.peer.sendall(encode_frame(Channel.IOPUB, [b'{"msg_id":"1","msg_type":"status"}', b"{}", b"{}", b"{}"]))
        return kwargs["connection_info"]

    async def send_signal(self, signum: int) -> None:
        self.unsent.append(self._rig.channels[0]._waiting.size)


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_an_interrupt_is_sent_after_its_request_and_waits_for_nothing_else(
    rig: Rig, size: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine.kernels.kernel, "_FLUSH_WAIT", 20.0)
    kernel = await rig.start(provisioner := Signalled(rig))
    peer = provisioner.peer
    assert peer is not None
    await kernel.execute("x" * size, rig.reader.receive, allow_stdin=False, metadata={})
    interrupting = asyncio.create_task(kernel.interrupt())
    await asyncio.wait({interrupting}, timeout=0.01)
    assert interrupting.done() == (size == 10)  # the kernel has not said that the cell has begun

    def read() -> str:
        decoder = FrameDecoder()
        while (frame := decoder.take()) is None:
            decoder.feed(peer.recv(1 << 16))
        return json.loads(bytes(frame.parts[3]))["code"]

    peer.setblocking(True)
    assert await asyncio.to_thread(read) == "x" * size
    await asyncio.wait_for(interrupting, 20)
    assert provisioner.unsent == [0]
    peer.close()


async def test_a_kernel_that_does_not_read_its_request_is_interrupted_all_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine.kernels.kernel, "_FLUSH_WAIT", 0.01)
    kernel = await rig.start(provisioner := Signalled(rig))
    await kernel.execute("x" * 3_000_000, rig.reader.receive, allow_stdin=False, metadata={})
    await kernel.interrupt()
    assert len(provisioner.unsent) == 1
    assert provisioner.peer is not None
    provisioner.peer.close()
