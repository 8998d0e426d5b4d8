"""A scripted kernel: replays messages instead of running code, for our tests and for those of our users.

script = {"1+1": [Say("execute_result", {"data": {"text/plain": "2"}, "execution_count": 1})], "loop": [Hold()]}
engine = Engine(settings, provisioner=FakeProvisioner.of(script), channels=FakeChannels)"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.jupyter import Channel, Message
from engine.kernels.channels import Listener
from engine.kernels.provisioners.provisioner import Exit, MakeProvisioner, Provisioner


@dataclass(frozen=True, slots=True)
class Say:
    """Send a message of the running request."""

    msg_type: str
    content: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait until `FakeKernel.release()`, or an interrupt, which ends the cell with KeyboardInterrupt unless it is ignored."""

    ignore_interrupts: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Send an input_request and print the answer."""

    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Die:
    """End the process."""

    code: int = -signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Misbehave:
    """Break the protocol from here on: leave the reply, or the status `idle`, out."""

    reply: bool = True
    idle: bool = True


Step = Say | Hold | Ask | Die | Misbehave
Script = Mapping[str, Sequence[Step]]


class FakeKernel:
    """Plays the steps that the script has for a cell's code; other code answers with itself as text.

    Of other requests it answers those that the script has by their msg_type, at once."""

    def __init__(self, script: Script, provisioner: FakeProvisioner) -> None:
        self._script = script
        self._on_death = provisioner.end
        self._listener: Listener | None = None
        self._requests: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self._inputs: asyncio.Queue[str] = asyncio.Queue()
        self._woken = asyncio.Event()
        self._interrupted = False
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self.count = 0
        self.requests: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def attach(self, listener: Listener) -> None:
        self._listener = listener
        if not self._stopped:
            self._task = asyncio.create_task(self._serve())

    def receive(self, channel: Channel, msg_id: str, msg_type: str, content: Any, metadata: Mapping[str, Any]) -> None:
        if msg_type == "execute_request":
            self.requests.append((dict(content), dict(metadata)))
            self._requests.put_nowait((msg_id, content))
        elif msg_type == "input_reply":
            self._inputs.put_nowait(content["value"])
        elif msg_type == "interrupt_request":
            self.interrupt()
        else:
            loop = asyncio.get_running_loop()  # an answer never comes before the request has been sent
            for step in self._script.get(msg_type, ()):
                if isinstance(step, Say):
                    loop.call_soon(self.say, msg_id, step.msg_type, step.content, step.metadata)
                elif isinstance(step, Die):
                    loop.call_soon(self._on_death, step.code)

    def interrupt(self) -> None:
        self._interrupted = True
        self._woken.set()

    def release(self) -> None:
        """Let the cell that holds go on."""
        self._woken.set()

    def stop(self) -> None:
        self._stopped = True
        if self._task is not None:
            self._task.cancel()

    def say(
        self, parent_id: str, msg_type: str, content: dict[str, Any], metadata: dict[str, Any] | None = None
    ) -> None:
        """Send a message as of the request `parent_id`, at any time."""
        assert self._listener is not None
        channel = Channel.STDIN if msg_type == "input_request" else Channel.IOPUB
        if msg_type.endswith("_reply"):
            channel = Channel.SHELL
        self._listener(Message(channel, msg_type, parent_id, content=content, metadata=metadata or {}))

    async def _serve(self) -> None:
        while True:
            msg_id, content = await self._requests.get()
            self._interrupted = False
            self._woken.clear()
            self.say(msg_id, "status", {"execution_state": "busy"})
            if not content["silent"]:
                self.count += 1
                self.say(msg_id, "execute_input", {"code": content["code"], "execution_count": self.count})
            await self._play(msg_id, content["code"])

    async def _play(self, msg_id: str, code: str) -> None:
        echo = Say("execute_result", {"data": {"text/plain": code}, "execution_count": self.count})
        reply: dict[str, Any] = {"status": "ok", "execution_count": self.count}
        manners = Misbehave()
        for step in self._script.get(code, [echo]):
            match step:
                case Say(msg_type=msg_type, content=said, metadata=metadata):
                    self.say(msg_id, msg_type, said, metadata)
                    if msg_type == "error":
                        reply = {"status": "error", "execution_count": self.count, **said}
                case Ask(prompt=prompt):
                    self.say(msg_id, "input_request", {"prompt": prompt, "password": False})
                    self.say(msg_id, "stream", {"name": "stdout", "text": await self._inputs.get() + "\n"})
                case Hold(ignore_interrupts=ignore):
                    if await self._hold(ignore_interrupts=ignore):
                        error = {"ename": "KeyboardInterrupt", "evalue": "", "traceback": ["KeyboardInterrupt"]}
                        self.say(msg_id, "error", error)
                        reply = {"status": "error", "execution_count": self.count, **error}
                        break
                case Die(code=exit_code):
                    self._on_death(exit_code)
                    return
                case Misbehave():
                    manners = step
        if manners.reply:
            self.say(msg_id, "execute_reply", reply)
        if manners.idle:
            self.say(msg_id, "status", {"execution_state": "idle"})

    async def _hold(self, *, ignore_interrupts: bool) -> bool:
        """Wait; returns whether an interrupt ended it."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            interrupted, self._interrupted = self._interrupted, False
            if not (interrupted and ignore_interrupts):
                return interrupted


class FakeProvisioner(Provisioner):
    """Runs a FakeKernel. `kernels` of the factory made by `of` lists all that were started, newest last."""

    def __init__(self, script: Script, kernels: list[FakeKernel], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._script = script
        self._kernels = kernels
        self._kernel: FakeKernel | None = None

    @classmethod
    def of(cls, script: Script, kernels: list[FakeKernel] | None = None) -> MakeProvisioner:
        """A factory as `Engine(provisioner=...)` takes it."""
        started = kernels if kernels is not None else []
        return lambda spec: cls(script, started, kernel_spec=spec)

    @property
    def has_process(self) -> bool:
        return self._kernel is not None and self.exit is None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        if "start fails" in self._script:
            raise FileNotFoundError(2, "No such file or directory")
        self._ended = asyncio.get_running_loop().create_future()
        self._kernel = FakeKernel(self._script, self)
        self._kernels.append(self._kernel)
        return {"transport": "fake", "peer": self._kernel}

    def end(self, code: int) -> None:
        """End the process with this exit code."""
        if self.exit is None and self._ended is not None:
            self.exit = Exit(code)
            self._ended.set_result(code)
            if self._kernel is not None:
                self._kernel.stop()

    async def send_signal(self, signum: int) -> None:
        if signum == signal.SIGINT and self._kernel is not None:
            self._kernel.interrupt()

    async def kill(self, restart: bool = False) -> None:
        self.end(-signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        self.end(-signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        return
