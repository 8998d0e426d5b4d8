"""Relays: what observers ask of a kernel: in their turn of its context's queue, or at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from engine.contexts.budgets import Share
from engine.contexts.kernel_slot import KernelSlot
from engine.contexts.observers import Observer, Observers
from engine.contexts.queue import Queue, Work
from engine.errors import ContextBusy, ContextEnded, KernelDied, PolyreplError, ShuttingDown
from engine.jupyter import Channel, ClientMessage, Message
from engine.kernels import Kernel, Outcome, Run, wait_for_stop
from engine.kernels.checking import Checks

_FLUSH_WAIT = 60.0  # seconds that a kernel has to read a request that is no cell, before the next is sent
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


class Relay:
    """A request of an observer. A cell has the kernel until it is done; what else there is, until it is sent.

    Its observer is told once, when nothing is left to do."""

    def __init__(self, observer: Observer, request: ClientMessage, relays: Relays) -> None:
        self.session = observer.session
        self.request = request
        self.size = request.size
        self.is_finished = False
        self._observer = observer
        self._relays = relays
        self._observers = relays.observers
        self._has_begun = False
        self._failed = False

    def __repr__(self) -> str:
        return f"<Relay {self.request.msg_type}>"

    async def give(self, slot: KernelSlot) -> None:
        try:
            kernel = await slot.living()
            if not self.is_finished:
                self._has_begun = True
                await (self._run(kernel, slot) if self.request.is_cell else self._forward(kernel))
        except PolyreplError as error:
            self.refuse(error)
        self._finish()

    def _finish(self) -> None:
        if not self.is_finished:
            self.is_finished = True
            self._observer.note_done(is_cell=self.request.is_cell)

    def refuse(self, error: Exception) -> None:
        """Answer with why it is not run, or not to its end."""
        if self.is_finished:
            return
        if self.request.is_request:
            name, message = "InternalError", "The engine failed to run this request"
            if isinstance(error, (ContextEnded, ShuttingDown)) and self._has_begun:
                error = KernelDied("it was ended")
            if isinstance(error, PolyreplError):
                name, message = type(error).__name__, error.message
            content = {
                "status": "error",
                "ename": name,
                "evalue": message,
                "traceback": [f"{name}: {message}"],
                "execution_count": 0,
            }
            self._observers.answer(self.session, self.request, content)
        self._finish()

    def abort(self) -> None:
        """Answer that it is not run, as a cell before it failed."""
        if not self.is_finished:
            self._observers.answer(self.session, self.request, {"status": "aborted"}, aborted=True)
            self._finish()

    async def _forward(self, kernel: Kernel) -> None:
        if self.request.msg_type == "shutdown_request":
            self._finish()  # first: the end of the context would answer it a second time
            self._relays.shut_down(self.session, self.request)
            return
        kernel.forward(self.request.channel, self.request.parts)
        await kernel.flushed(_FLUSH_WAIT)

    async def _run(self, kernel: Kernel, slot: KernelSlot) -> None:
        content = self.request.content
        stops = bool(content.get("stop_on_error", True))
        header, parent, metadata, _, *buffers = self.request.parts
        if kernel.honours("colors"):  # front ends of Jupyter show them; a client that does not says so
            metadata = _encoder.encode({"colors": True, **_decoder.decode(metadata)})
        # The queue is ours: a kernel must never abort a request of another client.
        parts = [header, parent, metadata, _encoder.encode({**content, "stop_on_error": False}), *buffers]
        self._observers.cells += not content.get("silent")
        self._observers.note_running(self.session, self, header)
        if isinstance(code := content.get("code"), str):
            self._relays.checks.note(kernel, code)
        try:
            run = await kernel.forward_cell(
                self.request.msg_id, parts, self.receive, allow_stdin=bool(content.get("allow_stdin", True))
            )
            if (loss := slot.note_observed()) is not None:
                text = f"[polyrepl: the earlier state is lost: {loss}; this code runs on a fresh kernel]\n"
                self._observers.say_stderr(text, header)
            outcome = await self._outcome(kernel, run)
        finally:
            self._observers.note_stopped(self)
        if outcome is Outcome.DIED:
            raise KernelDied(kernel.exited.result().describe() if kernel.exited.done() else "gone")
        if self._failed and stops:
            self._relays.abort_behind(self)

    async def _outcome(self, kernel: Kernel, run: Run) -> Outcome:
        timeout = self._relays.timeout
        waiting: list[Work] = []
        while (outcome := await run.wait(timeout or self._relays.patience)) is Outcome.TIMEOUT and timeout is None:
            waiting = self._relays.refuse_waiting(waiting)
        if outcome is Outcome.TIMEOUT:
            text = f"[polyrepl: interrupted after {timeout:g} s, the setting websocket_timeout]\n"
            self._observers.say_stderr(text, self.request.parts[0])
            await kernel.interrupt()
            outcome = await wait_for_stop(run, kernel.pid, self._relays.grace)
        if outcome is Outcome.TIMEOUT:
            await kernel.kill()
            return Outcome.DIED
        return outcome

    def receive(self, message: Message) -> None:
        """Look whether the cell fails."""
        if message.msg_type == "execute_reply":
            reply: dict[str, Any] = message.content
            self._failed = reply.get("status") == "error"


class Host(Protocol):
    """The context whose kernel is asked."""

    id: str

    @property
    def observers(self) -> Observers: ...
    async def interrupt(self) -> None: ...
    async def restart(self) -> None: ...
    def shut_down(self) -> None: ...


class Relays:
    """Takes what the observers of a context ask. Seconds: `timeout` for a cell, None for none, and `grace` after its interrupt.

    `patience`: seconds after which what others wait for behind a cell without a timeout is refused, within twice this time. `checks`
    learn of the cells."""

    def __init__(
        self,
        host: Host,
        slot: KernelSlot,
        queue: Queue,
        *,
        timeout: float | None,
        grace: float,
        patience: float,
        checks: Checks,
    ) -> None:
        self.checks = checks
        self.observers = host.observers
        self.timeout = timeout
        self.grace = grace
        self.patience = patience
        self._host = host
        self._slot = slot
        self._queue = queue
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def share(self) -> Share:
        """The bytes that requests of the context may take, whoever sends them."""
        return self._queue.share

    def relay(self, observer: Observer, request: ClientMessage) -> None:
        """Have the kernel get a message: on control and stdin now, while a cell runs; on the shell channel in its turn.

        There is no limit of the queue here: who calls this asks `share` before it reads more of a client."""
        self._queue.last_activity = datetime.now(UTC)
        self.observers.note_request(observer.session, request)
        if request.channel is not Channel.SHELL and self._at_once(observer.session, request):
            observer.note_done(is_cell=False)
            return
        relay = Relay(observer, request, self)
        try:
            self._queue.put(relay)
        except PolyreplError as error:  # the context has ended
            relay.refuse(error)

    def _at_once(self, session: str, request: ClientMessage) -> bool:
        """Whether nothing is left to do; a control request waits where there is no kernel yet."""
        if request.msg_type == "interrupt_request":
            self._spawn(self._host.interrupt())
            self.observers.answer(session, request, {"status": "ok"})
            return True
        if request.msg_type == "shutdown_request":
            self.shut_down(session, request)
            return True
        kernel = self._slot.kernel
        if kernel is None or not kernel.is_alive:
            return request.channel is Channel.STDIN  # nobody asks
        kernel.forward(request.channel, request.parts)
        return True

    def shut_down(self, session: str, request: ClientMessage) -> None:
        """End the context, or restart it, whatever its kernel does; the answer is ours: a kernel need not come to it."""
        restart = bool(request.content.get("restart"))
        self.observers.answer(session, request, {"status": "ok", "restart": restart})
        if restart:
            self._spawn(self._restart())
        else:
            self._host.shut_down()

    async def _restart(self) -> None:
        try:
            await self._host.restart()
        except PolyreplError:
            return  # observers have been told that it cannot be started; or the context has ended, or another kernel

    def abort_behind(self, failed: Relay) -> None:
        """A cell failed: those of the same client that wait are not run."""
        for each in self._queue:
            if isinstance(each, Relay) and each.session == failed.session and each.request.is_cell:
                self._queue.remove(each)
                each.abort()

    def refuse_waiting(self, before: list[Work]) -> list[Work]:
        """Refuse what waits for a turn, is no request of an observer, and waited already `before`; returns what waits now."""
        waiting = [each for each in self._queue if not isinstance(each, Relay)]
        for late in [each for each in waiting if each in before]:
            self._queue.remove(late)
            late.refuse(ContextBusy(self._host.id))
        return waiting

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
