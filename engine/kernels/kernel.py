"""A kernel: one process, its channels, and the requests it works on. A state machine with one reader."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec

from engine.errors import KernelDied, MessageError
from engine.jupyter import Channel, Message
from engine.kernels.channels import Channels, Listener, MakeChannels
from engine.kernels.kernelspecs import honours, types_of
from engine.kernels.limiting import Ward
from engine.kernels.process import KernelProcess, Remover
from engine.kernels.provisioners import Exit, Provisioner
from engine.kernels.requests import Requests
from engine.kernels.run import Outcome, Run
from engine.log import get_logger
from engine.metrics import Metrics

_BEGIN_WAIT = 0.5  # seconds that an interrupt waits for the first message of its cell
_FLUSH_WAIT = 0.5  # seconds that an interrupt waits for its request to leave us


class KernelState(Enum):
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    DEAD = "dead"


def _cell(code: str, *, allow_stdin: bool = False) -> dict[str, Any]:
    """The content of an execute_request (messaging protocol, "Execute")."""
    return {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": allow_stdin,
        "stop_on_error": False,  # the engine queues; a kernel must never abort a request of another caller
    }


class Kernel:
    """A running kernel. `start` or `adopt` makes one; `exited` resolves, once, when its process is gone.

    `remover` removes its directory with it. `ward`: what keeps it within its limits, and is its own from now on; None where another
    machine does. `uid`: whom it runs as, if not as we do."""

    def __init__(
        self,
        spec: KernelSpec,
        provisioner: Provisioner,
        directory: Path,
        *,
        remover: Remover,
        metrics: Metrics,
        ward: Ward | None = None,
        uid: int | None = None,
    ) -> None:
        self.spec = spec
        self.types = types_of(spec)
        self.name = directory.name
        self.state = KernelState.STARTING
        self.execution_count = 0
        self.observer: Listener | None = None  # gets every message, before those whose answers they are
        self._process = KernelProcess(spec, provisioner, directory, self, remover=remover, ward=ward, uid=uid)
        self._provisioner = provisioner
        self._metrics = metrics
        self._current: Run | None = None
        self._requests = Requests()
        self._was_interrupted = False  # since the latest cell began

    def __repr__(self) -> str:
        return f"<Kernel {self.spec.display_name} {self.state.name}, {self.execution_count} executions>"

    @property
    def pid(self) -> int | None:
        return self._provisioner.pid

    @property
    def is_alive(self) -> bool:
        return self.state is not KernelState.DEAD

    @property
    def exited(self) -> asyncio.Future[Exit]:
        return self._process.exited

    @property
    def was_killed(self) -> bool:
        """Whether we ended it ourselves."""
        return self._process.was_killed

    @property
    def _channels(self) -> Channels | None:
        return self._process.channels

    def honours(self, feature: str) -> bool:
        return honours(self.spec, feature)

    async def start(
        self,
        command: Sequence[str],
        *,
        channels: MakeChannels,
        cwd: Path,
        env: dict[str, str],
        timeout: float,
        tcp: bool = False,
        relayed: bool = False,
    ) -> None:
        """Start the process and return when it takes requests. `tcp`: it cannot use unix sockets. `relayed`: as `KernelProcess.start`.

        `{connection_file}` in the command stands for the path of the connection file, which is made.
        Raises KernelStartFailed if it cannot be started, ends, or is not there within `timeout` seconds."""
        try:
            await self._process.start(command, channels, cwd=cwd, env=env, timeout=timeout, tcp=tcp, relayed=relayed)
        except BaseException:
            self.state = KernelState.DEAD
            raise
        self.state = KernelState.IDLE

    async def adopt(self, stream: socket.socket, *, channels: MakeChannels, timeout: float) -> None:
        """Take over a process that exists: the one that sends the first message to `stream`, our end of a pair that learns it.

        Raises KernelStartFailed if there is no message within `timeout` seconds, or the process is gone."""
        try:
            await self._process.adopt(stream, channels, timeout=timeout)
        except BaseException:
            self.state = KernelState.DEAD
            raise
        self.state = KernelState.IDLE

    async def execute(self, code: str, listener: Listener, *, allow_stdin: bool, metadata: dict[str, Any]) -> Run:
        """Send an execute_request (messaging protocol, "Execute"); `listener`, a bound method whose object the caller keeps,
        gets its messages, late ones included."""
        content = _cell(code, allow_stdin=allow_stdin)
        run = await self._begin(listener, allow_stdin=allow_stdin)
        if run.is_done:
            return run
        channels = self._channels
        assert channels is not None
        if run.is_announced:
            metadata = {**metadata, "after_interrupt": True}
        self._requests.add_run(channels.send(Channel.SHELL, "execute_request", content, metadata=metadata), run)
        return run

    async def forward_cell(self, msg_id: str, parts: Sequence[bytes], listener: Listener, *, allow_stdin: bool) -> Run:
        """Send another client's execute_request (header, parent_header, metadata, content, buffers); the rest as `execute`.

        Raises MessageError if it cannot be sent."""
        run = await self._begin(listener, allow_stdin=allow_stdin)
        if run.is_done:
            return run
        assert self._channels is not None
        if run.is_announced:
            header, parent, metadata, *rest = parts
            marked = json.dumps({**json.loads(metadata), "after_interrupt": True}).encode()
            parts = [header, parent, marked, *rest]
        try:
            self._channels.forward(Channel.SHELL, parts)
        except MessageError:
            run.settle(Outcome.DONE)
            raise
        self._requests.add_run(msg_id, run)
        return run

    def forward(self, channel: Channel, parts: Sequence[bytes]) -> None:
        """Send another client's message that is no execute_request. Raises KernelDied or MessageError."""
        if self._channels is None or not self.is_alive:
            raise KernelDied(self._process.how_it_ended())
        self._channels.forward(channel, parts)

    async def flushed(self, timeout: float) -> None:
        """Return once the kernel has read what was sent, as far as can be told, or after `timeout` seconds."""
        if self._channels is not None:
            await self._channels.flushed(timeout)

    def pause(self, paused: bool) -> None:
        """Read nothing more from the kernel, which then waits where it can, or go on."""
        if self._channels is not None:
            self._channels.pause(paused)

    async def _begin(self, listener: Listener, *, allow_stdin: bool) -> Run:
        """A run of a cell that is about to be sent; one that is done already if the kernel is dead."""
        channels = self._channels
        assert channels is not None
        if allow_stdin:
            await channels.open_stdin()
        run = Run(self, listener)
        if self.state is KernelState.DEAD:
            run.settle(Outcome.DIED)
            return run
        if self._was_interrupted and not channels.signals_overtake:
            # That signal may arrive late. The kernel announces this cell, so that ours will come after the announcement.
            run.is_announced = True
        self._was_interrupted = False
        self.state = KernelState.BUSY
        self._process.note_busy(True)
        self.execution_count += 1
        self._current = run
        return run

    def finish(self, run: Run) -> None:
        if self._current is run:
            self.drain_process_output()
            self._current = None
            self._process.note_busy(False)
            if self.state is KernelState.BUSY:
                self.state = KernelState.IDLE

    def send_input(self, value: str) -> None:
        if self._channels is not None and self.is_alive:
            self._channels.send(Channel.STDIN, "input_reply", {"value": value})

    async def execute_silently(self, code: str, *, timeout: float, **expressions: str) -> Message:
        """Run code of the engine's own: no history, count or output knows of it. Returns its reply, which has the values of the
        `expressions`; raises what `request` raises."""
        silently = {"silent": True, "store_history": False, "user_expressions": expressions}
        return await self.request("execute_request", {**_cell(code), **silently}, timeout=timeout)

    async def request(
        self, msg_type: str, content: Mapping[str, Any], *, fds: Sequence[int] = (), timeout: float
    ) -> Message:
        """Send a shell request other than execute_request and return its reply, whose content is not looked at here.

        `fds`: descriptors for the kernel, which the caller may close afterwards. Raises KernelTimeout or KernelDied."""
        if self._channels is None or not self.is_alive:
            raise KernelDied(self._process.how_it_ended())
        msg_id = self._channels.send(Channel.SHELL, msg_type, content, fds=fds)
        return await self._requests.reply(msg_id, msg_type, timeout)

    async def interrupt(self) -> None:
        """Stop the running cell, the way the kernelspec's `interrupt_mode` says; nothing happens while idle."""
        run, channels = self._current, self._channels
        if run is None or channels is None or not self.is_alive:
            return
        if channels.signals_overtake or run.is_announced:
            # And a kernel that has nothing to stop ignores the signal. The first message of the cell (execute_input) says that
            # there is something; a kernel that sends none is not waited for long.
            await run.begun(_BEGIN_WAIT)
        else:
            await channels.flushed(_FLUSH_WAIT)
        if run.is_done or not self.is_alive:
            return
        if self.spec.interrupt_mode == "message":
            channels.send(Channel.CONTROL, "interrupt_request", {})
        else:
            self._was_interrupted = True
            await self._provisioner.send_signal(signal.SIGINT)

    async def kill(self) -> None:
        """End the process and everything it started, at once, and release what it held."""
        await self._process.kill()

    def receive(self, message: Message) -> None:
        """Take a message of the kernel."""
        if self.observer is not None:
            self.observer(message)
        run = self._requests.find_run(message)
        if run is None and message.msg_type == "stream" and not message.parent_id:
            run = self._current  # output without a parent: C code; that of a parent we do not know is somebody else's
        if run is None:
            return
        try:
            run.receive(message)
        except MessageError as error:
            self.note_bad_message(error)
            run.note_unreadable(message, error)

    def note_bad_message(self, error: MessageError) -> None:
        """Something was thrown away that is no message."""
        self._metrics.bad_messages.inc()
        get_logger().warning("bad_message", reason=error.message)

    def note_broken(self, error: MessageError) -> None:
        """No message can come any more."""
        self._process.end_broken(error)

    def note_exit(self) -> None:
        """The process has ended."""
        self.state = KernelState.DEAD
        if self._current is not None:
            self._current.settle(Outcome.DIED)
        self._requests.fail(self._process.how_it_ended())

    def drain_process_output(self) -> None:
        """What processes wrote past the kernel goes to the running execution (and is kept for a diagnosis)."""
        for name, text in self._provisioner.read_output():
            if self.observer is not None:
                self.observer(Message(Channel.IOPUB, "stream", "", content={"name": name, "text": text}))
            if self._current is not None:
                self._current.write(name, text)
