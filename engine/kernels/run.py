"""A run: one cell that a kernel works on, and how a wait for it ends."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from enum import Enum
from typing import TYPE_CHECKING

from engine.errors import MessageError
from engine.jupyter import Channel, Message
from engine.kernels.channels import Listener

if TYPE_CHECKING:
    from engine.kernels.kernel import Kernel

_IDLE_WAIT = 5.0  # seconds that the status `idle` may stay away after a reply, before the request counts as done


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
        """Say what is lost; a reply that cannot be read is a reply all the same, and who asks for input gets no more of it."""
        self.write("stderr", f"[polyrepl: {message.msg_type} left out: {error.message}]\n")
        if message.msg_type == "execute_reply":
            self._replied = True
            self._check_done()
        elif message.msg_type == "input_request":
            self.reply_input("\x04")

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
