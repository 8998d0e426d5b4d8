"""Relays (layer 5): what observers ask of a kernel, in their turn of its context's queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from engine.errors import KernelDied, PolyreplError
from engine.kernel import Kernel, Outcome
from engine.messages import Channel, Message
from engine.observers import Observers
from engine.turns import Turn
from engine.websocket import ClientMessage

_FLUSH_WAIT = 60.0  # seconds that a kernel has to read a request that is no cell, before the next is sent
_LOOK = 3600.0  # seconds; a cell of a Jupyter client has no deadline: it ends with an interrupt, or its kernel
_encoder = msgspec.json.Encoder()


class Relay(Turn):
    """A shell request of an observer. A cell holds its turn until it is done; what else there is, until it is sent.

    `on_failed` is called where a cell fails and its client wants those behind it not to be run."""

    def __init__(
        self, session: str, request: ClientMessage, observers: Observers, *, on_failed: Callable[[Relay], None]
    ) -> None:
        super().__init__()
        self.session = session
        self.request = request
        self._observers = observers
        self._on_failed = on_failed
        self._failed = False
        self.done: Callable[[], None] = lambda: None  # called once, when nothing is left to do

    async def give(self, start: Callable[[], Awaitable[Kernel]]) -> None:
        try:
            kernel = await start()
            if not self.is_finished:
                await (self._run if self.request.is_cell else self._forward)(kernel)
        except PolyreplError as error:
            self.refuse(error)
        except BaseException:
            self.refuse(KernelDied("it was ended"))
            raise
        self.release()

    def release(self) -> None:
        if not self.is_finished:
            super().release()
            self.done()

    def refuse(self, error: PolyreplError) -> None:
        """Answer with why it is not run, or not to its end."""
        if self.is_finished:
            return
        if self.request.is_request:
            name = type(error).__name__
            content = {
                "status": "error",
                "ename": name,
                "evalue": error.message,
                "traceback": [f"{name}: {error.message}"],
                "execution_count": 0,
            }
            self._observers.answer(self.session, self.request, content)
        self.release()

    def abort(self) -> None:
        """Answer that it is not run, as a cell before it failed."""
        if not self.is_finished:
            self._observers.answer(self.session, self.request, {"status": "aborted"}, aborted=True)
            self.release()

    async def _forward(self, kernel: Kernel) -> None:
        kernel.forward(Channel.SHELL, self.request.parts)
        await kernel.flushed(_FLUSH_WAIT)

    async def _run(self, kernel: Kernel) -> None:
        content = self.request.content
        stops = bool(content.get("stop_on_error", True))
        header, parent, metadata, _, *buffers = self.request.parts
        # The queue is ours: a kernel must never abort a request of another client.
        parts = [header, parent, metadata, _encoder.encode({**content, "stop_on_error": False}), *buffers]
        self._observers.note_running(self.session)
        try:
            run = await kernel.forward_cell(
                self.request.msg_id, parts, self.receive, allow_stdin=bool(content.get("allow_stdin", True))
            )
            while (outcome := await run.wait(_LOOK)) is Outcome.TIMEOUT:
                pass
        finally:
            self._observers.note_running(None)
        if outcome is Outcome.DIED:
            raise KernelDied(kernel.exited.result().describe() if kernel.exited.done() else "gone")
        if self._failed and stops:
            self._on_failed(self)

    def receive(self, message: Message) -> None:
        """Look whether the cell fails."""
        if message.msg_type == "execute_reply":
            reply: dict[str, Any] = message.content
            self._failed = reply.get("status") == "error"
