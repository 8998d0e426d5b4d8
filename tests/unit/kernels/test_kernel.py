"""A kernel: a state machine around one process, whose requests end exactly once, whatever the process does."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec

import engine.kernels.run
from engine.errors import KernelDied, KernelStartFailed
from engine.jupyter.messages import Channel, Message
from engine.kernels.channels.fake import FakeChannels
from engine.kernels.kernel import Kernel, KernelState
from engine.kernels.provisioners.fake import Ask, Die, FakeKernel, FakeProvisioner, Hold, Misbehave, Say, Script
from engine.kernels.run import Outcome, Run
from engine.metrics import Metrics
from tests.harness.removal import Removal

pytestmark = pytest.mark.anyio

READY = Say("stream", {"name": "stdout", "text": "ready\n"})


class Reader:
    """Takes the messages of a request."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._came = asyncio.Event()

    def receive(self, message: Message) -> None:
        assert message.content is not None  # read at once: this is where a MessageError comes from
        self.messages.append(message)
        self._came.set()

    async def until(self, msg_type: str) -> Message:
        async with asyncio.timeout(60):
            while True:
                for message in self.messages:
                    if message.msg_type == msg_type:
                        return message
                self._came.clear()
                await self._came.wait()

    def types(self) -> list[str]:
        return [message.msg_type for message in self.messages]


class Rig:
    """One kernel over the fake provisioner."""

    def __init__(self, directory: Path, script: Script, *, interrupt_mode: str = "signal") -> None:
        self.fakes: list[FakeKernel] = []
        self.reader = Reader()
        self.directory = directory
        spec = KernelSpec(display_name="Fake", interrupt_mode=interrupt_mode, metadata={"polyrepl": {"env_vars": True}})
        self.provisioner = FakeProvisioner.of(script, self.fakes)(spec)
        self.metrics = Metrics()
        self.kernel = Kernel(spec, self.provisioner, directory, remover=Removal(), metrics=self.metrics)

    async def start(self, *, channels: Any = FakeChannels, timeout: float = 10.0) -> Kernel:
        await self.kernel.start(
            ["fake", "{connection_file}"], channels=channels, cwd=self.directory, env={}, timeout=timeout
        )
        return self.kernel

    async def execute(self, code: str, *, allow_stdin: bool = False) -> Run:
        return await self.kernel.execute(code, self.reader.receive, allow_stdin=allow_stdin, metadata={})


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Any]:
    rigs: list[Rig] = []

    def make(script: Script | None = None, **options: Any) -> Rig:
        directory = tmp_path / f"k{len(rigs)}"
        directory.mkdir()
        rigs.append(Rig(directory, script or {}, **options))
        return rigs[-1]

    yield make
    for each in rigs:
        if each.provisioner.has_process:
            await each.kernel.kill()


async def test_a_started_kernel_is_idle_and_shows_it(rig):
    kernel = await rig().start()
    assert kernel.state is KernelState.IDLE
    assert kernel.is_alive
    assert repr(kernel) == "<Kernel Fake IDLE, 0 executions>"


async def test_the_connection_file_is_private_and_goes_with_the_kernel(rig):
    made = rig()
    await made.start()
    path = made.directory / "connection.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await made.kernel.kill()
    assert not made.directory.exists()


async def test_a_clean_up_that_fails_keeps_nothing_else_from_going(rig, monkeypatch: pytest.MonkeyPatch):
    async def refuse(self: FakeProvisioner, restart: bool = False) -> None:
        raise PermissionError(1, "refused")

    made = rig()
    kernel = await made.start()
    monkeypatch.setattr(FakeProvisioner, "cleanup", refuse)
    with pytest.raises(PermissionError):
        await kernel.kill()
    assert kernel._process.channels.closed
    assert not made.directory.exists()


async def test_an_execution_is_busy_until_its_reply_and_idle_came(rig):
    made = rig({"x": [READY, Hold()]})
    kernel = await made.start()
    run = await made.execute("x")
    await made.reader.until("stream")
    assert kernel.state is KernelState.BUSY
    assert not run.is_done
    made.fakes[0].release()
    assert await run.wait(10) is Outcome.DONE
    assert kernel.state is KernelState.IDLE
    assert made.reader.types() == ["execute_input", "stream", "execute_reply"]


async def test_the_idle_status_may_come_before_the_reply(rig):
    idle_first = [Say("status", {"execution_state": "idle"}), Misbehave(idle=False)]
    made = rig({"x": idle_first})
    await made.start()
    assert await (await made.execute("x")).wait(10) is Outcome.DONE


async def test_a_reply_without_idle_ends_the_request_after_a_while(rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine.kernels.run, "_IDLE_WAIT", 0.02)
    made = rig({"x": [Misbehave(idle=False)]})
    await made.start()
    run = await made.execute("x")
    assert await run.wait(10) is Outcome.DONE
    assert made.kernel.state is KernelState.IDLE


async def test_idle_without_a_reply_does_not_end_the_request(rig):
    made = rig({"x": [READY, Misbehave(reply=False)]})
    await made.start()
    run = await made.execute("x")
    await made.reader.until("stream")
    assert await run.wait(0.05) is Outcome.TIMEOUT
    assert made.kernel.state is KernelState.BUSY


async def test_a_wait_that_timed_out_can_be_repeated(rig):
    made = rig({"x": [READY, Hold()]})
    await made.start()
    run = await made.execute("x")
    assert await run.wait(0.01) is Outcome.TIMEOUT
    await made.reader.until("stream")
    made.fakes[0].release()
    assert await run.wait(10) is Outcome.DONE
    assert await run.wait(0) is Outcome.DONE


@pytest.mark.parametrize("mode", ["signal", "message"])
async def test_an_interrupt_stops_the_cell_in_the_way_of_the_kernelspec(rig, mode: str):
    made = rig({"x": [READY, Hold()]}, interrupt_mode=mode)
    await made.start()
    run = await made.execute("x")
    await made.reader.until("stream")
    await made.kernel.interrupt()
    assert await run.wait(10) is Outcome.DONE
    assert (await made.reader.until("error")).content["ename"] == "KeyboardInterrupt"
    assert made.kernel.is_alive


@pytest.mark.parametrize("mode", ["signal", "message"])
async def test_an_interrupt_right_after_the_request_is_not_lost(rig, mode: str):
    made = rig({"x": [Hold()]}, interrupt_mode=mode)
    await made.start()
    run = await made.execute("x")
    await made.kernel.interrupt()
    assert await run.wait(10) is Outcome.DONE
    assert (await made.reader.until("error")).content["ename"] == "KeyboardInterrupt"


@pytest.mark.parametrize("mode", ["signal", "message"])
async def test_an_interrupt_of_an_idle_kernel_reaches_nobody(rig, mode: str, monkeypatch: pytest.MonkeyPatch):
    made = rig({}, interrupt_mode=mode)
    await made.start()
    reached: list[str] = []
    monkeypatch.setattr(made.fakes[0], "interrupt", lambda: reached.append("interrupted"))
    await made.kernel.interrupt()
    run = await made.execute("x")
    assert await run.wait(10) is Outcome.DONE
    await made.kernel.interrupt()
    assert reached == []


async def test_a_death_ends_the_request_and_tells_how(rig):
    made = rig({"x": [READY, Die(-9)]})
    kernel = await made.start()
    run = await made.execute("x")
    assert await run.wait(10) is Outcome.DIED
    assert kernel.exited.result().describe() == "killed by SIGKILL"
    assert kernel.state is KernelState.DEAD
    assert not kernel.is_alive
    assert not kernel.was_killed
    assert made.reader.types() == ["execute_input", "stream"]


@pytest.mark.parametrize(
    ("code", "told"), [(3, "exited with code 3"), (-11, "killed by SIGSEGV"), (-99, "killed by 99")]
)
async def test_an_exit_is_described_by_its_code_or_signal(rig, code: int, told: str):
    made = rig({"x": [Die(code)]})
    await made.start()
    await (await made.execute("x")).wait(10)
    assert (await made.kernel.exited).describe() == told


async def test_a_request_to_a_dead_kernel_ends_at_once(rig):
    made = rig({"x": [Die()]})
    await made.start()
    await (await made.execute("x")).wait(10)
    assert await (await made.execute("y")).wait(10) is Outcome.DIED


async def test_a_kill_ends_the_request_and_releases_everything(rig):
    made = rig({"x": [READY, Hold(ignore_interrupts=True)]})
    kernel = await made.start()
    run = await made.execute("x")
    await made.reader.until("stream")
    await kernel.kill()
    assert await run.wait(10) is Outcome.DIED
    assert kernel.was_killed
    assert not made.provisioner.has_process
    await kernel.kill()


async def test_output_after_the_end_still_reaches_its_request(rig):
    made = rig()
    await made.start()
    first, second = Reader(), Reader()
    for reader in (first, second):
        run = await made.kernel.execute("x", reader.receive, allow_stdin=False, metadata={})
        await run.wait(10)
    made.fakes[0].say("fake_1", "stream", {"name": "stdout", "text": "late"})
    assert first.messages[-1].content["text"] == "late"
    assert "stream" not in second.types()


async def test_output_without_a_parent_belongs_to_the_running_request(rig):
    made = rig({"x": [READY, Hold()]})
    await made.start()
    await made.execute("x")
    await made.reader.until("stream")
    made.fakes[0].say("", "stream", {"name": "stdout", "text": "from C"})
    assert made.reader.messages[-1].content["text"] == "from C"


async def test_output_of_a_stranger_while_idle_belongs_to_nobody(rig):
    made = rig()
    await made.start()
    await (await made.execute("x")).wait(10)
    seen = len(made.reader.messages)
    made.fakes[0].say("", "stream", {"name": "stdout", "text": "x"})
    made.fakes[0].say("unknown", "display_data", {"data": {}})
    assert len(made.reader.messages) == seen


async def test_a_request_says_what_the_protocol_needs(rig):
    made = rig()
    await made.start()
    run = await made.kernel.execute("π", made.reader.receive, allow_stdin=False, metadata={"env_vars": {"A": "1"}})
    await run.wait(10)
    ((content, metadata),) = made.fakes[0].requests
    assert content == {
        "code": "π",
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": False,
    }
    assert metadata == {"env_vars": {"A": "1"}}


async def test_an_answer_to_input_reaches_the_cell(rig):
    made = rig({"x": [Ask("name? ")]})
    await made.start()
    run = await made.execute("x", allow_stdin=True)
    assert (await made.reader.until("input_request")).content["prompt"] == "name? "
    run.reply_input("Ada")
    assert await run.wait(10) is Outcome.DONE
    assert (await made.reader.until("stream")).content["text"] == "Ada\n"


async def test_a_message_that_is_none_is_told_of_and_the_request_goes_on(rig):
    made = rig({"x": [Say("display_data", b"no JSON"), READY]})  # type: ignore[arg-type]
    await made.start()

    run = await made.execute("x")
    assert await run.wait(10) is Outcome.DONE
    note, ready = [message.content for message in made.reader.messages if message.msg_type == "stream"]
    assert note["name"] == "stderr"
    assert "display_data" in note["text"]
    assert ready["text"] == "ready\n"
    assert made.metrics.registry.get_sample_value("polyrepl_bad_messages_total") == 1


async def test_a_reply_that_cannot_be_read_is_a_reply(rig):
    made = rig({"x": [Misbehave(reply=False, idle=False)]})
    await made.start()
    run = await made.execute("x")
    await made.reader.until("execute_input")
    made.fakes[0].say("fake_1", "status", {"execution_state": "idle"})
    await asyncio.sleep(0)
    made.kernel.receive(Message(Channel.SHELL, "execute_reply", "fake_1", content=b"["))
    assert await run.wait(10) is Outcome.DONE


async def test_a_program_that_is_not_there_is_a_failed_start(rig):
    made = rig({"start fails": []})
    with pytest.raises(KernelStartFailed, match="No such file"):
        await made.start()
    assert made.kernel.state is KernelState.DEAD


class Mute(FakeChannels):
    """Never hears from its kernel."""

    async def open(self) -> None:
        await asyncio.Event().wait()


async def test_a_kernel_that_does_not_answer_in_time_is_killed(rig):
    made = rig()
    with pytest.raises(KernelStartFailed, match=r"no answer in 0\.05 s"):
        await made.start(channels=Mute, timeout=0.05)
    assert not made.provisioner.has_process
    assert not made.directory.exists()


async def test_a_kernel_that_ends_while_it_starts_is_a_failed_start_at_once(rig):
    made = rig()

    class Ends(Mute):
        async def open(self) -> None:
            made.provisioner.end(7)
            await super().open()

    with pytest.raises(KernelStartFailed, match="exited with code 7"):
        await made.start(channels=Ends, timeout=60)


async def test_a_start_that_is_cancelled_leaves_no_process(rig):
    made = rig()
    task = asyncio.create_task(made.start(channels=Mute, timeout=60))
    async with asyncio.timeout(60):
        while not made.fakes:
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=60)
    assert task.cancelled()
    assert not made.provisioner.has_process


async def test_a_kernel_honours_what_its_kernelspec_says(rig):
    kernel = await rig().start()
    assert kernel.honours("env_vars")
    assert not kernel.honours("output_limits")


async def test_a_request_other_than_a_cell_gets_its_reply_and_nothing_else(rig):
    busy = Say("status", {"execution_state": "busy"})
    made = rig({"ask_request": [busy, Say("ask_reply", {"answer": 42})]})
    await made.start()
    reply = await made.kernel.request("ask_request", {}, timeout=60)
    assert (reply.msg_type, reply.content) == ("ask_reply", {"answer": 42})
    assert made.kernel.state is KernelState.IDLE


async def test_a_request_to_a_kernel_that_dies_tells_how(rig):
    made = rig({"ask_request": [Die(-11)]})
    await made.start()
    with pytest.raises(KernelDied, match="SIGSEGV"):
        await made.kernel.request("ask_request", {}, timeout=60)
