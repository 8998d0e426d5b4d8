"""A kernel: one process, its channels, and the requests it works on. A state machine with one reader."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec

from engine.errors import KernelDied, KernelStartFailed, KernelTimeout, MessageError
from engine.jupyter.connection_file import connection_info, write_connection_file
from engine.jupyter.messages import Channel, Message
from engine.kernels.channels import Channels, Listener
from engine.kernels.channels.stream import stream_pair
from engine.kernels.kernelspecs import honours
from engine.kernels.memory import is_out_of_memory
from engine.kernels.provisioners import Exit, Provisioner

_REMEMBERED_RUNS = 100  # finished requests whose late output still finds its execution
_IDLE_WAIT = 5.0  # seconds that the status `idle` may stay away after a reply, before the request counts as done
_BEGIN_WAIT = 0.5  # seconds that an interrupt waits for the first message of its cell
_FLUSH_WAIT = 0.5  # seconds that an interrupt waits for its request to leave us
_EXIT_WAIT = 5.0  # seconds a killed process has to be gone

Connect = Callable[[Mapping[str, Any], Listener], Channels]
"""Makes the channels to a kernel of this connection info; where its transport is `stream`, `socket` is our end."""


class KernelState(Enum):
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    DEAD = "dead"


class Outcome(Enum):
    """What a wait for a run ends with."""

    DONE = "done"
    DIED = "died"
    TIMEOUT = "timeout"


class Run:
    """One execute_request at a kernel. Done is the reply *and* the status `idle`, in either order (both orders occur)."""

    def __init__(self, kernel: Kernel, listener: Listener) -> None:
        self._kernel = kernel
        # Weak: the kernel remembers finished runs for their late output, which must not keep their executions in memory.
        self._listener = weakref.WeakMethod(listener)
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[Outcome] | None = None
        self._outcome: Outcome | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle = False
        self._has_begun = False
        self._begin_waiter: asyncio.Event | None = None
        self._replied = False
        self.is_announced = False  # its first message comes at once, and not with what follows

    @property
    def is_done(self) -> bool:
        return self._outcome is not None

    def receive(self, message: Message) -> None:
        if message.msg_type == "status":
            if message.content.get("execution_state") == "idle":
                self._idle = True
                self._check_done()
            return
        if not self._has_begun:
            self._has_begun = True
            if self._begin_waiter is not None:
                self._begin_waiter.set()
        self._tell(message)
        if message.msg_type == "execute_reply":
            self._replied = True
            self._check_done()

    def note_unreadable(self, message: Message, error: MessageError) -> None:
        """Say what is lost; a reply that cannot be read is a reply all the same."""
        self.write("stderr", f"[polyrepl: {message.msg_type} left out: {error.message}]\n")
        if message.msg_type == "execute_reply":
            self._replied = True
            self._check_done()

    def write(self, name: str, text: str) -> None:
        self._tell(Message(Channel.IOPUB, "stream", "", content={"name": name, "text": text}))

    def _tell(self, message: Message) -> None:
        listener = self._listener()
        if listener is not None:
            listener(message)

    def reply_input(self, value: str) -> None:
        """Answer the kernel's input_request. `"\\x04"` means end of input."""
        self._kernel.send_input(value)

    async def begun(self, timeout: float) -> None:
        """Return once the kernel has begun with the cell, or after `timeout` seconds."""
        if self._has_begun:
            return
        self._begin_waiter = self._begin_waiter or asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._begin_waiter.wait()

    async def wait(self, timeout: float) -> Outcome:
        """Wait until the run is over, or for `timeout` seconds."""
        if self._outcome is not None:
            return self._outcome
        self._waiter = self._loop.create_future()
        timer = self._loop.call_later(timeout, self._wake, Outcome.TIMEOUT)
        try:
            return await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def settle(self, outcome: Outcome) -> None:
        if self._outcome is None:
            self._outcome = outcome
            if self._idle_timer is not None:
                self._idle_timer.cancel()
            self._kernel.finish(self)
            self._wake(outcome)

    def _wake(self, outcome: Outcome) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(outcome)

    def _check_done(self) -> None:
        if not self._replied:
            return
        if self._idle:
            self.settle(Outcome.DONE)
        elif self._idle_timer is None and self._outcome is None:
            self._idle_timer = self._loop.call_later(_IDLE_WAIT, self.settle, Outcome.DONE)


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

    `memory`: bytes that it may take; only told, where it ends for lack of them."""

    def __init__(
        self,
        spec: KernelSpec,
        provisioner: Provisioner,
        directory: Path,
        *,
        memory: int | None = None,
        on_bad_message: Callable[[MessageError], None] = lambda error: None,
    ) -> None:
        self.spec = spec
        self.name = directory.name
        self.state = KernelState.STARTING
        self.execution_count = 0
        self.was_killed = False
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.observer: Listener | None = None  # is told every message, before those whose answers they are
        self._provisioner = provisioner
        self._provisioner.on_output = self.drain_process_output
        self._directory = directory
        self._memory = memory
        self._on_bad_message = on_bad_message
        self._stream: socket.socket | None = None
        self._channels: Channels | None = None
        self._broken: MessageError | None = None
        self._current: Run | None = None
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._replies: dict[str, asyncio.Future[Message]] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._killing: asyncio.Task[None] | None = None
        self._was_interrupted = False  # since the latest cell began

    def __repr__(self) -> str:
        return f"<Kernel {self.spec.display_name} {self.state.name}, {self.execution_count} executions>"

    @property
    def pid(self) -> int | None:
        pid = getattr(self._provisioner, "pid", None)
        return pid if isinstance(pid, int) else None

    @property
    def is_alive(self) -> bool:
        return self.state is not KernelState.DEAD

    def honours(self, feature: str) -> bool:
        return honours(self.spec, feature)

    async def start(
        self,
        *,
        command: Callable[[str], list[str]],
        connect: Connect,
        cwd: Path,
        env: dict[str, str],
        timeout: float,
        tcp: bool = False,
    ) -> None:
        """Start the process and return when it takes requests. `tcp`: it cannot use unix sockets.

        Raises KernelStartFailed when it cannot be started, ends, or is not there within `timeout` seconds."""
        theirs: socket.socket | None = None
        if self.honours("stream") and not tcp:
            self._stream, theirs = stream_pair()
            written = {"transport": "stream", "fd": theirs.fileno()}
        else:
            written = connection_info(self._directory, tcp=tcp)
        path = self._directory / "connection.json"
        write_connection_file(path, written)
        try:
            info = await self._provisioner.launch_kernel(
                command(str(path)), cwd=cwd, env=env, connection_info=written, stream=theirs
            )
        except BaseException as error:
            await self._give_up(error)
            raise
        finally:
            if theirs is not None:  # its end of the stream shall be open nowhere but in the kernel
                theirs.close()
        self._watcher = asyncio.create_task(self._watch())
        try:
            await self._open(connect, info, timeout)
        except BaseException:
            await self.kill()
            raise
        self.state = KernelState.IDLE

    async def adopt(self, stream: socket.socket, *, connect: Connect, timeout: float) -> None:
        """Take over a process that exists: the one that sends the first message to `stream`, our end of a pair that learns it.

        Raises KernelStartFailed when there is no message within `timeout` seconds, or the process is gone."""
        self._stream = stream
        try:
            await self._open(connect, {"transport": "stream"}, timeout)
            pid = self._channels.peer_pid if self._channels is not None else None
            if not pid:
                raise KernelStartFailed(self.spec.display_name, "its process is not known")
            await self._provisioner.adopt(pid)
            self._watcher = asyncio.create_task(self._watch())
            if self._broken is not None:
                raise KernelStartFailed(self.spec.display_name, self._broken.message)
        except BaseException as error:
            await self._give_up(error)
            raise
        self.state = KernelState.IDLE

    async def _give_up(self, error: BaseException) -> None:
        """Release everything after a start that failed. Raises KernelStartFailed in the place of what the system refused."""
        self.state = KernelState.DEAD
        await self.kill()
        if isinstance(error, OSError):
            raise KernelStartFailed(self.spec.display_name, error.strerror or str(error)) from None

    async def _open(self, connect: Connect, info: Mapping[str, Any], timeout: float) -> None:
        self._channels = connect({**info, "socket": self._stream} if self._stream else info, self._receive)
        self._channels.on_broken = self._note_broken
        opening = asyncio.create_task(self._channels.open())
        self.exited.add_done_callback(lambda _: opening.cancel())
        try:
            await asyncio.wait({opening}, timeout=timeout)
        finally:
            opened = opening.done()
            opening.cancel()
        reason = self._how_it_ended() if self.exited.done() else f"no answer in {timeout:g} s"
        if opened and not opening.cancelled():
            try:
                return opening.result()
            except MessageError as error:
                reason = error.message
        raise KernelStartFailed(self.spec.display_name, reason, detail=self._provisioner.last_output())

    async def execute(self, code: str, listener: Listener, *, allow_stdin: bool, metadata: dict[str, Any]) -> Run:
        """Send an execute_request (messaging protocol, "Execute"); `listener`, a bound method whose object the caller keeps,
        gets its messages, late ones included."""
        content = _cell(code, allow_stdin=allow_stdin)
        run = await self._begin(listener, allow_stdin=allow_stdin)
        if run.is_done:
            return run
        assert self._channels is not None
        if run.is_announced:
            metadata = {**metadata, "after_interrupt": True}
        self._note_sent(run, self._channels.send(Channel.SHELL, "execute_request", content, metadata=metadata))
        return run

    async def forward_cell(self, msg_id: str, parts: Sequence[bytes], listener: Listener, *, allow_stdin: bool) -> Run:
        """Send another client's execute_request (header, parent_header, metadata, content, buffers); the rest as `execute`.

        Raises MessageError where it cannot be sent."""
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
        self._note_sent(run, msg_id)
        return run

    def forward(self, channel: Channel, parts: Sequence[bytes]) -> None:
        """Send another client's message that is no execute_request. Raises KernelDied or MessageError."""
        if self._channels is None or not self.is_alive:
            raise KernelDied(self._how_it_ended())
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
        """A run of a cell that is about to be sent; one that is done already where the kernel is dead."""
        assert self._channels is not None
        if allow_stdin:
            await self._channels.open_stdin()
        run = Run(self, listener)
        if self.state is KernelState.DEAD:
            run.settle(Outcome.DIED)
            return run
        if self._was_interrupted and not self._channels.signals_overtake:
            # That signal may arrive late. The kernel announces this cell, so that ours will come after the announcement.
            run.is_announced = True
        self._was_interrupted = False
        self.state = KernelState.BUSY
        self.execution_count += 1
        self._current = run
        return run

    def _note_sent(self, run: Run, msg_id: str) -> None:
        self._runs[msg_id] = run
        if len(self._runs) > _REMEMBERED_RUNS:
            self._runs.popitem(last=False)

    def finish(self, run: Run) -> None:
        if self._current is run:
            self.drain_process_output()
            self._current = None
            if self.state is KernelState.BUSY:
                self.state = KernelState.IDLE

    def send_input(self, value: str) -> None:
        if self._channels is not None and self.is_alive:
            self._channels.send(Channel.STDIN, "input_reply", {"value": value})

    async def execute_silently(self, code: str, *, timeout: float, **expressions: str) -> Message:
        """Run code of the engine's own: no history, count or output knows of it. Returns its reply, which tells the values of the
        `expressions`; raises what `request` raises."""
        silently = {"silent": True, "store_history": False, "user_expressions": expressions}
        return await self.request("execute_request", {**_cell(code), **silently}, timeout=timeout)

    async def request(
        self, msg_type: str, content: Mapping[str, Any], *, fds: Sequence[int] = (), timeout: float
    ) -> Message:
        """Send a shell request other than execute_request and return its reply, whose content is not looked at here.

        `fds`: descriptors for the kernel, which the caller may close afterwards. Raises KernelTimeout or KernelDied."""
        if self._channels is None or not self.is_alive:
            raise KernelDied(self._how_it_ended())
        msg_id = self._channels.send(Channel.SHELL, msg_type, content, fds=fds)
        reply: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._replies[msg_id] = reply
        try:
            async with asyncio.timeout(timeout):
                return await reply
        except TimeoutError:
            raise KernelTimeout(msg_type, timeout) from None
        finally:
            del self._replies[msg_id]

    async def interrupt(self) -> None:
        """Stop the running cell, the way the kernelspec's `interrupt_mode` says; nothing happens while idle."""
        run = self._current
        if run is None or self._channels is None or not self.is_alive:
            return
        if self._channels.signals_overtake or run.is_announced:
            # And a kernel that has nothing to stop ignores the signal. The first message of the cell (execute_input) says that
            # there is something; a kernel that sends none is not waited for long.
            await run.begun(_BEGIN_WAIT)
        else:
            await self._channels.flushed(_FLUSH_WAIT)
        if run.is_done or not self.is_alive:
            return
        if self.spec.interrupt_mode == "message":
            self._channels.send(Channel.CONTROL, "interrupt_request", {})
        else:
            self._was_interrupted = True
            await self._provisioner.send_signal(signal.SIGINT)

    async def kill(self) -> None:
        """End the process and everything it started, at once, and release what it held."""
        self.was_killed = True
        await self._provisioner.kill()
        if self._watcher is not None:
            await asyncio.wait({self._watcher}, timeout=_EXIT_WAIT)
        await self._release()

    async def _watch(self) -> None:
        await self._provisioner.wait()
        if self._channels is not None:
            await self._channels.drain()
        self.drain_process_output()
        self.state = KernelState.DEAD
        if not self.exited.done():
            ended = self._provisioner.exit or Exit(None)
            if is_out_of_memory(ended.code, self._provisioner.last_output()):
                limit = f" at its limit of {self._memory // 1_000_000} MB" if self._memory else ""
                ended = replace(ended, reason=f"out of memory{limit}")
            if self._broken is not None:
                ended = replace(ended, reason=f"killed, as its stream broke: {self._broken.message}")
            self.exited.set_result(ended)
        if self._current is not None:
            self._current.settle(Outcome.DIED)
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(KernelDied(self._how_it_ended()))
        await self._release()

    def _how_it_ended(self) -> str:
        return self.exited.result().describe() if self.exited.done() else "gone"

    def _note_broken(self, error: MessageError) -> None:
        """Nothing that the process sends can be understood any more: end it, and what waits for it ends with its death."""
        self._broken = error
        self._killing = asyncio.create_task(self._provisioner.kill())

    async def _release(self) -> None:
        await self._provisioner.cleanup()
        if self._channels is not None:
            await self._channels.aclose()
        if self._stream is not None:
            self._stream.close()
        with contextlib.suppress(OSError):
            for path in self._directory.iterdir():
                path.unlink(missing_ok=True)
            self._directory.rmdir()

    def _receive(self, message: Message) -> None:
        if self.observer is not None:
            self.observer(message)
        run = self._runs.get(message.parent_id)
        if run is None and message.channel is Channel.SHELL:
            reply = self._replies.get(message.parent_id)
            if reply is not None and not reply.done():
                reply.set_result(message)
        if run is None and message.msg_type == "stream" and not message.parent_id:
            run = self._current  # output without a parent: C code; that of a parent we do not know is somebody else's
        if run is None:
            return
        try:
            run.receive(message)
        except MessageError as error:
            self._on_bad_message(error)
            run.note_unreadable(message, error)

    def drain_process_output(self) -> None:
        """What processes wrote past the kernel goes to the running execution (and is kept for a diagnosis)."""
        for name, text in self._provisioner.read_output():
            if self.observer is not None:
                self.observer(Message(Channel.IOPUB, "stream", "", content={"name": name, "text": text}))
            if self._current is not None:
                self._current.write(name, text)
