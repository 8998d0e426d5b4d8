"""The channels to one kernel: one interface, whatever carries the messages. Above it there are messages only, no sockets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from engine.errors import MessageError
from engine.jupyter import Channel, Message, Steps

NO_MEMORY = "the server has no memory for its message"

Listener = Callable[[Message], None]
"""Takes messages, one after the other."""


class Receiver(Protocol):
    """Who channels report to: a kernel. All of this happens in the loop."""

    def receive(self, message: Message) -> None:
        """Take a message. Messages of one channel keep their order."""

    def note_bad_message(self, error: MessageError) -> None:
        """Something was thrown away that is no message."""

    def note_broken(self, error: MessageError) -> None:
        """No message can come any more. Called once."""


class Channels(ABC):
    """A conversation with a kernel. What comes of it is reported to `receiver`."""

    signals_overtake = True
    """Whether a signal that is sent after `flushed` may come to the kernel's process before the requests that were sent."""

    peer_pid: int | None = None
    """Process that sent the first message, as the operating system tells; None where it was not asked."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._reading: Steps[Message] | None = None  # a large message, in steps

    def _read_on(self) -> Message | None:
        """Do the next step of reading; returns the message with the last one. Raises MessageError for what is none, and MemoryError."""
        assert self._reading is not None
        try:
            next(self._reading)
        except StopIteration as end:
            self._reading = None
            message: Message = end.value
            return message
        except BaseException:
            self._reading = None
            raise
        return None

    @abstractmethod
    async def open(self) -> None:
        """Return once requests reach the kernel and its output reaches us. Has no deadline of its own: the caller sets one.

        Raises MessageError where the conversation broke before that."""

    @abstractmethod
    async def open_stdin(self) -> None:
        """Return once the kernel can ask for input; called before the first request that allows it."""

    @abstractmethod
    def send(
        self,
        channel: Channel,
        msg_type: str,
        content: Any,
        *,
        metadata: Mapping[str, Any] | None = None,
        fds: Sequence[int] = (),
    ) -> str:
        """Send a request without waiting; returns its msg_id. `fds`: descriptors that go along, where the channels can."""

    def forward(self, channel: Channel, parts: Sequence[bytes]) -> None:
        """Send what another client has made, as it is: header, parent_header, metadata, content and buffers.

        Raises MessageError where that cannot be sent."""
        msg = "messages of other clients cannot be sent to this kernel"
        raise MessageError(msg)

    def pause(self, paused: bool) -> None:  # noqa: B027 - a kernel that does not wait for its reader cannot be slowed down
        """Read nothing more for now, or go on."""

    async def flushed(self, timeout: float) -> None:
        """Return once everything that was sent has left this process, or after `timeout` seconds."""
        return

    @abstractmethod
    async def drain(self) -> None:
        """Deliver what a dead kernel still had sent. Bounded: what others go on sending in its name is not waited for."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close for good; may be called again."""


class MakeChannels(Protocol):
    """Makes the channels to a kernel of this connection info; `socket` in it is our end of a stream.

    `kernel_waits`: the kernel never sends more than is read."""

    def __call__(self, info: Mapping[str, Any], receiver: Receiver, /, *, kernel_waits: bool) -> Channels: ...
